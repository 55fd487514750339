"""Expected pair counts, without draws: samples x unordered pairs, as a CSR matrix.

word2vec drops frequent words at random, then closes the gaps, then draws a window. X_i[w,c] is the expectation
of what it counts: over token positions p != q of sample i,

    keep(w) keep(c) E[(window + 1 - D)/window]+,   D = 1 + the words between p and q that are kept,

so removing a sentence touches nothing else. (With D the plain distance, gaps are never closed: WordSim-353 on
wikipedia-180k is .02 lower, see docs/design.md.) Both orders of a pair have the same count: one number serves both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.sparse

from crossloss.core import Progress, UserError
from crossloss.text.encoding import refusing
from crossloss.text.read import Corpus
from crossloss.text.vocabulary import Vocabulary, token_words

TOKENS_AT_ONCE = 200_000
FAR = 0.05
"""Positions whose expected nearness E[...] is no more than this are not counted (1: next to each other)."""
SAMPLED_TOKENS = 200_000


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Counts of unordered pairs by sample.

    Attributes
    ----------
    pairs : (m, 2) int32 array
        Word rows a <= b, sorted, unique.
    matrix : (n, m) CSR matrix, float32
        matrix[i, (a, b)] = X_i[a,b] = X_i[b,a]; for a = b the sum over ordered positions.
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
        """Inverse of ``to_tensors``; arrays that are no pair counts are refused."""
        with refusing((KeyError, ValueError), "The pairs file is damaged", "run again with overwrite=True"):
            samples, columns, window = (int(v) for v in arrays["shape"])
            parts = (arrays["data"], arrays["indices"], arrays["indptr"])
            matrix = scipy.sparse.csr_matrix(parts, shape=(samples, columns))
            matrix.check_format(full_check=True)
            if arrays["pairs"].shape != (columns, 2):
                raise ValueError("pairs and matrix do not match")
        return cls(arrays["pairs"], matrix, window)


def count_pairs(corpus: Corpus, vocabulary: Vocabulary, *, window: int, progress: Progress | None = None) -> PairCounts:
    """Count the pairs of every sample, candidates too; distances are among in-vocabulary tokens.

    Streams over blocks of sentences: vectorised shifts by 1, ..., window, one sort a block, then one table of pairs.
    Refused where no sample has two words of the vocabulary.
    """
    keys_of, counts_of, unions = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    lengths = np.zeros(len(corpus) + 1, dtype=np.int64)
    for done, (sample, key, count) in blocks(corpus, vocabulary, window):
        lengths[1 : done + 1] += np.bincount(sample, minlength=done)
        keys_of.append(key)
        counts_of.append(count.astype(np.float32))
        merge_into(unions, unique_sorted(key))
        if progress:
            progress(done, len(corpus))
    unique = reduce(union, unions, np.empty(0, dtype=np.int64))
    unions.clear()
    pairs = pairs_of(unique, len(vocabulary.words))
    for i, keys in enumerate(keys_of):  # in place, so that the long keys go as the short columns come
        keys_of[i] = np.searchsorted(unique, keys).astype(np.int32)
    columns = np.concatenate(keys_of)
    keys_of.clear()
    counts = np.concatenate(counts_of)
    counts_of.clear()
    indptr = np.cumsum(lengths)
    indptr = indptr.astype(np.int32 if indptr[-1] < 2**31 else np.int64)
    matrix = scipy.sparse.csr_matrix((counts, columns, indptr), shape=(len(corpus), len(unique)))
    return PairCounts(pairs, matrix, window)


def pairs_of(keys: np.ndarray, size: int) -> np.ndarray:
    """Word rows (m, 2) int32 of pair keys, of which there must be some."""
    if not len(keys):
        raise UserError("No sentence has two words of the vocabulary: lower min_count= or give more text.")
    return np.stack([keys // size, keys % size], axis=1).astype(np.int32)


def merge_into(unions: list[np.ndarray], keys: np.ndarray) -> None:
    """Add sorted unique keys to a stack of unions, each more than twice as long as the next: few, and little work."""
    while unions and len(unions[-1]) <= 2 * len(keys):
        keys = union(unions.pop(), keys)
    unions.append(keys)


def unique_sorted(keys: np.ndarray) -> np.ndarray:
    """Sort and drop repeats. numpy's own ``unique`` hashes integers first, which takes ten times as long here."""
    keys = np.sort(keys)
    return np.asarray(keys[np.diff(keys, prepend=-1) != 0])


def union(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distinct keys of both, sorted."""
    return unique_sorted(np.concatenate([a, b]))


def blocks(
    corpus: Corpus, vocabulary: Vocabulary, window: int, samples: slice | None = None
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Yield samples done, and (sample, pair key a V + b, count) of a block, sorted by sample and key.

    ``samples`` is a stretch of them; all by default.
    """
    words = token_words(corpus, vocabulary)
    known = words >= 0
    starts = np.concatenate([[0], np.cumsum(known)])[corpus.indptr]
    words = words[known].astype(np.int64)
    first, n = (0, len(corpus)) if samples is None else (samples.start, samples.stop)
    while first < n:
        last = int(np.searchsorted(starts, starts[first] + TOKENS_AT_ONCE, side="right")) - 1
        last = min(max(last, first + 1), n)
        sample = np.repeat(np.arange(last - first), np.diff(starts[first : last + 1]))
        local, key, count = _count_block(words[starts[first] : starts[last]], sample, vocabulary, window)
        yield last, (local + first, key, count)
        first = last


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
    words = token_words(corpus, vocabulary)
    sample = np.repeat(np.arange(len(corpus)), np.diff(corpus.indptr))
    every = max(1, len(words) // SAMPLED_TOKENS)
    elements, pairs = [], []
    for step in (4 * every, 2 * every, every):
        chosen = (sample % step == 0) & (words >= 0)
        _, key, _ = _count_block(words[chosen].astype(np.int64), sample[chosen], vocabulary, window)
        elements.append(len(key))
        pairs.append(len(unique_sorted(key)))
    if every == 1 or elements[0] == 0:
        return elements[-1], pairs[-1]
    total = round(elements[-1] * (words >= 0).sum() / chosen.sum())
    parabola = np.polyfit(np.log(elements), np.log(pairs), 2)
    size = len(vocabulary.words)
    return total, min(round(float(np.exp(np.polyval(parabola, np.log(total))))), total, size * (size + 1) // 2)
