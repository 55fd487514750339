"""The baseline without a model: test words that stand together in a sentence."""

import numpy as np

from crossloss.text.pairs import PairCounts
from crossloss.text.vocabulary import Vocabulary


def co_occurrence(counts: PairCounts, vocabulary: Vocabulary, sets: dict[str, tuple[str, ...]]) -> np.ndarray:
    """+1 for each pair that ties X to A or Y to B, -1 for each that ties X to B or Y to A, (m,) float64.

    A sentence's score is then a difference of expected counts of pairs. ``sets`` are the words of X, Y, A and B.
    """
    member = {name: np.zeros(len(vocabulary.words)) for name in "XYAB"}
    for name, mask in member.items():
        mask[[vocabulary.index[word] for word in sets[name] if word in vocabulary.index]] = 1
    target, attribute = member["X"] - member["Y"], member["A"] - member["B"]
    first, second = counts.pairs[:, 0], counts.pairs[:, 1]
    return np.asarray(target[first] * attribute[second] + target[second] * attribute[first])
