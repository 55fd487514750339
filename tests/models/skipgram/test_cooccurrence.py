"""The baseline without a model against its definition, pair by pair."""

from types import SimpleNamespace

import numpy as np

from crossloss.models.skipgram.cooccurrence import co_occurrence

WORDS = ["a1", "x1", "y1", "b1", "x2", "a2", "plain", "both"]
SETS = {"X": ("x1", "x2", "both", "absent"), "Y": ("y1",), "A": ("a1", "a2"), "B": ("b1", "both", "nowhere")}


def by_definition(one, other):
    """+1 for X with A and Y with B, -1 for X with B and Y with A, in either order."""
    found = 0
    for target, attribute in ((one, other), (other, one)):
        for side, sign in (("X", 1), ("Y", -1)):
            for tied, of in (("A", 1), ("B", -1)):
                found += sign * of * (target in SETS[side] and attribute in SETS[tied])
    return found


def test_every_pair_counts_what_the_test_says_of_it():
    pairs = np.array([(i, j) for i in range(len(WORDS)) for j in range(i, len(WORDS))])
    vocabulary = SimpleNamespace(words=WORDS, index={word: i for i, word in enumerate(WORDS)})
    found = co_occurrence(SimpleNamespace(pairs=pairs), vocabulary, SETS)
    expected = [by_definition(WORDS[i], WORDS[j]) for i, j in pairs]
    assert found.dtype == np.float64
    assert found.tolist() == expected
    assert {1, -1, -2, 0} <= set(expected)
