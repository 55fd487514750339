"""Expected pair counts, without draws: samples x unordered pairs, as a CSR matrix.

word2vec drops frequent words at random, then closes the gaps, then draws a window. X_i[w,c] is the expectation
of what it counts: over token positions p != q of sample i,

    keep(w) keep(c) E[(window + 1 - D)/window]+,   D = 1 + the words between p and q that are kept,

so removing a sentence touches nothing else. (With D the plain distance, gaps are never closed: WordSim-353 on
wikipedia-180k is .02 lower, see docs/design.md.) Both orders of a pair have the same count: one number serves both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from crossloss.core import Progress, UserError
from crossloss.corpus.read import Corpus
from crossloss.corpus.vocabulary import Vocabulary, token_words

TOKENS_AT_ONCE = 200_000
FAR = 0.05
"""Positions whose expected nearness E[...] is no more than this are not counted (1: next to each other)."""
SAMPLED_TOKENS = 100_000


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Counts of unordered pairs by sample.

    Attributes
    ----------
    pairs : (m, 2) int32 array
        Word rows a <= b, sorted, unique.
    matrix : (n, m) CSR matrix, float32
        matrix[i, (a, b)] = X_i[a,b] = X_i[b,a]; for a = b the sum over ordered positions.
    window : int
    """

    pairs: np.ndarray
    matrix: scipy.sparse.csr_matrix
    window: int

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Arrays for a safetensors file."""
        m = self.matrix
        shape = np.array([*m.shape, self.window], dtype=np.int64)
        arrays = {"data": m.data, "indices": m.indices, "indptr": m.indptr.astype(np.int64)}
        return {"pairs": self.pairs, "shape": shape, **arrays}

    @classmethod
    def from_tensors(cls, arrays: Mapping[str, np.ndarray]) -> "PairCounts":
        """Inverse of ``to_tensors``.

        Raises
        ------
        UserError
            The arrays are no pair counts.
        """
        try:
            samples, columns, window = (int(v) for v in arrays["shape"])
            parts = (arrays["data"], arrays["indices"], arrays["indptr"])
            matrix = scipy.sparse.csr_matrix(parts, shape=(samples, columns))
            matrix.check_format(full_check=True)
            if arrays["pairs"].shape != (columns, 2):
                raise ValueError("pairs and matrix do not match")
        except (KeyError, ValueError) as error:
            raise UserError(f"The pairs file is damaged ({error}); run again with --overwrite.") from error
        return cls(arrays["pairs"], matrix, window)


def count_pairs(corpus: Corpus, vocabulary: Vocabulary, *, window: int, progress: Progress | None = None) -> PairCounts:
    """Count the pairs of every sample, candidates too; distances are among in-vocabulary tokens.

    Streams over blocks of sentences: vectorised shifts by 1, ..., window, one sort a block, then one sorted
    table of all pairs.

    Raises
    ------
    UserError
        No sample has two words of the vocabulary.
    """
    size = len(vocabulary.words)
    rows_of, keys_of, counts_of = [], [], []
    for done, (sample, key, count) in _blocks(corpus, vocabulary, window):
        rows_of.append(sample.astype(np.int32))
        keys_of.append(key)
        counts_of.append(count.astype(np.float32))
        if progress:
            progress(done, len(corpus))
    unique = _merge([np.unique(keys) for keys in keys_of])
    if not len(unique):
        raise UserError("No sentence has two words of the vocabulary: lower --min-count or give more text.")
    columns = [np.searchsorted(unique, keys).astype(np.int32) for keys in keys_of]
    keys_of.clear()
    lengths = np.bincount(np.concatenate(rows_of), minlength=len(corpus))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    if indptr[-1] < 2**31:
        indptr = indptr.astype(np.int32)
    parts = (np.concatenate(counts_of), np.concatenate(columns), indptr)
    matrix = scipy.sparse.csr_matrix(parts, shape=(len(corpus), len(unique)))
    pairs = np.stack([unique // size, unique % size], axis=1).astype(np.int32)
    return PairCounts(pairs, matrix, window)


def _merge(sorted_keys: list[np.ndarray]) -> np.ndarray:
    """Union of sorted unique arrays, two by two, so that little is held twice."""
    if not sorted_keys:
        return np.empty(0, dtype=np.int64)
    while len(sorted_keys) > 1:
        neighbours = zip(sorted_keys[::2], [*sorted_keys[1::2], sorted_keys[0][:0]], strict=False)
        sorted_keys = [np.union1d(a, b) for a, b in neighbours]
    return sorted_keys[0]


def _blocks(
    corpus: Corpus, vocabulary: Vocabulary, window: int
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Yield samples done, and (sample, pair key, count) of a block, sorted by sample and key."""
    words = token_words(corpus, vocabulary)
    known = words >= 0
    before = np.concatenate([[0], np.cumsum(known)])
    starts = before[corpus.indptr]
    words = words[known].astype(np.int64)
    n, first = len(corpus), 0
    while first < n:
        last = int(np.searchsorted(starts, starts[first] + TOKENS_AT_ONCE, side="right")) - 1
        last = min(max(last, first + 1), n)
        block = words[starts[first] : starts[last]]
        sample = np.repeat(np.arange(last - first), np.diff(starts[first : last + 1]))
        local, key, count = _count_block(block, sample, vocabulary, window)
        yield last, (local + first, key, count)
        first = last


def near(words: np.ndarray, sample: np.ndarray, keep: np.ndarray, window: int) -> Iterator[tuple[np.ndarray, ...]]:
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
    for p, q, count in near(words, sample, vocabulary.keep, window):
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
    """(stored elements of the matrix, pairs), extrapolated from a part of the sentences; pairs from above."""
    words = token_words(corpus, vocabulary)
    lengths = np.diff(corpus.indptr)
    every = max(1, len(corpus.tokens) // SAMPLED_TOKENS)
    sample = np.repeat(np.arange(len(corpus)), lengths)
    chosen = (sample % every == 0) & (words >= 0)
    _, key, _ = _count_block(words[chosen].astype(np.int64), sample[chosen], vocabulary, window)
    entries = round(len(key) * (words >= 0).sum() / max(chosen.sum(), 1))
    size = len(vocabulary.words)
    return entries, min(entries, size * (size + 1) // 2)
