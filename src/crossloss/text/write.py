"""A corpus in the layout it came in, each sample as often as a number says."""

import bz2
import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crossloss.core import UserError
from crossloss.text.encoding import packing
from crossloss.text.read import Corpus
from crossloss.text.rows import Columns, Row, SourceInfo


def encode_corpus(corpus: Corpus, numbers: np.ndarray) -> dict[str, bytes]:
    """Files by name, of samples (n,) each as often as its whole number says; 0 leaves it out.

    A file comes back under its own name with the columns that were read; a folder of text as its files; a dataset and
    what had no layout as .parquet and .jsonl. A swapped version stands where its sentence stood. The second copy of a
    sample has #2 behind its id. Refused where no sample is left, or a document's name leads out of the folder.
    """
    if not numbers.any():
        raise UserError("No sample is left to write: choose another plan.")
    info = corpus.info or SourceInfo("jsonl")
    source = PurePosixPath(corpus.source.replace(":", "-").replace("\\", "-")).name or "corpus"
    places = np.arange(len(corpus))
    if corpus.originals is not None:
        places = np.where(corpus.originals < 0, places, corpus.originals)
    rows = [
        Row(corpus.ids[i] + (f"#{copy + 1}" if copy else ""), corpus.documents[i], corpus.texts[i])
        for i in np.argsort(places, kind="stable")
        for copy in range(int(numbers[i]))
    ]
    if info.layout == "folder" and info.columns is None:
        return dict(_folder(rows, PurePosixPath(source)))
    layout = {"folder": "jsonl", "builtin": "tsv", "dataset": "parquet"}.get(info.layout, info.layout)
    name = source if layout == info.layout and corpus.info else f"{source}.{layout}"
    columns = info.columns or Columns("text")
    if columns.document is None and any(corpus.documents):
        columns = columns._replace(document="document")  # such as the files of a folder
    return {name: _packed(name, _encoded(layout, columns, rows, info.delimiter))}


def _folder(rows: list[Row], source: PurePosixPath) -> Iterator[tuple[str, bytes]]:
    by_document: dict[str, list[Row]] = {}
    for row in rows:
        by_document.setdefault(row.document, []).append(row)
    for document, inside in by_document.items():
        path = source / document
        if path.is_absolute() or ".." in path.parts or source not in path.parents:
            raise UserError(f"The document {document!r} is no file name inside of a folder: write the corpus anew.")
        yield str(path), _packed(document, _encoded("text", Columns("text"), inside))


def _packed(name: str, content: bytes) -> bytes:
    pack = packing(PurePosixPath(name))
    return gzip.compress(content, mtime=0) if pack == ".gz" else bz2.compress(content) if pack == ".bz2" else content


def _encoded(layout: str, columns: Columns, rows: list[Row], delimiter: str = ",") -> bytes:
    names = {part: name for part in Row._fields if (name := getattr(columns, part)) is not None}
    header, lines = list(names.values()), [[getattr(row, part) for part in names] for row in rows]
    if layout == "parquet":
        sink = io.BytesIO()
        table = pa.table([pa.array(column, pa.string()) for column in zip(*lines, strict=True)], names=header)
        pq.write_table(table, sink, compression="zstd")
        return sink.getvalue()
    text = io.StringIO(newline="")
    if layout == "csv":
        csv.writer(text, delimiter=delimiter).writerows([header, *lines])
    elif layout == "jsonl":
        text.writelines(json.dumps(dict(zip(header, line, strict=True))) + "\n" for line in lines)
    else:
        ends = "\r\n\t"[: 2 + (layout == "tsv")]
        for row, line in zip(rows, lines, strict=True):
            if any(end in part for part in line for end in ends):
                raise UserError(
                    f"Sentence {row.id} has a line end or a tab in it, which a {layout} file cannot hold: train with "
                    "the corpus as .jsonl."
                )
        text.writelines("\t".join(line) + "\n" for line in ([] if layout == "text" else [header]) + lines)
    return text.getvalue().encode()
