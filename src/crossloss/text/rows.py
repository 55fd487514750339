"""What every layout gives: rows of id, document and text, and what the source turned out to be."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from crossloss.core import UserError
from crossloss.utils.display import several

TEXT_COLUMNS = ("text", "sentence")
NOTES = 10
"""Notes on how a source was read that are shown."""


class Row(NamedTuple):
    """What a layout gives for each sample."""

    id: str
    document: str
    text: str


class Columns(NamedTuple):
    """Columns that a row's parts come from; asked for: "" for the usual text, None for the usual others, id "" none."""

    text: str
    document: str | None = None
    id: str | None = None


@dataclass
class SourceInfo:
    """What a source turned out to be; filled in as it is read."""

    layout: str = ""  # text, tsv, csv, jsonl, parquet, dataset, folder, or builtin
    columns: Columns | None = None  # None where the layout has no columns
    unused: list[str] = field(default_factory=list)  # other columns
    rows: int = 0  # rows or lines, with those skipped
    skipped: int = 0  # blank lines, and rows whose text is null
    files: int = 1  # files of a folder that were read
    passed_over: int = 0  # files of a folder that are empty, hidden, or of a kind that is not read
    delimiter: str = ","  # what parts the columns of a csv
    notes: list[str] = field(default_factory=list)  # what else a reader should know of it, a clause each

    def summary(self, source: str) -> list[str]:
        """A line on the source of that name, and a line for each of the first ten notes."""
        kinds = {"folder": f"folder of {several(self.files, 'file')}", "text": "text, a sentence a line"}
        parts = [kinds.get(self.layout, self.layout)]
        if self.columns is not None:
            text, document, id = self.columns
            parts[0] += f", text from column {text}"
            parts.append(f"document from {document}" if document else "no document")
            parts.append(f"id from {id}" if id else "ids are row numbers")
            if self.unused:
                more = f" and {len(self.unused) - 8} more" if len(self.unused) > 8 else ""
                parts.append(f"not used: {', '.join(self.unused[:8])}{more}")
        parts.append(several(self.rows, "row" if self.columns else "line"))
        if self.skipped:
            parts.append(f"{self.skipped:,} without text skipped")
        if self.passed_over:
            parts.append(f"{several(self.passed_over, 'file')} passed over")
        return [f"{source}: {'; '.join(parts)}", *(f"Hint: {source}: {note}." for note in self.notes[:NOTES])]


class EmptyFile(UserError):
    """A file without any text."""


def choose(path: object, names: Sequence[str], asked: Columns, info: SourceInfo, hint: str = "") -> Columns:
    """Columns by what was asked for, else by their usual names; ``hint`` ends the message where there is no such."""
    listed = ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")
    text = asked.text or next((name for name in TEXT_COLUMNS if name in names), None)
    if text is None:
        raise UserError(f"{path} has no column text or sentence; name one with --text. Columns: {listed}.{hint}")
    for name in filter(None, (text, asked.document, asked.id)):
        if name not in names:
            raise UserError(f"{path} has no column {name}. Columns: {listed}.{hint}")
    document, id = asked.document or "document", "id" if asked.id is None else asked.id
    usual = [text, document, *filter(None, [id])]  # an id "" is none, though a column may have no name
    for name in usual:
        if list(names).count(name) > 1:
            raise UserError(f"{path} has two columns of one name, {name}: rename one.")
    info.columns = Columns(text, document if document in names else None, id if id and id in names else None)
    info.unused = [name for name in names if name not in info.columns]
    return info.columns


def typed_rows(path: object, values: Iterable[tuple[int, Sequence[Any]]], info: SourceInfo) -> Iterator[Row]:
    """Rows of numbers and (text, document, id) of any type; those whose text is null are counted as skipped."""
    for number, (text, document, id) in values:
        info.rows += 1
        where = f"{path}, row {number}: the"
        if text is None:
            info.skipped += 1
            continue
        if not isinstance(text, str):
            raise UserError(f"{where} text is of type {type(text).__name__}, not a string: choose --text.")
        for what, value in (("document", document), ("id", id)):
            if not isinstance(value, str | int | float | None):
                raise UserError(f"{where} {what} is of type {type(value).__name__}: choose --{what}.")
        yield Row(str(number if id is None else id), "" if document is None else str(document), text)
