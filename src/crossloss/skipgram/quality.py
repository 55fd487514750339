"""Quality of word vectors: similarity as people judge it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_PAIRS = 10


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
        from gensim.models import KeyedVectors
        from gensim.test.utils import datapath
    except ImportError:
        return Quality()
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(list(words), np.asarray(vectors, dtype=np.float32))
    figures: list[float | None] = []
    for file in ("wordsim353.tsv", "simlex999.txt"):
        with open(datapath(file), encoding="utf-8") as lines:
            pairs = [line.split("\t")[:2] for line in lines if line.strip() and not line.startswith("#")]
        covered = sum(len(p) == 2 and all(w.lower() in keyed.key_to_index for w in p) for p in pairs)
        value = None
        if covered >= FEWEST_PAIRS:
            # restrict_vocab counts from the most frequent word; all of ours count.
            found = keyed.evaluate_word_pairs(datapath(file), restrict_vocab=len(words), case_insensitive=True)
            value = float(found[1][0])
        figures += [value, covered]
    return Quality(figures[0], int(figures[1] or 0), figures[2], int(figures[3] or 0))
