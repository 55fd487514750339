"""Expected pair counts, without draws: samples x unordered pairs, as a CSR matrix.

word2vec drops frequent words at random, then closes the gaps, then draws a window. X_i[w,c] is the expectation
of what it counts: over token positions p != q of sample i,

    keep(w) keep(c) E[(window + 1 - D)/window]+,   D = 1 + the words between p and q that are kept,

so removing a sentence touches nothing else. (With D the plain distance, gaps are never closed: WordSim-353 on
wikipedia-180k is .02 lower, see docs/design.md.) Both orders of a pair have the same count: one number serves both.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import scipy.sparse

from crossloss.core import Progress, UserError, refusing
from crossloss.text.long_rows import rows_of
from crossloss.text.samples import Corpus
from crossloss.text.vocabulary import Vocabulary, known_words
from crossloss.utils import distributed
from crossloss.utils.mapping import forget
from crossloss.utils.threads import map_in_threads

TOKENS_AT_ONCE = 200_000
FAR = 0.05
"""Positions whose expected nearness E[...] is no more than this are not counted (1: next to each other)."""
SAMPLED_TOKENS = 200_000
ROWS_AT_ONCE = 20_000
"""Samples whose rows of the matrix are looked at at once."""
Counted = tuple[slice, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""A block's samples, how many pairs each has, their keys, their counts, and the distinct keys."""


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Counts of unordered pairs by sample.

    Attributes
    ----------
    pairs : (m, 2) int32 array
        Word rows a <= b, sorted, unique.
    matrix : (n, m) CSR matrix, float32
        matrix[i, (a, b)] = X_i[a,b] = X_i[b,a]; for a = b the sum over ordered positions. ``LongRows`` where it has
        2^31 elements or more.
    """

    pairs: np.ndarray
    matrix: scipy.sparse.csr_matrix
    window: int

    @cached_property
    def keys(self) -> np.ndarray:
        """A number for each pair, ascending, (m,) int64: ``pair_keys`` of its words; made when first asked for."""
        return pair_keys(self.pairs[:, 0], self.pairs[:, 1])

    def blocks(self) -> Iterator[tuple[slice, scipy.sparse.csr_matrix]]:
        """Yield this process's samples, some at a time, with their rows; a file's pages are let go of behind them."""
        for rows in distributed.blocks(self.matrix.shape[0], ROWS_AT_ONCE):
            yield rows, self.matrix[rows]
            forget(self.matrix.data, self.matrix.indices)

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Arrays for a safetensors file."""
        m = self.matrix
        shape = np.array([*m.shape, self.window], dtype=np.int64)
        arrays = {"data": m.data, "indices": m.indices, "indptr": m.indptr.astype(np.int64)}
        return {"pairs": self.pairs, "shape": shape, **arrays}

    @classmethod
    def from_tensors(cls, arrays: Mapping[str, np.ndarray]) -> "PairCounts":
        """Inverse of ``to_tensors``; arrays that are no pair counts are refused."""
        with refusing((KeyError, ValueError), "The pairs file is damaged", "run again with overwrite=True"):
            samples, columns, window = (int(v) for v in arrays["shape"])
            matrix = rows_of(arrays["data"], arrays["indices"], arrays["indptr"], (samples, columns))
            if arrays["pairs"].shape != (columns, 2):
                raise ValueError("pairs and matrix do not match")
        return cls(arrays["pairs"], matrix, window)


