"""Rows of a text file in the layout that its name says: a sentence a line, a table with a header line, JSON lines."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

from crossloss.core import UserError, refusing
from crossloss.text.encoding import COMPRESSED, text_pieces
from crossloss.text.recognise import refuse_other_layouts
from crossloss.text.rows import TEXT_COLUMNS, Columns, EmptyFile, Row, SourceInfo, choose, typed_rows
from crossloss.text.sentences import sentences

JSON_LINES = (".jsonl", ".ndjson", ".json")
SEPARATORS = {"\x85": "U+0085", "\u2028": "U+2028", "\u2029": "U+2029"}
"""What ends lines where neither line feed nor carriage return does."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What may part the columns of a .csv."""
LINE_NOTE = "--split makes a sample of each"


def file_rows(path: Path, asked: Columns, info: SourceInfo) -> Iterator[Row]:
    """Yield the rows of a text file, and note in ``info`` what it is."""
    layout, pieces = ending(path), text_pieces(path)
    first = next(pieces)
    while not first.strip():
        if (more := next(pieces, None)) is None:
            raise EmptyFile(f"{path} is empty: give a file with one sentence a line.")
        first += more
    pieces = chain([first], pieces)
    if layout == ".csv":
        info.layout = "csv"
        return _table(path, _csv(first, pieces, asked, info), asked, info)
    if layout in JSON_LINES:
        info.layout = "jsonl"
        return _objects(path, asked, info)
    if layout == ".tsv":
        info.layout = "tsv"
        return _table(path, (line.split("\t") for line in _lines(pieces, info) if line), asked, info)
    info.layout = "text"
    return _text(path, first, pieces, asked, info)


def ending(path: PurePath) -> str:
    """The ending that says a file's layout, in small letters: .csv of A.CSV.gz; "" for none."""
    endings = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(endings) if suffix not in COMPRESSED), "")


def lines_of(content: str, info: SourceInfo) -> list[str]:
    """Lines as any system ends them: line feed, carriage return, or both."""
    return list(_lines([content], info))


def _lines(pieces: Iterable[str], info: SourceInfo) -> Iterator[str]:
    """``lines_of`` of a text in pieces that end in line feeds."""
    alone, place = 0, len(info.notes)
    for piece in pieces:
        if "\r" in piece:
            alone += len(re.findall(r"\r(?![\r\n])", piece))
            piece = re.sub(r"\r*\n|\r", "\n", piece)
        lines = piece.split("\n")
        yield from lines if lines[-1] else lines[:-1]
    if alone:
        info.notes.insert(place, f"{alone:,} of its lines end in a carriage return alone")


def _text(path: Path, first: str, pieces: Iterable[str], asked: Columns, info: SourceInfo) -> Iterator[Row]:
    """Rows of a sentence a line; what the text is is seen from its first piece."""
    lines = lines_of(first, SourceInfo())
    parted = ""
    if sum(map(bool, map(str.strip, lines))) == 1:
        for mark in SEPARATORS:
            if any(mark in line for line in lines):
                parted += mark
                lines = [part for line in lines for part in line.split(mark)]
    refuse_other_layouts(path, first, lines)
    if any(asked):
        raise UserError(f"{path} is read a sentence a line and has no columns: leave --text, --document, --id out.")
    return _sentences(_parts(_lines(pieces, info), parted, info), info)


def _parts(lines: Iterable[str], marks: str, info: SourceInfo) -> Iterator[str]:
    """Lines parted by marks too."""
    for line in lines:
        yield from re.split(f"[{marks}]", line) if marks else [line]
    info.notes += [f"its lines end in {SEPARATORS[mark]}" for mark in marks]


def _sentences(lines: Iterable[str], info: SourceInfo) -> Iterator[Row]:
    """Rows of the lines that are not blank."""
    only, count = "", 0
    for number, line in enumerate(lines, 1):
        info.rows = number
        if line.strip():
            only, count = line, count + 1
            yield Row(str(number), "", line)
    info.skipped = info.rows - count
    if count == 1 and (inside := len(list(sentences(only)))) > 1:
        info.notes.append(f"all of it is one line of {inside:,} sentences: {LINE_NOTE}")


