"""Rows of corpora read again by slow code of its own: a character at a time, with none of the package's readers."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq

from slowwords import slow_tokens, unspaced

TEXT = ("text", "sentence")


def lines(content):
    """Lines that end in line feed, carriage returns and line feed, or a carriage return."""
    found, line, i = [], "", 0
    while i < len(content):
        if content[i] not in "\r\n":
            line += content[i]
            i += 1
            continue
        end = i
        while end < len(content) and content[end] == "\r":
            end += 1
        i = end + 1 if end < len(content) and content[end] == "\n" else i + 1
        found.append(line)
        line = ""
    return [*found, line] if line else found


def csv_rows(content, mark):
    """RFC 4180, quotes inside of bare cells as they are; rows without a character left out."""
    rows, row, cell, i, state = [], [], "", 0, "start"
    while i < len(content):
        c = content[i]
        i += 1
        if state == "quoted":
            if c == '"' and content[i : i + 1] == '"':
                cell, i = cell + '"', i + 1
            elif c == '"':
                state = "closed"
            else:
                cell += c
        elif c == '"' and state == "start":
            state = "quoted"
        elif c == mark:
            row.append(cell)
            cell, state = "", "start"
        elif c in "\r\n":
            if row or cell or state != "start":
                rows.append([*row, cell])
            row, cell, state = [], "", "start"
        else:
            cell, state = cell + c, "bare"
    if row or cell or state != "start":
        rows.append([*row, cell])
    return rows


def table_values(cells):
    found = []
    for row in cells[1:]:
        value = {}
        for name, cell in zip(cells[0], row, strict=True):
            value.setdefault(name, cell)
        found.append(value)
    return found


def rows(layout, content):
    """(id, document, text) of each row."""
    if layout == "parquet":
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            wanted = [name for name in ("text", "document", "id") if name in file.schema_arrow.names]
            return named([*enumerate(file.read(columns=wanted).to_pylist(), 1)])
    text = content.decode().removeprefix("\ufeff")
    if layout == "txt":
        found = lines(text)
        if sum(line.strip() != "" for line in found) == 1:
            found = [part for line in found for part in re.split("[\x85\u2028\u2029]", line)]
        return [(str(i), "", line) for i, line in enumerate(found, 1) if line.strip()]
    if layout == "jsonl":
        return named([(i, json.loads(line)) for i, line in enumerate(lines(text), 1) if line.strip()])
    if layout == "tsv":
        return named([*enumerate(table_values([line.split("\t") for line in lines(text) if line]), 1)])
    said = re.match(r"(?i)sep=([,;\t|])\r*\n", text)
    for mark in said[1] if said else ",;\t|":
        cells = csv_rows(text[said.end() :] if said else text, mark)
        if said or set(TEXT) & set(cells[0]):
            break
    return named([*enumerate(table_values(cells), 1)])


def named(values):
    """Rows of dictionaries with their numbers; ids only where no two are alike."""
    keys = {key for _, value in values for key in value}
    key = next(name for name in TEXT if name in keys)
    found = [(i, value) for i, value in values if value.get(key) is not None]
    ids = [shown(value.get("id"), str(i)) for i, value in found]
    if len(set(ids)) < len(ids):
        ids = [str(i) for i, _ in found]
    return [
        (id, shown(value.get("document"), ""), shown(value[key], "")) for id, (_, value) in zip(ids, found, strict=True)
    ]


def shown(value, default):
    return re.sub("[\ud800-\udfff]", "\ufffd", default if value is None else str(value))


def has_words(texts):
    return any(slow_tokens(text) for text in texts)


def without_spaces(texts):
    """Part of the letters that are of scripts without spaces between words."""
    words = [word for text in texts for _, _, word in slow_tokens(text)]
    return sum(unspaced(c) for word in words for c in word) / max(1, sum(map(len, words)))
