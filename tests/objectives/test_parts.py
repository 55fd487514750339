"""Halves share no word and together are the present words; frequent words are those."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossloss.core import UserError
from crossloss.objectives.weat import SETS, Weat, weat


@given(st.integers(0, 1000), st.sets(st.integers(0, 31), max_size=8))
@settings(max_examples=50, deadline=None)
def test_halves_are_a_partition_of_the_present_words(seed, absent):
    sides = {side: tuple(f"{side.lower()}{i}" for i in range(8)) for side in SETS}
    test = Weat("t", **sides)
    words = test.words
    index = {w: i for i, w in enumerate(words) if i not in absent}
    try:
        fitted, judged = test.halves(index, seed)
    except UserError:
        assert min(sum(w in index for w in sides[side]) for side in SETS) < 4
        return
    assert (fitted.name, judged.name) == ("t.fitted", "t.judged")
    for side in SETS:
        a, b = getattr(fitted, side), getattr(judged, side)
        assert not set(a) & set(b)
        assert set(a) | set(b) == set(index) & set(sides[side])
        assert len(a) - len(b) in (0, 1)
    assert test.halves(index, seed) == (fitted, judged)


def test_the_seed_matters_and_the_kind_stays():
    test = weat("weat7", kind="statistic")
    index = dict.fromkeys(test.words, 0)
    assert test.halves(index, 0) != test.halves(index, 1)
    assert test.halves(index, 0)[1].kind == "statistic"


def test_frequent_words():
    test = weat("weat7")
    counts = {w: i for i, w in enumerate(test.words)}
    kept = test.frequent(counts, 6)
    assert kept.name == "weat7"
    assert list(kept.X) == list(test.X[6:])
    assert kept.B == test.B
    with pytest.raises(UserError, match="occur 7 times"):
        test.frequent(counts, 7)
