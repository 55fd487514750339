"""Pair counts that pass through files: memory for the pairs and one block of sentences, however many there are.

The same counts as ``count_pairs``, written where they can be mapped instead of held. Each process counts its own
stretch of the sentences; their tables of pairs are merged through the folder, which all of them must see.
"""

import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import numpy as np

from crossloss import distributed
from crossloss.core import Progress
from crossloss.text.pairs import blocks, merge_into, pairs_of, union, unique_sorted
from crossloss.text.read import Corpus
from crossloss.text.vocabulary import Vocabulary

ELEMENTS_AT_ONCE = 1 << 22
_NAMES = {"int64": "I64", "int32": "I32", "float32": "F32"}  # as safetensors calls them


class Streamed:
    """Counts in parts, one set of files a process; ``write`` puts them together.

    ``folder`` is where the parts go, about 20 bytes an element while counting; ``close`` deletes them. Refused where no
    sample has two words of the vocabulary.
    """

    def __init__(
        self, corpus: Corpus, vocabulary: Vocabulary, *, window: int, folder: Path, progress: Progress | None = None
    ) -> None:
        self.folder, self.samples, self.window = folder, len(corpus), window
        mine = distributed.part(self.samples)
        lengths, unions = np.zeros(mine.stop - mine.start, dtype=np.int64), list[np.ndarray]()
        with self._part("keys").open("wb") as keys, self._part("counts").open("wb") as counts:
            for done, (sample, key, count) in blocks(corpus, vocabulary, window, mine):
                lengths += np.bincount(sample - mine.start, minlength=len(lengths))
                key.tofile(keys)
                count.astype(np.float32).tofile(counts)
                merge_into(unions, unique_sorted(key))
                if progress:
                    progress(done - mine.start, mine.stop - mine.start)
        reduce(union, unions, np.empty(0, dtype=np.int64)).tofile(self._part("unique"))
        lengths.tofile(self._part("lengths"))
        unions.clear()
        distributed.wait()
        unique = reduce(union, (np.fromfile(file, np.int64) for file in self._parts("unique")))
        self.pairs = pairs_of(unique, len(vocabulary.words))
        with self._part("columns").open("wb") as columns:
            for keys_read in _pieces(self._part("keys"), np.int64):
                np.searchsorted(unique, keys_read).astype(np.int32).tofile(columns)
        self._part("keys").unlink()
        distributed.wait()

    def _part(self, name: str, rank: int | None = None) -> Path:
        return self.folder / f".pairs-{name}-{distributed.rank() if rank is None else rank}.partial"

    def _parts(self, name: str) -> list[Path]:
        return [self._part(name, rank) for rank in range(distributed.count())]

    def write(self, file: Path) -> None:
        """Write a safetensors file with the arrays of ``PairCounts.to_tensors``, a piece at a time."""
        lengths = np.concatenate([np.fromfile(part, np.int64) for part in self._parts("lengths")])
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        shape = np.array([self.samples, len(self.pairs), self.window], dtype=np.int64)
        large = {"data": ("counts", np.float32), "indices": ("columns", np.int32)}
        sizes = [("indptr", indptr.dtype, indptr.shape), ("shape", shape.dtype, shape.shape)]
        sizes += [(name, np.dtype(kind), (int(indptr[-1]),)) for name, (_, kind) in large.items()]
        with file.open("wb") as out:
            out.write(_header([*sizes, ("pairs", self.pairs.dtype, self.pairs.shape)]))
            indptr.tofile(out)
            shape.tofile(out)
            for part, kind in large.values():
                for piece in (piece for source in self._parts(part) for piece in _pieces(source, kind)):
                    piece.tofile(out)
            self.pairs.tofile(out)

    def close(self) -> None:
        """Delete the parts of this process."""
        for name in ("counts", "columns", "lengths", "unique"):
            self._part(name).unlink()


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
