"""Where rows come from: a text file, Parquet, a Hugging Face dataset, a folder of files; paragraphs to sentences."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossloss.core import UserError, refusing
from crossloss.text.encoding import COMPRESSED
from crossloss.text.layouts import LINE_NOTE, ending, file_rows
from crossloss.text.rows import Columns, EmptyFile, Row, SourceInfo, choose, typed_rows
from crossloss.text.sentences import sentences
from crossloss.utils.extras import needed

REPEATED = "the column id has a value twice or more, so rows are numbered"
READ = (".txt", ".text", ".tsv", ".csv", ".jsonl", ".ndjson", ".parquet")
"""Endings of the files of a folder that are read, each also packed; a .json there is rather a note about them."""
AT_ONCE = 1000


def source_rows(source: Any, asked: Columns, *, split: bool = False) -> tuple[list[Row], SourceInfo]:
    """Rows of a source as ``cl.read`` has it, and what it turned out to be.

    With ``split`` each text is split into sentences; in a file without columns, paragraphs stand a line each, or are
    parted by blank lines where there are any.
    """
    each, info = each_row(source, asked)
    rows = list(each)
    if asked.id is None and len({row.id for row in rows}) < len(rows):
        each, info = each_row(source, asked._replace(id=""))
        rows = list(each)
        info.notes.append(REPEATED)
    if split:
        rows = list(parted(rows, info, has_paragraphs(rows, info)))
    return rows, info


def each_row(source: Any, asked: Columns) -> tuple[Iterator[Row], SourceInfo]:
    """Rows of a source one after the other, whose ids may repeat; what it is is known when the last has come."""
    info = SourceInfo()
    if not isinstance(source, str | Path):
        return _dataset("The dataset", source, asked, info), info
    path = Path(source)
    with refusing((OSError, ValueError), f"{path} cannot be read", "check the path"):
        is_folder = path.is_dir()
    return (_folder if is_folder else _file)(path, asked, info), info


def has_paragraphs(rows: Iterable[Row], info: SourceInfo) -> bool:
    """Whether rows are lines of a text without columns that blank ones part."""
    first = last = count = 0
    for row in rows if info.layout == "text" else ():
        last, count = int(row.id), count + 1
        first = first or last
    return count > 0 and last - first >= count


def parted(rows: Iterable[Row], info: SourceInfo, paragraphs: bool) -> Iterator[Row]:
    """Rows of the sentences of rows, which are paragraphs each, or lines of ``paragraphs``."""
    for row in _paragraphs(rows) if paragraphs else rows:
        for i, text in enumerate(sentences(row.text), 1):
            yield Row(f"{row.id}.{i}", row.document, text)
    info.notes = [note for note in info.notes if not note.endswith(LINE_NOTE)]


def _paragraphs(lines: Iterable[Row]) -> Iterator[Row]:
    """Lines between blank ones, joined: the difference of number and place is one within a paragraph."""
    for _, paragraph in groupby(enumerate(lines), lambda line: int(line[1].id) - line[0]):
        rows = [row for _, row in paragraph]
        yield Row(rows[0].id, "", " ".join(row.text for row in rows))


def _file(path: Path, asked: Columns, info: SourceInfo) -> Iterator[Row]:
    return (_parquet if path.suffix.lower() == ".parquet" else file_rows)(path, asked, info)


def _parquet(path: Path, asked: Columns, info: SourceInfo) -> Iterator[Row]:
    info.layout = "parquet"
    errors = (pa.ArrowException, OSError, ValueError, KeyError)
    with refusing(errors, f"{path} is not a readable Parquet file", "write it again"), pq.ParquetFile(path) as file:
        columns = choose(path, file.schema_arrow.names, asked, info)
        kind = file.schema_arrow.field(columns.text).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if kind not in (pa.string(), pa.large_string(), pa.null()):
            raise UserError(f"{path}: the column {columns.text} holds {kind}, not text: choose another --text.")
        batches = file.iter_batches(AT_ONCE, columns=[name for name in columns if name is not None])
        yield from _batched(path, batches, columns, info)


def _batched(
    where: object, batches: Iterable[pa.RecordBatch | Mapping[str, list[Any]]], columns: Columns, info: SourceInfo
) -> Iterator[Row]:
    def values() -> Iterator[tuple[Any, ...]]:
        for batch in batches:
            if isinstance(batch, pa.RecordBatch):
                batch.validate(full=True)
                batch = batch.to_pydict()
            absent = [None] * len(batch[columns.text])
            yield from zip(*(absent if name is None else batch[name] for name in columns), strict=True)

    return typed_rows(where, enumerate(values(), 1), info)


def _dataset(where: object, dataset: Any, asked: Columns, info: SourceInfo) -> Iterator[Row]:
    """Rows of a ``datasets.Dataset`` or ``IterableDataset``."""
    info.layout = "dataset"
    if isinstance(dataset, Mapping):
        parts, first = ", ".join(map(str, dataset)), next(iter(dataset), "")
        raise UserError(f"{where} has several splits ({parts}): give one, such as dataset[{first!r}].")
    if not all(hasattr(dataset, name) for name in ("column_names", "select_columns", "iter")):
        raise UserError(
            f"A {type(dataset).__name__} is no corpus: give a path, a Hugging Face dataset, or sentences to "
            "cl.from_sentences."
        )
    columns = choose(where, dataset.column_names or list(next(iter(dataset), {})), asked, info)
    chosen = dataset.with_format(None).select_columns([name for name in columns if name is not None])
    return _batched(where, chosen.iter(batch_size=AT_ONCE), columns, info)


def _folder(path: Path, asked: Columns, info: SourceInfo) -> Iterator[Row]:
    """Rows of every file that is read; a file is a document unless it has a column of them."""
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        with needed("datasets", f"{path}, saved by Hugging Face's datasets,"):
            import datasets
        with refusing(Exception, f"{path} is no complete saved dataset", "save it again"):  # any, of a damaged folder
            dataset = datasets.load_from_disk(str(path))
        yield from _dataset(path, dataset, asked, info)
        return
    if (path / "manifest.json").exists() and (path / ".lock").exists():
        raise UserError(f"{path} is a run folder: give the corpus itself.")
    info.layout, info.files = "folder", 0
    for file in filter(Path.is_file, sorted(path.rglob("*"))):
        relative, inner = file.relative_to(path), SourceInfo()
        name = relative.as_posix()
        if ending(file) not in READ or any(part.startswith(".") for part in relative.parts):
            info.passed_over += 1
            continue
        try:
            for row in _file(file, asked, inner):
                yield Row(f"{name}:{row.id}", row.document or name, row.text)
        except EmptyFile:
            info.passed_over += 1
            continue
        if inner.columns is not None:
            info.columns, info.unused = inner.columns, inner.unused
        info.notes += [f"{name}: {note}" for note in inner.notes]
        info.files, info.rows, info.skipped = info.files + 1, info.rows + inner.rows, info.skipped + inner.skipped
    if not info.files:
        raise UserError(
            f"{path} is a folder without a file that is read: {', '.join(READ)}, each also {', '.join(COMPRESSED)}."
        )
