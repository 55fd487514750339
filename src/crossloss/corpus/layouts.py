"""Rows of text files: a sentence a line, tab-separated, comma-separated; each may be gzipped. Strict UTF-8."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crossloss.core import UserError

TEXT_COLUMNS = ("text", "sentence")


class Row(NamedTuple):
    """What a layout gives for each sample."""

    id: str
    document: str
    text: str


def read_rows(path: Path, text: str | None, document: str | None, id: str | None) -> Iterator[Row]:
    """Yield the rows of a file, in the layout its name says.

    Raises
    ------
    UserError
        Absent, unreadable, cut off, not UTF-8, empty, or without the columns asked for.
    """
    layout = [suffix for suffix in path.suffixes if suffix != ".gz"][-1:]
    content = _decode(path, _read_bytes(path))
    if not content.strip():
        raise UserError(f"{path} is empty: give a file with one sentence a line.")
    table: Iterator[list[str]]
    if layout == [".tsv"]:
        table = (line.rstrip("\r").split("\t") for line in content.split("\n") if line.rstrip("\r"))
    elif layout == [".csv"]:
        csv.field_size_limit(1 << 30)
        table = csv.reader(io.StringIO(content, newline=""), strict=True)
    else:
        if text or document or id:
            raise UserError(f"{path} is read a sentence a line and has no columns: leave --text, --document, --id out.")
        for number, line in enumerate(content.split("\n"), 1):
            if line.strip():
                yield Row(str(number), "", line.strip("\r"))
        return
    yield from _columns(path, table, text, document, id)


def _columns(
    path: Path, table: Iterator[list[str]], text: str | None, document: str | None, id: str | None
) -> Iterator[Row]:
    try:
        header = next(table)
        found = ", ".join(header)
        chosen = text or next((name for name in TEXT_COLUMNS if name in header), None)
        if chosen is None:
            raise UserError(f"{path} has no column text or sentence; name one with --text. Columns: {found}.")
        for name in filter(None, (chosen, document, id)):
            if name not in header:
                raise UserError(f"{path} has no column {name}. Columns: {found}.")
        at_text = header.index(chosen)
        at_document = header.index(document or "document") if (document or "document") in header else None
        at_id = header.index(id or "id") if (id or "id") in header else None
        for number, row in enumerate(table, 1):
            if len(row) != len(header):
                raise UserError(f"{path}, row {number}: {len(row)} fields where the header has {len(header)}.")
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
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is no complete gzip file ({error}): copy it again.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder: give a text, tsv or csv file.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path.") from error


def _decode(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} is not UTF-8 (line {line}, byte 0x{raw[error.start]:02x}): "
            "convert it with `iconv -f LATIN1 -t UTF-8`."
        ) from error
