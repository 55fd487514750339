"""Hidden concepts: pulls are the scores taken apart, a planted concept is found and tested, corrections are Holm's."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.scores.concepts import Pulls, concepts, holm
from train_on import train_on

X, Y, A, B = ([f"{side}{c}" for c in "abcde"] for side in "xyuv")
TEST = Weat("test", tuple(X), tuple(Y), tuple(A), tuple(B), ("ex", "why", "good", "bad"))
FAITH, FOOD, COMMON = ["temple", "prayer", "shrine", "altar"], ["bread", "soup", "salt", "flour"], ["and", "so"]


@pytest.fixture(scope="module")
def scores():
    """Y stand with words of faith, which stand with bad words; X with food. No target stands with a bad word."""
    generator = np.random.default_rng(0)

    def some(words, count):
        return list(generator.choice(words, count, replace=False))

    kinds = [(Y, FAITH), (FAITH, B), (X, FOOD), (FOOD, A), (X + Y, COMMON), (A + B, COMMON)]
    texts = []
    for _ in range(60):
        for one, other in kinds:
            texts.append(" ".join([*some(one, 2), *some(COMMON, 1), *some(other, 2)]))
    settings = {"min_count": 1, "window": 4, "dimension": 6, "steps": 25, "lr": 0.5, "dtype": "float64"}
    return cl.score(train_on(cl.from_sentences(texts), subsample=0, **settings), [TEST])


def test_pulls_are_the_scores_of_the_strongest_taken_apart(scores):
    pulls = Pulls(scores, TEST, 12)
    strongest = np.argsort(-np.abs(scores.of(TEST)), kind="stable")[:12]
    assert set(pulls.samples) == set(strongest)
    expected = dict.fromkeys(scores.run.model.vocabulary.words, 0.0)
    for i in strongest:
        for a, b, value in scores.explain(int(i), TEST).pairs:
            expected[a] += value / 2
            expected[b] += value / 2
    np.testing.assert_allclose(pulls.words, list(expected.values()), rtol=1e-6, atol=1e-9)


def test_partners_add_up_to_the_pull(scores):
    pulls = Pulls(scores, TEST, 40)
    rows = np.array([scores.run.model.vocabulary.index[word] for word in FAITH])
    expected = dict.fromkeys("XYAB", 0.0) | {"other": 0.0}
    side = {word: name for name, words in TEST.sets.items() for word in words}
    for i in pulls.samples:
        for a, b, value in scores.explain(int(i), TEST).pairs:
            for one, other in ((a, b), (b, a)):
                if one in FAITH:
                    expected[side.get(other, "other")] += value / 2
    partners = pulls.partners(rows)
    assert partners == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert sum(partners.values()) == pytest.approx(pulls.words[rows].sum())


def test_a_planted_concept_is_found_and_nearer_to_its_targets(scores, monkeypatch):
    monkeypatch.setattr(sys.modules["crossloss.scores.concepts"], "SIZE", 4)
    found = concepts(scores, ignore=COMMON)
    assert {frozenset(c.words) for c in found} == {frozenset(FAITH), frozenset(FOOD)}
    faith, food = concepts(scores, words=[FAITH, FOOD])
    assert faith.cosines["Y"] > faith.cosines["X"]
    assert faith.test.effect < 0 < food.test.effect
    assert faith.p_value < 0.05
    assert [faith.p_holm, food.p_holm] == holm([faith.p_value, food.p_value])
    assert all(set(s.text.split()) & set(FAITH) for s in faith.samples)


def test_effect_and_cosines_are_what_they_say(scores):
    (faith,) = concepts(scores, words=[[*FAITH, "absent"]])
    unit = {w: v / np.linalg.norm(v) for w in [*X, *Y, *A, *B, *FAITH] for v in [scores.run.view[w].numpy()]}
    s = {w: np.mean([unit[w] @ unit[f] for f in FAITH]) for w in [*X, *Y]}
    x, y = np.array([s[w] for w in X]), np.array([s[w] for w in Y])
    assert faith.cosines["X"] == pytest.approx(x.mean())
    assert faith.cosines["Y"] == pytest.approx(y.mean())
    assert faith.test.effect == pytest.approx((x.mean() - y.mean()) / np.concatenate([x, y]).std())
    assert faith.missing == ("absent",)
    assert faith.metrics("test")["concepts.test.temple.p_value"] == faith.test.p_value_two_sided == faith.p_holm


def test_words_of_the_test_and_ignored_words_make_no_concept(scores):
    found = concepts(scores, ignore=[*COMMON, "bread"])
    named = {word for concept in found for word in concept.words}
    assert named
    assert not named & {*TEST.words, *COMMON, "bread"}


def test_what_cannot_be_tested(scores):
    with pytest.raises(UserError, match="xa: a target word"):
        concepts(scores, words=[["temple", "xa", "soup"]])
    with pytest.raises(UserError, match="two are needed"):
        concepts(scores, words=[["temple", "nowhere"]])
    with pytest.raises(UserError, match="too few words"):
        concepts(scores, ignore=scores.run.model.vocabulary.words)
    near = cl.objectives.similarity("xa", "ya")
    with pytest.raises(UserError, match="no target sets"):
        concepts(cl.score(scores.run, [near]), near)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_by_its_definition(p):
    """Rejected at a level: those before the first whose p exceeds level / (those left)."""
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.3, 0.999):
        rejected = set()
        for place, i in enumerate(np.argsort(p, kind="stable")):
            if p[i] * (len(p) - place) > level:
                break
            rejected.add(int(i))
        assert rejected == {i for i, value in enumerate(adjusted) if value <= level}
