"""Quality of word vectors: similarity as people judge it, analogies, neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossloss.models.skipgram.word2vec import keyed_vectors

FEWEST_PAIRS = 10
NEIGHBOURS = 10


@dataclass(frozen=True)
class Quality:
    """Spearman correlation of cosines with human judgements, and the pairs covered.

    None where gensim is not installed (its wheel holds the lists) or fewer than ten pairs are covered.
    """

    wordsim353: float | None = None
    wordsim353_pairs: int = 0
    simlex999: float | None = None
    simlex999_pairs: int = 0


def quality(words: Sequence[str], vectors: np.ndarray) -> Quality:
    """WordSim-353 (Finkelstein et al. 2001) and SimLex-999 (Hill et al. 2015) of vectors (V, d)."""
    try:
        from gensim.test.utils import datapath
    except ImportError:
        return Quality()
    keyed, figures = keyed_vectors(words, vectors), list[Any]()
    for file in map(datapath, ("wordsim353.tsv", "simlex999.txt")):
        with open(file, encoding="utf-8") as lines:
            pairs = [line.split("\t")[:2] for line in lines if line.strip() and not line.startswith("#")]
        covered = sum(len(p) == 2 and all(w.lower() in keyed.key_to_index for w in p) for p in pairs)
        value = None
        if covered >= FEWEST_PAIRS:  # restrict_vocab counts from the most frequent word; all of ours count
            value = float(keyed.evaluate_word_pairs(file, restrict_vocab=len(words), case_insensitive=True)[1][0])
        figures += [value, covered]
    return Quality(*figures)


def analogies(words: Sequence[str], vectors: np.ndarray) -> float | None:
    """Share of the analogy questions (Mikolov et al. 2013) with all four words here that vectors (V, d) answer right.

    None where gensim is not installed or fewer than ten questions are covered.
    """
    try:
        from gensim.test.utils import datapath
    except ImportError:
        return None
    keyed = keyed_vectors(words, vectors)
    _, sections = keyed.evaluate_word_analogies(datapath("questions-words.txt"), restrict_vocab=len(words))
    right, wrong = (len(sections[-1][name]) for name in ("correct", "incorrect"))
    return float(right / (right + wrong)) if right + wrong >= FEWEST_PAIRS else None


def neighbours(vectors: np.ndarray, words: int) -> np.ndarray:
    """Ten nearest words by cosine of each of the first ``words`` rows of (V, d): (words, 10) rows, in no order."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    near = unit[:words] @ unit.T
    np.fill_diagonal(near, -np.inf)
    count = min(NEIGHBOURS, len(unit) - 1)
    return np.asarray(np.argpartition(-near, count - 1, axis=1)[:, :count])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean part of the neighbours in ``a`` that are in ``b``, both of ``neighbours`` for the same words."""
    return float(np.mean([len(np.intersect1d(x, y)) / len(x) for x, y in zip(a, b, strict=True)]))


def neighbours_kept(before: np.ndarray, vectors: np.ndarray) -> float:
    """Mean part of the neighbours ``before`` (of ``neighbours``) that are still neighbours in vectors (V, d)."""
    return overlap(before, neighbours(vectors, len(before)))
