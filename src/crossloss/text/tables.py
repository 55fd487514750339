"""Rows of tables: tab-separated and comma-separated with a header line, JSON lines."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crossloss.core import UserError
from crossloss.text.rows import TEXT_COLUMNS, Columns, Found, Row, choose, typed_row

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What may part the columns of a .csv."""


def tsv_rows(path: Path, lines: Sequence[str], asked: Columns, found: Found) -> Iterator[Row]:
    """Rows of lines whose cells are parted by tabs."""
    found.layout = "tsv"
    yield from _table(path, (line.split("\t") for line in lines if line), asked, found)


def csv_rows(path: Path, content: str, asked: Columns, found: Found) -> Iterator[Row]:
    """Rows of a csv as RFC 4180 has it."""
    found.layout = "csv"
    yield from _table(path, _csv(content, asked, found), asked, found)


def json_rows(path: Path, lines: Sequence[str], asked: Columns, found: Found) -> Iterator[Row]:
    """Rows of lines with an object each, which may differ in their keys."""
    found.layout = "jsonl"
    objects = [(i, _object(path, i, line)) for i, line in enumerate(lines, 1) if line.strip()]
    names = list(dict.fromkeys(name for _, value in objects for name in value))  # rows may differ in their keys
    columns = choose(path, names, asked, found)
    for number, value in objects:
        if columns.text not in value:
            for other in TEXT_COLUMNS:
                if other in value:
                    raise UserError(
                        f"{path}, line {number}, has {other} where lines before have {columns.text}: rename one."
                    )
        row = typed_row(path, number, (None if name is None else value.get(name) for name in columns), found)
        if row is not None:
            yield row


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    where = f"{path}, line {number},"
    try:
        value = json.loads(line, object_pairs_hook=_pairs)
    except _Twice as error:
        raise UserError(f"{where} has the key {error} twice: rename one.") from error
    except (ValueError, RecursionError) as error:
        advice = " (of a file that is one JSON array or object, `jq -c '.[]' FILE` writes one object a line)"
        spread = number == 1 and line.strip() in ("[", "{", "[{")
        raise UserError(f"{where} is no JSON ({error}): give one object a line{advice * spread}.") from error
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else "value"
        advice = ", as `jq -c '.[]' FILE` writes them" * (kind == "array")
        raise UserError(f"{where} is a JSON {kind}: give one object with the text a line{advice}.")
    return value


class _Twice(Exception):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _Twice(next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1))
    return value


def _csv(content: str, asked: Columns, found: Found) -> Iterator[list[str]]:
    """Rows of a csv, parted by what its header line shows, or by what a first line ``sep=;`` says."""
    csv.field_size_limit(1 << 30)
    said = re.match(r"(?i)sep=([,;\t|])\r*\n", content)
    if said:
        content, found.delimiter = content[said.end() :], said[1]
    else:
        wanted = {asked.text} if asked.text else set(TEXT_COLUMNS)
        first = content.lstrip("\r\n")
        headers = {mark: csv.reader(io.StringIO(first, newline=""), delimiter=mark) for mark in DELIMITERS}
        found.delimiter = next((mark for mark, rows in headers.items() if wanted & set(next(rows, []))), ",")
    if found.delimiter != ",":
        found.notes.append(f"columns are parted by {DELIMITERS[found.delimiter]}")
    rows = csv.reader(io.StringIO(content, newline=""), strict=True, delimiter=found.delimiter)
    return (row for row in rows if row)


def _table(path: Path, table: Iterator[list[str]], asked: Columns, found: Found) -> Iterator[Row]:
    try:
        header = next(table)
        columns = choose(path, header, asked, found, _hint(header, found.layout))
        at_text, at_document, at_id = (None if name is None else header.index(name) for name in columns)
        assert at_text is not None
        for number, row in enumerate(table, 1):
            if len(row) != len(header):
                raise UserError(f"{path}, row {number}: {_ragged(row, header, found.layout)}.")
            found.rows += 1
            yield Row(
                str(number) if at_id is None else row[at_id],
                "" if at_document is None else row[at_document],
                row[at_text],
            )
    except csv.Error as error:
        raise UserError(f"{path} is no valid csv ({error}): mend the quotes or save it as tsv.") from error


def _hint(header: list[str], layout: str) -> str:
    """What to do with a table whose header has none of the names."""
    if layout == "csv":
        return " Its first line must be the names of its columns."
    if any(cell.startswith('"') and cell.endswith('"') and len(cell) > 1 for cell in header):
        return " Its names stand in quotes, which a .tsv has none of: name it .csv, where quotes and tabs are read."
    if len(header) == 1 and re.search("[,;|]", header[0]):
        return " It has no tabs: name it .csv."
    return " Its first line must be the names of its columns."


def _ragged(row: list[str], header: list[str], layout: str) -> str:
    fields = f"{len(row)} fields where the header has {len(header)}"
    if layout == "tsv" and any(cell.startswith('"') and cell.count('"') % 2 for cell in row):
        return (
            f"{fields}; a quote opens here and a .tsv has none around line ends or tabs: name it .csv, where quotes "
            "and tabs are read, or write it without line ends in its texts"
        )
    if layout == "csv":
        return f"{fields}: put texts with commas or line ends into quotes"
    return fields