def pair_keys(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One int64 for each pair of word rows, in the order of the pairs."""
    return (a.astype(np.int64) << 32) | b.astype(np.int64)


def count_pairs(corpus: Corpus, vocabulary: Vocabulary, *, window: int, progress: Progress | None = None) -> PairCounts:
    """Count the pairs of every sample, candidates too; distances are among in-vocabulary tokens.

    Refused where no sample has two words of the vocabulary.
    """
    keys, counts = list[np.ndarray](), list[np.ndarray]()

    def put(key: np.ndarray, count: np.ndarray) -> None:
        keys.append(key)
        counts.append(count)

    lengths, unique = count_blocks(corpus, vocabulary, window, slice(0, len(corpus)), put, progress)
    pairs = pairs_of(unique, len(vocabulary.words))
    numbered = columns_of((keys[i] for i in range(len(keys))), unique)
    for i, columns in enumerate(numbered):  # in place, so that the long keys go as the short columns come
        keys[i] = columns
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indptr = indptr.astype(np.int32 if indptr[-1] < 2**31 else np.int64)
    data = np.concatenate(counts)
    counts.clear()
    indices = np.concatenate(keys)
    keys.clear()
    shape = (len(corpus), len(unique))
    return PairCounts(pairs, scipy.sparse.csr_matrix((data, indices, indptr), shape=shape), window)


def pairs_of(keys: np.ndarray, size: int) -> np.ndarray:
    """Word rows (m, 2) int32 of pair keys, of which there must be some."""
    if not len(keys):
        raise UserError("No sentence has two words of the vocabulary: lower min_count= or give more text.")
    if len(keys) >= 2**31:
        raise UserError(f"{len(keys):,} distinct pairs are 2^31 or more: take fewer words by max_words= or min_count=.")
    return np.stack([keys // size, keys % size], axis=1).astype(np.int32)


def columns_of(keys: Iterable[np.ndarray], unique: np.ndarray) -> Iterator[np.ndarray]:
    """The place of each key among all that are distinct, sorted: its column, int32."""
    return map_in_threads(lambda some: np.searchsorted(unique, some).astype(np.int32), keys)


def unique_sorted(*keys: np.ndarray) -> np.ndarray:
    """Distinct keys, sorted. numpy's own ``unique`` hashes integers first, which takes ten times as long here."""
    merged = np.sort(np.concatenate(keys))
    return np.asarray(merged[np.diff(merged, prepend=-1) != 0])


def count_blocks(
    corpus: Corpus,
    vocabulary: Vocabulary,
    window: int,
    samples: slice,
    put: Callable[[np.ndarray, np.ndarray], object],
    progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Give pair keys a V + b and float32 counts of a stretch of samples to ``put``, by block, sample and key.

    Returns the number of pairs of each of these samples, and all keys, sorted. A block is vectorised: shifts by
    1, ..., window, and one sort.
    """
    first, n = samples.start, samples.stop
    lengths, union = np.zeros(n - first, dtype=np.int64), Union()

    def counted(known: tuple[slice, np.ndarray, np.ndarray]) -> Counted:
        block, words, sample = known
        sample, key, count = _count_block(words, sample, vocabulary, window)
        length = np.bincount(sample, minlength=block.stop - block.start)
        return block, length, key, count.astype(np.float32), unique_sorted(key)

    blocks = known_words(corpus, vocabulary, TOKENS_AT_ONCE, samples)
    for block, length, key, count, distinct in map_in_threads(counted, blocks):
        lengths[block.start - first : block.stop - first] = length
        put(key, count)
        union.add(distinct)
        if progress:
            progress(block.stop - first, n - first)
    return lengths, union.all()


class Union:
    """Distinct keys of many sorted arrays, each of which is merged with others of its length: little work."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def add(self, keys: np.ndarray) -> None:
        """Take more keys, sorted and distinct."""
        while self.parts and len(self.parts[-1]) <= 2 * len(keys):  # each more than twice as long as the next
            keys = unique_sorted(self.parts.pop(), keys)
        self.parts.append(keys)

    def all(self) -> np.ndarray:
        """All of them, sorted."""
        return reduce(unique_sorted, self.parts, np.empty(0, dtype=np.int64))


def expected_cooccurrences(
    words: np.ndarray, sample: np.ndarray, keep: np.ndarray, window: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield positions p, positions q > p of the same sample, and their expected count, distance by distance.

    ``words`` and ``sample`` are (t,) vocabulary rows and sample numbers of in-vocabulary tokens, ``keep`` is (V,).
    """
    nearness = (window - np.arange(window)) / window
    p = np.arange(len(words))
    # Probability that j of the words between p and q are kept, (positions, window); farther is out of reach.
    between = np.zeros((len(words), window))
    between[:, 0] = 1
    for distance in range(1, len(words)):
        expected = between @ nearness
        within = (expected > FAR) & (p + distance < len(words))
        within[within] = sample[p[within]] == sample[p[within] + distance]
        p, between, expected = p[within], between[within], expected[within]
        if not len(p):
            return
        q = p + distance
        yield p, q, keep[words[p]] * keep[words[q]] * expected
        kept = between * keep[words[q], None]
        between -= kept
        between[:, 1:] += kept[:, :-1]


def _count_block(
    words: np.ndarray, sample: np.ndarray, vocabulary: Vocabulary, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sample, pair key a V + b, count), summed within each sample and sorted."""
    size = len(vocabulary.words)
    keys, counts = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for p, q, count in expected_cooccurrences(words, sample, vocabulary.keep, window):
        a, b = words[p], words[q]
        keys.append(sample[p] * size**2 + np.minimum(a, b) * size + np.maximum(a, b))
        counts.append(np.where(a == b, 2 * count, count))  # both orders fall on the one diagonal entry
    key, count = np.concatenate(keys), np.concatenate(counts)
    order = np.argsort(key, kind="stable")
    key, count = key[order], count[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    summed = np.add.reduceat(count, first) if len(first) else count
    key = key[first]
    return key // size**2, key % size**2, summed


def estimate_pairs(corpus: Corpus, vocabulary: Vocabulary, window: int) -> tuple[int, int]:
    """(stored elements of the matrix, pairs), from every s-th sentence; both exactly where the corpus is small.

    Pairs grow slower than elements, and ever slower: their growth from a quarter to a half to all of the sentences
    looked at is carried on as a parabola in the logarithms.
    """
    every, total_known = max(1, len(corpus.tokens) // SAMPLED_TOKENS), 0
    words, sample = list[np.ndarray](), list[np.ndarray]()
    for block, known, of in known_words(corpus, vocabulary):
        total_known += len(known)
        chosen = (of + block.start) % every == 0
        words.append(known[chosen])
        sample.append((of[chosen] + block.start) // every)  # small, as a key is made of it
    some, of_some = (np.concatenate([np.empty(0, dtype=np.int64), *parts]) for parts in (words, sample))
    elements, pairs = [], []
    for step in (4, 2, 1):
        chosen = of_some % step == 0
        _, key, _ = _count_block(some[chosen], of_some[chosen], vocabulary, window)
        elements.append(len(key))
        pairs.append(len(unique_sorted(key)))
    if every == 1 or elements[0] == 0:
        return elements[-1], pairs[-1]
    total = round(elements[-1] * total_known / chosen.sum())
    parabola = np.polyfit(np.log(elements), np.log(pairs), 2)
    size = len(vocabulary.words)
    return total, min(round(float(np.exp(np.polyval(parabola, np.log(total))))), total, size * (size + 1) // 2)
