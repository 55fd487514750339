"""What every layout gives: rows of id, document and text, and what the source turned out to be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from crossloss.core import UserError

TEXT_COLUMNS = ("text", "sentence")
NO_COLUMN = ""
"""Asked for as the column of ids: none is taken, rows are numbered."""


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
