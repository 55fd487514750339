"""Pair counts that pass through files: memory for the pairs and one block of sentences, however many there are.

The sentences are cut into stretches, dealt to the processes in turn. Each is counted into files of its own, which a
stopped count finds again, and all are then merged through the folder, which every process must see.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from crossloss.core import Progress
from crossloss.text import pairs as counting
from crossloss.text.pairs import Union, columns_of, count_blocks, pairs_of
from crossloss.text.samples import Corpus
from crossloss.text.vocabulary import Vocabulary
from crossloss.utils import distributed, files
from crossloss.utils.mapping import number_pieces, write_pieces

ELEMENTS_AT_ONCE = 1 << 22
STRETCHES = 64
"""Of a corpus at most, whatever the number of processes, so that another number can go on."""
KINDS = {"keys": "I64", "counts": "F32", "columns": "I32", "lengths": "I64", "unique": "I64"}
"""What a stretch has files of, and their numbers: of its elements, of its samples, and its distinct keys."""


class Stretch:
    """Samples in a row, and the files of their counts, all complete once ``unique`` is there."""

    def __init__(self, samples: slice, base: Path) -> None:
        self.samples, self.base = samples, base

    def file(self, what: str) -> Path:
        """Where it has numbers of a kind."""
        return self.base.with_name(f"{self.base.name}.{what}")

    def numbers(self, what: str) -> np.ndarray:
        """All numbers of a kind."""
        return np.fromfile(self.file(what), np.int64)

    def pieces(self, what: str) -> Iterator[np.ndarray]:
        """Numbers of a kind, some at a time."""
        return number_pieces(self.file(what), KINDS[what], ELEMENTS_AT_ONCE)

    def count(self, corpus: Corpus, vocabulary: Vocabulary, window: int, progress: Progress | None) -> None:
        """Write its files."""
        with self.file("keys").open("wb") as keys, self.file("counts").open("wb") as counts:

            def put(key: np.ndarray, count: np.ndarray) -> None:
                key.tofile(keys)
                count.tofile(counts)

            lengths, unique = count_blocks(corpus, vocabulary, window, self.samples, put, progress)
        lengths.tofile(self.file("lengths"))
        files.write_alone(self.file("unique"), unique.tofile)

    def number(self, unique: np.ndarray) -> None:
        """Turn its keys into their places among all."""
        with self.file("columns").open("wb") as columns:
            for some in columns_of(self.pieces("keys"), unique):
                some.tofile(columns)


def stream_pairs(
    corpus: Corpus, vocabulary: Vocabulary, *, window: int, file: Path, progress: Progress | None = None
) -> None:
    """Write ``count_pairs`` as a safetensors file; about 20 bytes an element stand beside it while counting."""
    name = hashlib.sha256(f"{corpus.digest} {window} {vocabulary.to_json()}".encode()).hexdigest()[:12]
    at_once = max(len(corpus.tokens) // STRETCHES + 1, counting.TOKENS_AT_ONCE)
    cut = corpus.blocks(at_once)
    stretches = [Stretch(samples, file.with_name(f"counted-{name}-{i}")) for i, samples in enumerate(cut)]
    own = stretches[distributed.rank() :: distributed.count()]
    whole = sum(stretch.samples.stop - stretch.samples.start for stretch in own)
    done = 0
    for stretch in own:
        if not stretch.file("unique").exists():

            def within(count: int, _: int, before: int = done) -> None:
                if progress:
                    progress(before + count, whole)

            stretch.count(corpus, vocabulary, window, within)
        done += stretch.samples.stop - stretch.samples.start
    distributed.wait()
    union = Union()
    for stretch in stretches:
        union.add(stretch.numbers("unique"))
    unique = union.all()
    pairs = pairs_of(unique, len(vocabulary.words))
    for stretch in own:
        stretch.number(unique)
    del unique
    shape = np.array([len(corpus), len(pairs), window], dtype=np.int64)
    files.write(file, partial(_join, stretches, pairs, shape))
    files.delete(file.parent, f"counted-{name}-*")


def _join(stretches: list[Stretch], pairs: np.ndarray, shape: np.ndarray, file: Path) -> None:
    """Write the arrays of ``PairCounts.to_tensors``, the large ones a piece at a time."""
    lengths = np.concatenate([stretch.numbers("lengths") for stretch in stretches])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    elements = (int(indptr[-1]),)
    arrays = [("indptr", "I64", indptr.shape, iter([indptr])), ("shape", "I64", shape.shape, iter([shape]))]
    for name, what in (("data", "counts"), ("indices", "columns")):
        pieces = chain.from_iterable(map(partial(Stretch.pieces, what=what), stretches))
        arrays.append((name, KINDS[what], elements, pieces))
    write_pieces(file, [*arrays, ("pairs", "I32", pairs.shape, iter([pairs]))])
