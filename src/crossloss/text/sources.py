"""Where rows come from: a text file, Parquet, a Hugging Face dataset, a folder of files; paragraphs to sentences."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossloss.core import UserError
from crossloss.extras import needed
from crossloss.text.layouts import LINE_NOTE, PACKED, ending, read_rows
from crossloss.text.rows import NO_COLUMN, Columns, EmptyFile, Found, Row, choose, typed_row
from crossloss.text.sentences import sentences

READ = (".txt", ".text", ".tsv", ".csv", ".jsonl", ".ndjson", ".parquet")
"""Endings of the files of a folder that are read, each also packed; a .json there is rather a note about them."""
AT_ONCE = 1000


def source_rows(source: Any, asked: Columns, *, split: bool = False) -> tuple[list[Row], Found]:
    """Rows of a source, and what it turned out to be.

    Parameters
    ----------
    source : path, or a dataset of Hugging Face's ``datasets``
        A file in the layout its name says; a folder of such files, or one made by ``save_to_disk``.
    asked : Columns
        Names given by the user; "" and None where none was.
    split : bool
        Whether each text holds paragraphs, to be split into sentences. In a file without columns, paragraphs stand a
        line each, or are parted by blank lines where there are any.

    Raises
    ------
    UserError
        What cannot be read, with what to do.
    """
    found = Found()
    rows = _rows(source, asked, found)
    if asked.id is None and len({row.id for row in rows}) < len(rows):
        found = Found()
        rows = _rows(source, asked._replace(id=NO_COLUMN), found)
        found.notes.append("the column id has a value twice or more, so rows are numbered")
    if split:
        found.notes = [note for note in found.notes if not note.endswith(LINE_NOTE)]
        return list(_split(rows, found.layout)), found
    return rows, found


def _rows(source: Any, asked: Columns, found: Found) -> list[Row]:
    if not isinstance(source, str | Path):
        return list(_dataset("The dataset", source, asked, found))
    path = Path(source)
    return list(_folder(path, asked, found) if _is_folder(path) else _file(path, asked, found))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): check the path.") from error


def _file(path: Path, asked: Columns, found: Found) -> Iterator[Row]:
    if path.suffix.lower() == ".parquet":
        yield from _parquet(path, asked, found)
    else:
        yield from read_rows(path, asked, found)


def _parquet(path: Path, asked: Columns, found: Found) -> Iterator[Row]:
    found.layout = "parquet"
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            columns = choose(path, names, asked, found)
            kind = file.schema_arrow.field(columns.text).type
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
                raise UserError(f"{path}: the column {columns.text} holds {kind}, not text: choose another --text.")
            number = 0
            for batch in file.iter_batches(AT_ONCE, columns=[name for name in columns if name is not None]):
                batch.validate(full=True)
                yield from _batch(path, number, batch.to_pydict(), columns, found)
                number += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is not a readable Parquet file ({said}): write it again.") from error


def _batch(
    where: object, before: int, values: Mapping[str, list[Any]], columns: Columns, found: Found
) -> Iterator[Row]:
    size = len(values[columns.text])
    taken = [[None] * size if name is None else values[name] for name in columns]
    for number, parts in enumerate(zip(*taken, strict=True), before + 1):
        row = typed_row(where, number, parts, found)
        if row is not None:
            yield row


def _dataset(where: object, dataset: Any, asked: Columns, found: Found) -> Iterator[Row]:
    """Rows of a ``datasets.Dataset`` or ``IterableDataset``."""
    found.layout = "dataset"
    if isinstance(dataset, Mapping):
        parts = ", ".join(map(str, dataset))
        raise UserError(
            f"{where} has several splits ({parts}): give one, such as dataset[{next(iter(dataset), '')!r}]."
        )
    if not all(hasattr(dataset, name) for name in ("column_names", "select_columns", "iter")):
        raise UserError(
            f"A {type(dataset).__name__} is no corpus: give a path, a Hugging Face dataset, or sentences to "
            "cl.from_sentences."
        )
    names = dataset.column_names or list(next(iter(dataset), {}))
    columns = choose(where, names, asked, found)
    chosen = dataset.with_format(None).select_columns([name for name in columns if name is not None])
    number = 0
    for values in chosen.iter(batch_size=AT_ONCE):
        yield from _batch(where, number, values, columns, found)
        number += len(values[columns.text])


def _saved(path: Path, asked: Columns, found: Found) -> Iterator[Row]:
    with needed("datasets", f"{path}, saved by Hugging Face's datasets,"):
        import datasets
    try:
        dataset = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever a damaged folder makes it raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is no complete saved dataset ({said}): save it again.") from error
    yield from _dataset(path, dataset, asked, found)


def _folder(path: Path, asked: Columns, found: Found) -> Iterator[Row]:
    """Rows of every file that is read; a file is a document unless it has a column of them."""
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        yield from _saved(path, asked, found)
        return
    if (path / "manifest.json").exists() and (path / ".lock").exists():
        raise UserError(f"{path} is a run folder: give the corpus itself.")
    found.layout, found.files = "folder", 0
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if not file.is_file():
            continue
        if ending(file) not in READ or any(part.startswith(".") for part in name.parts):
            found.passed_over += 1
            continue
        inner = Found()
        try:
            for row in _file(file, asked, inner):
                yield Row(f"{name.as_posix()}:{row.id}", row.document or name.as_posix(), row.text)
        except EmptyFile:
            found.passed_over += 1
            continue
        found.columns, found.unused = inner.columns, inner.unused
        found.notes += [f"{name.as_posix()}: {note}" for note in inner.notes]
        found.files, found.rows, found.skipped = found.files + 1, found.rows + inner.rows, found.skipped + inner.skipped
    if not found.files:
        raise UserError(
            f"{path} is a folder without a file that is read: {', '.join(READ)}, each also {', '.join(PACKED)}."
        )


def _split(rows: list[Row], layout: str) -> Iterator[Row]:
    """Rows whose texts are paragraphs, as sentences: ids become ROW.1, ROW.2, ..."""
    if layout == "text" and any(int(b.id) - int(a.id) > 1 for a, b in pairwise(rows)):
        rows = list(_paragraphs(rows))
    for row in rows:
        for number, sentence in enumerate(sentences(row.text), 1):
            yield Row(f"{row.id}.{number}", row.document, sentence)


def _paragraphs(lines: list[Row]) -> Iterator[Row]:
    """Lines between blank ones, joined."""
    kept: list[Row] = []
    for line in lines:
        if kept and int(line.id) - int(kept[-1].id) > 1:
            yield Row(kept[0].id, "", " ".join(row.text for row in kept))
            kept = []
        kept.append(line)
    if kept:
        yield Row(kept[0].id, "", " ".join(row.text for row in kept))
