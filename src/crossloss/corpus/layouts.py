"""Rows of text files: a sentence a line, tab-separated, comma-separated, JSON lines; each also packed."""

import bz2
import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from crossloss.core import UserError
from crossloss.corpus.encoding import decode
from crossloss.corpus.recognise import TEXT_COLUMNS, refuse_other_layouts
from crossloss.corpus.sentences import sentences

PACKED = (".gz", ".bz2")
JSON_LINES = (".jsonl", ".ndjson", ".json")
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What may part the columns of a .csv."""
NO_COLUMN = ""
"""Asked for as the column of ids: none is taken, rows are numbered."""
LINE_NOTE = "--split makes a sample of each"
_LINE_END = re.compile(r"\r*\n|\r")


class Row(NamedTuple):
    """What a layout gives for each sample."""

    id: str
    document: str
    text: str


class Columns(NamedTuple):
    """Names of the columns that a row's parts come from."""

    text: str
    document: str | None = None
    id: str | None = None


@dataclass
class Found:
    """What a source turned out to be; filled in as it is read.

    Attributes
    ----------
    layout : str
        text, tsv, csv, jsonl, parquet, dataset, folder, or builtin.
    columns : Columns or None
        None where the layout has no columns.
    unused : list of str
        Other columns.
    rows : int
        Rows or lines, with those skipped.
    skipped : int
        Blank lines, and rows whose text is null.
    files, passed_over : int
        Files read of a folder, and those left out: empty, hidden, or of a kind that is not read.
    delimiter : str
        What parts the columns of a csv.
    notes : list of str
        What else a reader should know of how it was read, a clause each.
    """

    layout: str = ""
    columns: Columns | None = None
    unused: list[str] = field(default_factory=list)
    rows: int = 0
    skipped: int = 0
    files: int = 1
    passed_over: int = 0
    delimiter: str = ","
    notes: list[str] = field(default_factory=list)


class EmptyFile(UserError):
    """A file without any text."""


def read_rows(path: Path, asked: Columns, found: Found) -> Iterator[Row]:
    """Yield the rows of a text file, in the layout its name says.

    Parameters
    ----------
    path : Path
    asked : Columns
        Names given by the user; "" and None where none was.
    found : Found
        Told what the file is.

    Raises
    ------
    UserError
        Absent, unreadable, cut off, not UTF-8, empty, or without the columns asked for.
    """
    layout = ending(path)
    content = decode(path, _read_bytes(path))
    if not content.strip():
        raise EmptyFile(f"{path} is empty: give a file with one sentence a line.")
    if layout in JSON_LINES:
        found.layout = "jsonl"
        yield from _json_lines(path, content, asked, found)
    elif layout == ".tsv":
        found.layout = "tsv"
        table = [line.split("\t") for line in lines_of(content, found) if line]
        yield from _table(path, iter(table), asked, found)
    elif layout == ".csv":
        found.layout = "csv"
        yield from _table(path, _csv(path, content, asked, found), asked, found)
    else:
        found.layout = "text"
        yield from _text(path, content, asked, found)


def ending(path: PurePath) -> str:
    """The ending that says a file's layout, in small letters: .csv of A.CSV.gz; "" for none."""
    endings = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(endings) if suffix not in PACKED), "")


def packing(path: PurePath) -> str:
    """.gz, .bz2 or "", by the last ending."""
    suffix = path.suffix.lower()
    return suffix if suffix in PACKED else ""


def lines_of(content: str, found: Found) -> list[str]:
    """Lines as any system ends them: line feed, carriage return, or both."""
    if "\r" in content:
        alone = len(re.findall(r"\r(?![\r\n])", content))
        if alone:
            found.notes.append(f"{alone:,} of its lines end in a carriage return alone")
        content = _LINE_END.sub("\n", content)
    return content.removesuffix("\n").split("\n")


def _text(path: Path, content: str, asked: Columns, found: Found) -> Iterator[Row]:
    lines = lines_of(content, found)
    refuse_other_layouts(path, content, lines)
    if asked.text or asked.document or asked.id:
        raise UserError(f"{path} is read a sentence a line and has no columns: leave --text, --document, --id out.")
    for number, line in enumerate(lines, 1):
        found.rows += 1
        if line.strip():
            yield Row(str(number), "", line)
        else:
            found.skipped += 1
    if found.rows - found.skipped == 1:
        only = next(line for line in lines if line.strip())
        inside = sum(1 for _ in sentences(only))
        if inside > 1:
            found.notes.append(f"all of it is one line of {inside:,} sentences: {LINE_NOTE}")