def _csv(first: str, pieces: Iterable[str], asked: Columns, info: SourceInfo) -> Iterator[list[str]]:
    """Rows of a csv as RFC 4180 has it, parted by what its header line shows or a first line ``sep=;`` says."""
    csv.field_size_limit(1 << 30)
    stated = re.match(r"(?i)sep=([,;\t|])\r*\n", first)
    if stated:
        info.delimiter = stated[1]
    else:
        wanted = {asked.text} if asked.text else set(TEXT_COLUMNS)
        start = first.lstrip("\r\n")
        headers = ((mark, csv.reader(io.StringIO(start, newline=""), delimiter=mark)) for mark in DELIMITERS)
        info.delimiter = next((mark for mark, rows in headers if wanted & set(next(rows, []))), ",")
    if info.delimiter != ",":
        info.notes.append(f"columns are parted by {DELIMITERS[info.delimiter]}")
    lines = (line for piece in pieces for line in io.StringIO(piece, newline=""))
    if stated:
        next(lines)
    return filter(None, csv.reader(lines, strict=True, delimiter=info.delimiter))


def _table(path: Path, table: Iterator[list[str]], asked: Columns, info: SourceInfo) -> Iterator[Row]:
    with refusing(csv.Error, f"{path} is no valid csv", "mend the quotes or save it as tsv"):
        header = next(table, [])
        columns = choose(path, header, asked, info, _hint(header, info.layout))
        text, document, id = (header.index(name) if name is not None else -1 for name in columns)
        for number, row in enumerate(table, 1):
            if len(row) != len(header):
                raise UserError(f"{path}, row {number}: {_ragged(row, header, info.layout)}.")
            info.rows += 1
            yield Row(str(number) if id < 0 else row[id], "" if document < 0 else row[document], row[text])


def _hint(header: list[str], layout: str) -> str:
    """What to do with a table whose header has none of the names."""
    if layout == "tsv" and any(re.fullmatch('".*"', cell) for cell in header):
        return " Its names stand in quotes, which a .tsv has none of: name it .csv, where quotes and tabs are read."
    if layout == "tsv" and len(header) == 1 and re.search("[,;|]", header[0]):
        return " It has no tabs: name it .csv."
    return " Its first line must be the names of its columns."


def _ragged(row: list[str], header: list[str], layout: str) -> str:
    fields = f"{len(row)} fields where the header has {len(header)}"
    if layout == "csv":
        return f"{fields}: put texts with commas or line ends into quotes"
    if any(cell.startswith('"') and cell.count('"') % 2 for cell in row):
        return (
            f"{fields}; a quote opens here and a .tsv has none around line ends or tabs: name it .csv, where quotes "
            "and tabs are read, or write it without line ends in its texts"
        )
    return fields


def _objects(path: Path, asked: Columns, info: SourceInfo) -> Iterator[Row]:
    """Rows of lines with an object each, which may differ in their keys: read once for these, once for the rows."""

    def objects(info: SourceInfo) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(_lines(text_pieces(path), info), 1):
            if line.strip():
                yield number, _object(path, number, line)

    columns = choose(
        path, list(dict.fromkeys(name for _, value in objects(SourceInfo()) for name in value)), asked, info
    )

    def values() -> Iterator[tuple[int, list[Any]]]:
        for number, value in objects(info):
            other = "" if columns.text in value else next((name for name in TEXT_COLUMNS if name in value), "")
            if other:
                raise UserError(
                    f"{path}, line {number}, has {other} where lines before have {columns.text}: rename one."
                )
            yield number, [None if name is None else value.get(name) for name in columns]

    yield from typed_rows(path, values(), info)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Object of these keys and values; a KeyError of a key that stands twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise KeyError(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    where = f"{path}, line {number},"
    try:
        value = _DECODER.decode(line)
    except KeyError as error:
        raise UserError(f"{where} has the key {error.args[0]} twice: rename one.") from error
    except (ValueError, RecursionError) as error:
        advice = " (of a file that is one JSON array or object, `jq -c '.[]' FILE` writes one object a line)"
        spread = number == 1 and line.strip() in ("[", "{", "[{")
        raise UserError(f"{where} is no JSON ({error}): give one object a line{advice * spread}.") from error
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else "value"
        advice = ", as `jq -c '.[]' FILE` writes them" * (kind == "array")
        raise UserError(f"{where} is a JSON {kind}: give one object with the text a line{advice}.")
    return value
