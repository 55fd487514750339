"""The baseline without a model: test words that stand together in a sentence."""

import numpy as np

from crossloss.text.pairs import PairCounts
from crossloss.text.vocabulary import Vocabulary


def co_occurrence(counts: PairCounts, vocabulary: Vocabulary, sets: dict[str, tuple[str, ...]]) -> np.ndarray:
    """+1 for each pair that an association test ties together, -1 for each that it tells apart, (m,).

    A sentence's score is then its expected count of X-with-A and Y-with-B pairs less that of X-with-B and
    Y-with-A pairs: what a reader would look for. No unit.

    Parameters
    ----------
    sets : dict
        The words of X, Y, A and B.
    """
    member = {name: np.zeros(len(vocabulary.words), dtype=bool) for name in "XYAB"}
    for name, mask in member.items():
        mask[[vocabulary.index[word] for word in sets[name] if word in vocabulary.index]] = True
    target = member["X"].astype(np.int8) - member["Y"].astype(np.int8)
    attribute = member["A"].astype(np.int8) - member["B"].astype(np.int8)
    first, second = counts.pairs[:, 0], counts.pairs[:, 1]
    return np.asarray(target[first] * attribute[second] + target[second] * attribute[first], dtype=np.float64)
