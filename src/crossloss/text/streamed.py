"""Pair counts that pass through files: memory for the pairs and one block of sentences, however many there are.

Each process counts its own stretch of the sentences; their pairs are merged through the folder, which all must see.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial, reduce
from pathlib import Path

import numpy as np

from crossloss import distributed, files
from crossloss.core import Progress
from crossloss.text.pairs import count_blocks, pairs_of, unique_sorted
from crossloss.text.read import Corpus
from crossloss.text.vocabulary import Vocabulary

ELEMENTS_AT_ONCE = 1 << 22
_NAMES = {"int64": "I64", "int32": "I32", "float32": "F32"}  # as safetensors calls them


def stream_pairs(
    corpus: Corpus, vocabulary: Vocabulary, *, window: int, file: Path, progress: Progress | None = None
) -> None:
    """Write ``count_pairs`` as a safetensors file; about 20 bytes an element stand beside it while counting."""
    parts = {
        name: [file.with_name(f".pairs-{name}-{rank}.partial") for rank in range(distributed.count())]
        for name in ("keys", "counts", "columns", "lengths", "unique")
    }
    own = {name: paths[distributed.rank()] for name, paths in parts.items()}
    with own["keys"].open("wb") as keys, own["counts"].open("wb") as counts:

        def put(key: np.ndarray, count: np.ndarray) -> None:
            key.tofile(keys)
            count.tofile(counts)

        samples = distributed.part(len(corpus))
        lengths, unique = count_blocks(corpus, vocabulary, window, samples, put, progress)
    lengths.tofile(own["lengths"])
    unique.tofile(own["unique"])
    distributed.wait()
    unique = reduce(unique_sorted, (np.fromfile(part, np.int64) for part in parts["unique"]))
    pairs = pairs_of(unique, len(vocabulary.words))
    with own["columns"].open("wb") as columns:
        for key in _pieces(own["keys"], np.int64):
            np.searchsorted(unique, key).astype(np.int32).tofile(columns)
    own.pop("keys").unlink()
    files.write(file, partial(_join, parts, pairs, np.array([len(corpus), len(pairs), window], dtype=np.int64)))
    for path in own.values():
        path.unlink()


def _join(parts: Mapping[str, list[Path]], pairs: np.ndarray, shape: np.ndarray, file: Path) -> None:
    """Write the arrays of ``PairCounts.to_tensors``, the large ones a piece at a time."""
    lengths = np.concatenate([np.fromfile(part, np.int64) for part in parts["lengths"]])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    large = {"data": ("counts", np.float32), "indices": ("columns", np.int32)}
    sizes = [("indptr", indptr.dtype, indptr.shape), ("shape", shape.dtype, shape.shape)]
    sizes += [(name, np.dtype(kind), (int(indptr[-1]),)) for name, (_, kind) in large.items()]
    with file.open("wb") as out:
        out.write(_header([*sizes, ("pairs", pairs.dtype, pairs.shape)]))
        indptr.tofile(out)
        shape.tofile(out)
        for name, kind in large.values():
            for part in parts[name]:
                for piece in _pieces(part, kind):
                    piece.tofile(out)
        pairs.tofile(out)


def _pieces(file: Path, kind: type) -> Iterator[np.ndarray]:
    """Yield a file of numbers, some at a time."""
    with file.open("rb") as source:
        piece: np.ndarray
        while len(piece := np.fromfile(source, kind, ELEMENTS_AT_ONCE)):
            yield piece


def _header(arrays: list[tuple[str, np.dtype, tuple[int, ...]]]) -> bytes:
    """Start of a safetensors file: name, dtype, shape and place of each array, padded to 8 bytes."""
    entries, start = {}, 0
    for name, kind, shape in arrays:
        end = start + kind.itemsize * int(np.prod(shape))
        entries[name] = {"dtype": _NAMES[kind.name], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
