"""Rows of text files: a sentence a line, tab-separated, comma-separated, JSON lines; each also packed. Strict UTF-8."""

import bz2
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from crossloss.core import UserError

TEXT_COLUMNS = ("text", "sentence")
PACKED = (".gz", ".bz2")
JSON_LINES = (".jsonl", ".ndjson", ".json")
FOREIGN = {
    b"\x1f\x8b": "gzip (name it .gz)",
    b"BZh": "bzip2 (name it .bz2)",
    b"PAR1": "Parquet (name it .parquet)",
    b"PK\x03\x04": "a zip archive (unpack it)",
    b"\x28\xb5\x2f\xfd": "zstandard (unpack it)",
    b"\xfd7zXZ": "xz (unpack it)",
    b"%PDF": "PDF (save it as text)",
    b"\x80": "a Python pickle, which is never opened here (save it as text)",
    b"\xff\xfe": "UTF-16 (convert it with `iconv -f UTF-16 -t UTF-8`)",
    b"\xfe\xff": "UTF-16 (convert it with `iconv -f UTF-16 -t UTF-8`)",
}
"""First bytes of what is no text, and what to do with it."""


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
    """

    layout: str = ""
    columns: Columns | None = None
    unused: list[str] = field(default_factory=list)
    rows: int = 0
    skipped: int = 0
    files: int = 1
    passed_over: int = 0


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
    layout = [suffix for suffix in path.suffixes if suffix not in PACKED][-1:]
    content = _decode(path, _read_bytes(path))
    if not content.strip():
        raise EmptyFile(f"{path} is empty: give a file with one sentence a line.")
    if layout and layout[0] in JSON_LINES:
        found.layout = "jsonl"
        yield from _json_lines(path, content, asked, found)
        return
    table: Iterator[list[str]]
    if layout == [".tsv"]:
        found.layout = "tsv"
        table = (line.rstrip("\r").split("\t") for line in content.split("\n") if line.rstrip("\r"))
    elif layout == [".csv"]:
        found.layout = "csv"
        csv.field_size_limit(1 << 30)
        table = (row for row in csv.reader(io.StringIO(content, newline=""), strict=True) if row)
    else:
        found.layout = "text"
        if any(asked):
            raise UserError(f"{path} is read a sentence a line and has no columns: leave --text, --document, --id out.")
        lines = content.split("\n")
        for number, line in enumerate(lines[:-1] if not lines[-1] else lines, 1):
            found.rows += 1
            if line.strip():
                yield Row(str(number), "", line.strip("\r"))
            else:
                found.skipped += 1
        return
    yield from _table(path, table, asked, found)


def choose(path: object, names: Sequence[str], asked: Columns, found: Found) -> Columns:
    """Columns of a source by what was asked for, else by their usual names; noted in ``found``.

    Raises
    ------
    UserError
        There is no such column, or none that is known to hold the text.
    """
    listed = ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")
    text = asked.text or next((name for name in TEXT_COLUMNS if name in names), None)
    if text is None:
        raise UserError(f"{path} has no column text or sentence; name one with --text. Columns: {listed}.")
    for name in filter(None, (text, asked.document, asked.id)):
        if name not in names:
            raise UserError(f"{path} has no column {name}. Columns: {listed}.")
    document, id = asked.document or "document", asked.id or "id"
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
    columns = None
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number}, is no JSON ({error}): give one object a line.") from error
        if not isinstance(value, dict):
            kind = "array" if isinstance(value, list) else "value"
            raise UserError(f"{path}, line {number}, is a JSON {kind}: give one object with the text a line.")
        columns = columns or choose(path, list(value), asked, found)
        parts = (None if name is None else value.get(name) for name in columns)
        row = typed_row(path, number, parts, found)
        if row is not None:
            yield row


def _table(path: Path, table: Iterator[list[str]], asked: Columns, found: Found) -> Iterator[Row]:
    try:
        header = next(table)
        columns = choose(path, header, asked, found)
        at_text, at_document, at_id = (None if name is None else header.index(name) for name in columns)
        assert at_text is not None
        for number, row in enumerate(table, 1):
            if len(row) != len(header):
                raise UserError(f"{path}, row {number}: {len(row)} fields where the header has {len(header)}.")
            found.rows += 1
            yield Row(
                str(number) if at_id is None else row[at_id],
                "" if at_document is None else row[at_document],
                row[at_text],
            )
    except csv.Error as error:
        raise UserError(f"{path} is no valid csv ({error}): mend the quotes or save it as tsv.") from error


def _read_bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder: give a text, tsv, csv or jsonl file.") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        said = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path} cannot be read ({said}): check the path.") from error
    try:
        return gzip.decompress(raw) if path.suffix == ".gz" else bz2.decompress(raw) if path.suffix == ".bz2" else raw
    except (EOFError, zlib.error, OSError, ValueError) as error:
        kind = "gzip" if path.suffix == ".gz" else "bzip2"
        raise UserError(f"{path} is no complete {kind} file ({error}): copy it again.") from error


def _decode(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        for first, kind in FOREIGN.items():
            if raw.startswith(first):
                raise UserError(f"{path} is {kind}: give UTF-8 text.") from error
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} is not UTF-8 (line {line}, byte 0x{raw[error.start]:02x}): "
            "convert it with `iconv -f LATIN1 -t UTF-8`."
        ) from error
