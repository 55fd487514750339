"""Rows of a file in the layout that its name says: a sentence a line or a table, each also packed."""

import bz2
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath

from crossloss.core import UserError
from crossloss.text.encoding import decode
from crossloss.text.recognise import refuse_other_layouts
from crossloss.text.rows import Columns, EmptyFile, Found, Row
from crossloss.text.sentences import sentences
from crossloss.text.tables import csv_rows, json_rows, tsv_rows

PACKED = (".gz", ".bz2")
JSON_LINES = (".jsonl", ".ndjson", ".json")
SEPARATORS = {"\x85": "U+0085", "\u2028": "U+2028", "\u2029": "U+2029"}
"""What ends lines where neither line feed nor carriage return does."""
LINE_NOTE = "--split makes a sample of each"
_LINE_END = re.compile(r"\r*\n|\r")


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
        yield from json_rows(path, lines_of(content, found), asked, found)
    elif layout == ".tsv":
        yield from tsv_rows(path, lines_of(content, found), asked, found)
    elif layout == ".csv":
        yield from csv_rows(path, content, asked, found)
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
    lines = content.split("\n")
    return lines if lines[-1] else lines[:-1]


def _separated(lines: list[str], found: Found) -> list[str]:
    """Lines of a text that has one by itself, where Unicode's separators of lines part it."""
    if sum(bool(line.strip()) for line in lines) > 1:
        return lines
    for mark, name in SEPARATORS.items():
        if any(mark in line for line in lines):
            found.notes.append(f"its lines end in {name}")
            lines = [part for line in lines for part in line.split(mark)]
    return lines


def _text(path: Path, content: str, asked: Columns, found: Found) -> Iterator[Row]:
    lines = _separated(lines_of(content, found), found)
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
