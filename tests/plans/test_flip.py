"""Decisive sets against retraining every prefix; what they have in common."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives import permutation_test
from crossloss.objectives.weat import Weat
from crossloss.plans.flip import in_common, smallest_that
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 20, "lr": 0.6, "momentum": 0.9, "dtype": "float64"}


@pytest.fixture(scope="module")
def made():
    planted = ["waa wai wab waj wac wak"] * 30 + ["wae wam waf wan wag wao"] * 30
    run = train_on(cl.from_sentences([*random_sentences(7, sentences=100), *planted]), **SETTINGS)
    return run, cl.score(run, [ONE])


@given(st.integers(0, 70), st.integers(1, 100), st.integers(1, 60))
def test_bisection_finds_the_threshold(threshold, guess, limit):
    asked = []

    def measure(size):
        asked.append(size)
        return float(size), 0.0

    size, found = smallest_that(measure, lambda m: m[0] >= threshold, guess=guess, limit=limit)
    assert size == min(threshold, limit)
    assert found[0] == size
    assert max(asked) <= limit
    assert len(asked) == len(set(asked)) <= 2 + 2 * int(np.ceil(np.log2(limit + guess + 1)))


@pytest.mark.parametrize("verdict", ["zero", "insignificant"])
@pytest.mark.parametrize("turned", [False, True])
def test_the_set_does_it_and_one_sample_fewer_does_not(made, verdict, turned):
    run, _ = made
    test = Weat("one", ONE.Y, ONE.X, ONE.A, ONE.B) if turned else ONE
    found = cl.smallest_flip(cl.score(run, [test]), verdict=verdict, most=0.9)
    assert found.found
    assert found.before == pytest.approx(float(test(run.view)))
    assert found.p_before < 0.05
    for size in (len(found.removed), len(found.removed) - 1):
        weights = run.weights.copy()
        weights[found.removed[:size]] = 0
        result = permutation_test(test, run.retrain(weights).view)
        done = result.effect * found.before <= 0 if verdict == "zero" else result.p_value_two_sided > 0.05
        assert done == (size == len(found.removed))
    assert found.share == pytest.approx(len(found.removed) / 161)
    assert f"{len(found.removed)} of 161 sentences decide one" in found.sentence()


def test_what_stands_and_what_was_never_there(made):
    run, scores = made
    stands = cl.smallest_flip(scores, most=0.02)
    assert not stands.found
    assert len(stands.removed) == 3
    assert "one stands" in stands.sentence()
    plain = train_on(cl.from_sentences(random_sentences(7, sentences=60)), **SETTINGS)
    never = cl.smallest_flip(cl.score(plain, [ONE]), "one", "insignificant")
    if never.p_before > 0.05:
        assert never.removed.size == 0
        assert "not significant as it is" in never.sentence()
    with pytest.raises(UserError, match="verdict"):
        cl.smallest_flip(scores, verdict="doubtful")
    with pytest.raises(UserError, match="finite"):
        cl.smallest_flip(cl.Scores(run, "unrolled", [ONE], scores.atoms * np.nan))
    with pytest.raises(UserError, match="association test"):
        cl.smallest_flip(cl.score(run, [cl.objectives.similarity("waa", "wab")]))


def test_common_documents_and_words():
    sentences = ["cat dog bird", "cat dog fish", "cat bird fish", "tree leaf fish", "tree root bird", "leaf root dog"]
    sentences += sentences[3:]
    corpus = cl.from_sentences(sentences * 5, documents=(["pets"] * 3 + ["plants"] * 6) * 5)
    run = train_on(corpus, min_count=1, dimension=2, steps=2)
    common = in_common(run, np.array([0, 1, 2, 3]))
    assert common.documents == [("pets", 3, 15), ("plants", 1, 30)]
    word, part, rest = common.words[0]
    assert (word, part, rest) == ("cat", 0.75, pytest.approx(1 / 3))
    assert "tree" not in [w for w, _, _ in common.words]
    assert in_common(run, np.array([], dtype=int)).documents == []