def choose(path: object, names: Sequence[str], asked: Columns, found: Found, hint: str = "") -> Columns:
    """Columns of a source by what was asked for, else by their usual names; noted in ``found``.

    Raises
    ------
    UserError
        There is no such column, two of one name, or none that is known to hold the text; ``hint`` ends the message.
    """
    listed = ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")
    text = asked.text or next((name for name in TEXT_COLUMNS if name in names), None)
    if text is None:
        raise UserError(f"{path} has no column text or sentence; name one with --text. Columns: {listed}.{hint}")
    for name in filter(None, (text, asked.document, asked.id)):
        if name not in names:
            raise UserError(f"{path} has no column {name}. Columns: {listed}.{hint}")
    document, id = asked.document or "document", "id" if asked.id is None else asked.id
    for name in (text, document, id):
        if list(names).count(name) > 1:
            raise UserError(f"{path} has two columns of one name, {name}: rename one.")
    columns = Columns(text, document if document in names else None, id if id in names else None)
    found.columns, found.unused = columns, [name for name in names if name not in columns]
    return columns


def typed_row(path: object, number: int, parts: Iterable[Any], found: Found) -> Row | None:
    """Row ``number`` from text, document and id of any type; None, and counted as skipped, where its text is null.

    Raises
    ------
    UserError
        The text is no string, or document or id is neither string nor number.
    """
    text, document, id = parts
    found.rows += 1
    if text is None:
        found.skipped += 1
        return None
    if not isinstance(text, str):
        raise UserError(
            f"{path}, row {number}: the text is of type {type(text).__name__}, not a string: choose --text."
        )
    names = []
    for what, value, default in (("document", document, ""), ("id", id, str(number))):
        if not isinstance(value, str | int | float | None):
            raise UserError(f"{path}, row {number}: the {what} is of type {type(value).__name__}: choose --{what}.")
        names.append(default if value is None else str(value))
    return Row(names[1], names[0], text)


def _json_lines(path: Path, content: str, asked: Columns, found: Found) -> Iterator[Row]:
    objects = [(i, _object(path, i, line)) for i, line in enumerate(lines_of(content, found), 1) if line.strip()]
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


def _csv(path: Path, content: str, asked: Columns, found: Found) -> Iterator[list[str]]:
    """Rows of a csv, parted by what its header line shows, or by what a first line ``sep=;`` says."""
    csv.field_size_limit(1 << 30)
    said = re.match(r"(?i)sep=([,;\t|])\r*\n", content)
    if said:
        content, found.delimiter = content[said.end() :], said[1]
    else:
        wanted = {asked.text} if asked.text else set(TEXT_COLUMNS)
        first = content.lstrip("\r\n")
        fits = [mark for mark in DELIMITERS if wanted & set(next(csv.reader(io.StringIO(first, newline=""), delimiter=mark), []))]
        found.delimiter = fits[0] if fits else ","
    if found.delimiter != ",":
        found.notes.append(f"columns are parted by {DELIMITERS[found.delimiter]}")
    rows = csv.reader(io.StringIO(content, newline=""), strict=True, delimiter=found.delimiter)
    return (row for row in rows if row)


def _table(path: Path, table: Iterator[list[str]], asked: Columns, found: Found) -> Iterator[Row]:
    try:
        header = next(table)
        columns = choose(path, header, asked, found, _not_tabs(header) if found.layout == "tsv" else "")
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


def _not_tabs(header: list[str]) -> str:
    """What to do with a tsv whose header has none of the names."""
    if any(cell.startswith('"') and cell.endswith('"') and len(cell) > 1 for cell in header):
        return " Its names stand in quotes, which a .tsv has none of: name it .csv, where quotes and tabs are read."
    if len(header) == 1 and re.search("[,;|]", header[0]):
        return " It has no tabs: name it .csv."
    return ""


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


def _read_bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder: give a text, tsv, csv or jsonl file.") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        said = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path} cannot be read ({said}): check the path.") from error
    pack = packing(path)
    try:
        return gzip.decompress(raw) if pack == ".gz" else bz2.decompress(raw) if pack == ".bz2" else raw
    except (EOFError, zlib.error, OSError, ValueError) as error:
        kind = "gzip" if pack == ".gz" else "bzip2"
        raise UserError(f"{path} is no complete {kind} file ({error}): copy it again.") from error
