"""Rare words of an objective: named, and the test measured without them."""

from dataclasses import replace

import pytest
import torch

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.objectives import RARE, Weat, permutation_test, rare_words, similarity

WORDS = [f"w{i}" for i in range(12)]
TEST = Weat("t", tuple(WORDS[:3]), tuple(WORDS[3:6]), tuple(WORDS[6:9]), tuple(WORDS[9:12]))


def view():
    vectors = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Embeddings(WORDS, {word: i for i, word in enumerate(WORDS)}, vectors, vectors)


def counts(**changed):
    return dict.fromkeys(WORDS, RARE) | changed


def test_the_limit_itself_is_not_rare_and_absent_words_are_not_named():
    assert rare_words(TEST, counts()) is None
    assert rare_words(TEST, counts(w0=0)) is None
    assert rare_words(TEST, counts(w4=RARE - 1, w0=7, outside=1)).words == (("w0", 7), ("w4", RARE - 1))


def test_the_test_is_measured_without_them():
    found = rare_words(TEST, counts(w0=3, w8=9), view())
    fewer = Weat("t", TEST.X[1:], TEST.Y, TEST.A[:2], TEST.B)
    expected = permutation_test(fewer, view())
    assert found.value == pytest.approx(expected.effect)
    assert found.p_value == pytest.approx(expected.p_value)


def test_a_statistic_is_measured_without_them_as_a_statistic():
    statistic = replace(TEST, kind="statistic")
    rare = counts(w0=3, w8=9)
    found, effect = (rare_words(o, rare, view()) for o in (statistic, TEST))
    assert found.value == pytest.approx(float(statistic.frequent(rare, RARE)(view())))
    assert found.value != pytest.approx(effect.value)
    assert found.p_value == effect.p_value


def test_where_too_few_are_left_or_it_is_no_test_there_is_no_value():
    assert rare_words(TEST, counts(w0=3, w1=3), view()).value is None
    found = rare_words(similarity("w0", "w1"), counts(w0=3), view())
    assert (found.words, found.value) == ((("w0", 3),), None)


def test_a_function_has_no_words():
    class Any(Objective):
        name = "any"

        def __call__(self, view):
            return torch.zeros(())

    assert rare_words(Any(), counts(w0=3)) is None


def test_no_objective_is_divided_by_nothing():
    with pytest.raises(UserError, match="cannot be divided by 0"):
        TEST / 0
