"""Removal plans against trying every subset, from both sides."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.plans.depleted import depleted_words
from crossloss.plans.ensemble import SeedEnsemble
from crossloss.plans.fitting import fit, removals, selection
from crossloss.plans.removal import first_order_removal
from dense import random_sentences
from stopping import Stopping
from train_on import train_on

SCORES = st.lists(st.integers(-50, 50), min_size=2, max_size=7)


@given(SCORES, st.integers(-100, 100), st.integers(-100, 100))
@settings(max_examples=200, deadline=None)
def test_no_smaller_set_reaches_the_target(scores, value, target):
    scores = np.array(scores, dtype=float)
    weights = np.ones(len(scores))
    try:
        plan = first_order_removal(scores, value=value, targets={"f": target}, before=weights)
    except UserError:
        return
    assert plan.predicted == pytest.approx(value - scores[plan.removed].sum())
    assert plan.weights.sum() == len(scores) - plan.size
    side = np.sign(target - value)

    def reaches(chosen):
        return side == 0 or (value - scores[list(chosen)].sum() - target) * side >= -1e-9

    smallest = next(
        (k for k in range(len(scores) + 1) if any(reaches(c) for c in combinations(range(len(scores)), k))), None
    )
    assert plan.reached == (smallest is not None)
    if plan.reached:
        assert plan.size == smallest
        assert reaches(plan.removed)


def test_amplifiers_go_above_the_target_and_mitigators_below():
    scores = np.array([3.0, -4.0, 1.0, 0.0, -0.5])
    down = first_order_removal(scores, value=2.0, targets={"f": 0.0}, before=np.ones(5))
    assert down.removed.tolist() == [0]
    assert down.curve.tolist() == [2.0, -1.0, -2.0]
    up = first_order_removal(scores, value=2.0, targets={"f": 5.0}, before=np.ones(5))
    assert up.removed.tolist() == [1]
    assert up.predicted == 6.0


def test_candidates_and_removed_samples_cannot_be_removed_and_weights_count():
    scores, weights = np.array([5.0, 2.0, 1.0, 0.1]), np.array([0.0, 1.0, 3.0, 1.0])
    plan = first_order_removal(scores, value=3.0, targets={"f": 0.0}, before=weights)
    assert plan.removed.tolist() == [2]
    assert plan.predicted == 0.0
    assert plan.weights.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert plan.share == pytest.approx(1 / 3)


def test_nothing_to_do_and_out_of_reach():
    scores = np.array([1.0, -1.0, 0.0])
    assert first_order_removal(scores, value=0.5, targets={"f": 0.5}, before=np.ones(3)).size == 0
    plan = first_order_removal(scores, value=5.0, targets={"f": 0.0}, before=np.ones(3))
    assert (plan.size, plan.reached, plan.predicted) == (1, False, 4.0)


def test_what_cannot_be_planned():
    with pytest.raises(UserError, match="finite"):
        first_order_removal(np.array([np.nan, 1.0]), value=1.0, targets={"f": 0.0}, before=np.ones(2))
    with pytest.raises(UserError, match="remove every sample"):
        first_order_removal(np.array([1.0, 1.0]), value=2.0, targets={"f": 0.0}, before=np.ones(2))


def test_the_table_names_every_sample():
    plan = first_order_removal(
        np.array([3.0, 1.0]), value=2.0, targets={"f": 0.0}, before=np.ones(2), origin={"corpus": "abc"}
    )
    table = plan.to_table()
    assert table["sample"].to_pylist() == [0, 1]
    assert table["weight"].to_pylist() == [0.0, 1.0]
    assert b'"corpus": "abc"' in table.schema.metadata[b"crossloss"]


def test_rare_words_that_a_plan_uses_up_are_named():
    sentences = ["rare he work", "rare he work", "rare she home", "common he work she home"] * 2
    corpus = cl.from_sentences([*sentences, *["common she home he work"] * 8])
    run = train_on(corpus, min_count=1, dimension=3, steps=3)
    found = depleted_words(run, ["common", "rare", "absent", "rare"], np.array([0, 1, 2, 3]))
    assert [(u.word, u.inside, u.count) for u in found] == [("rare", 3, 6)]
    assert found[0].sentence().startswith("3 of the 6 occurrences of 'rare' are in these 4 sentences:")
    assert [(u.word, u.inside) for u in depleted_words(run, ["common"], np.array([3]), much=0.1)] == [("common", 1)]
    assert depleted_words(run, ["rare", "common"], np.array([], dtype=int)) == []
    fewer = train_on(corpus, weights=np.r_[0, np.ones(len(corpus) - 1)], min_count=1, dimension=3, steps=3)
    assert [(u.inside, u.count) for u in depleted_words(fewer, ["rare"], np.array([0, 1, 2]))] == [(2, 5)]
    weat = Weat("t", ("rare", "he"), ("she", "common"), ("work", "he"), ("home", "she"))
    made = cl.plan(cl.score(run, [weat]), float(weat(run.view)) - 0.01)
    assert made.depleted_words == depleted_words(run, weat.words, made.removed)


WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))


def fresh_scores():
    corpus = cl.from_sentences(random_sentences(7, sentences=400))
    run = train_on(corpus, min_count=1, window=3, dimension=5, steps=25, lr=0.6, momentum=0.9, dtype="float64")
    return cl.score(run, [TEST])


@pytest.fixture(scope="module")
def trained():
    corpus = cl.from_sentences(random_sentences(7, sentences=400))
    run = train_on(corpus, min_count=1, window=3, dimension=5, steps=25, lr=0.6, momentum=0.9, dtype="float64")
    return run, cl.score(run, [TEST])


def test_a_plan_ends_where_it_says(trained):
    run, scores = trained
    target = scores.values["test"] - 0.6
    plan = cl.plan(scores, target)
    again = float(TEST(run.retrain(plan.weights).view))
    assert plan.reached
    assert again == plan.retrained == plan.path[-1].retrained["test"]
    assert abs(again - target) <= 0.01
    assert abs(plan.predicted - target) <= 0.01
    assert plan.path[0].size == plan.first_order[0]
    assert plan.path[0].predicted["test"] == pytest.approx(plan.first_order[1], abs=0.01)
    assert plan.size == plan.path[-1].size == (plan.weights == 0).sum()
    assert sorted(plan.removed) == np.flatnonzero(plan.weights == 0).tolist()
    order = {sample: place for place, sample in enumerate(plan.ranking)}
    assert [order[i] for i in plan.removed] == sorted(order[i] for i in plan.removed), "strongest first"


class Bent(SeedEnsemble):
    """f = 1 - s - s^2/2 with s what is out of sum_i a_i: first order takes s = 1 for a target of 0, which is at .73."""

    def __init__(self, run, strength):
        super().__init__(run, [TEST])
        self.strength = strength

    def values(self, weights, seeds=None):
        s = self.strength @ (1 - weights)
        return np.array([[1 - s - s * s / 2]])

    def slopes(self, weights, round=0):
        return (self.strength * (1 + self.strength @ (1 - weights)))[None]


def test_what_first_order_overshoots_is_made_good_by_a_smaller_set(trained):
    """Not by a few strong samples that come back, which would leave hundreds of weak ones out."""
    run, _ = trained
    strength = 0.08 / np.arange(1, len(run.model.corpus) + 1) ** 0.7
    fitted = fit(Bent(run, strength), np.zeros(1), selection(run.weights, removals(run.weights), 0.02), tolerance=0.02)
    smallest = int(np.searchsorted(np.cumsum(strength), 3**0.5 - 1)) + 1
    assert abs(fitted.means()[0]) <= 0.02
    assert fitted.sizes[0] > 2 * smallest
    assert (fitted.weights == 0).sum() <= 1.05 * smallest


def test_no_rounds_give_the_first_order_plan_and_retrain_nothing(trained, monkeypatch):
    run, scores = trained
    monkeypatch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("retrained"))
    plan = cl.plan(scores, scores.values["test"] - 0.6, rounds=0)
    assert (plan.path, plan.retrained) == ([], None)
    assert plan.first_order == (plan.size, plan.predicted)


def test_a_stopped_plan_goes_on(trained, monkeypatch):
    run, scores = trained
    target = scores.values["test"] - 0.6
    whole = cl.plan(scores, target)
    again = fresh_scores()
    with monkeypatch.context() as patch:
        patch.setattr(again.run, "store", Stopping(stop_at=3, suffix=".safetensors"))
        with pytest.raises(KeyboardInterrupt):
            cl.plan(again, target)
        resumed = cl.plan(again, target)
        assert resumed.path == whole.path
        assert np.array_equal(resumed.weights, whole.weights)
        patch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("retrained"))
        assert cl.plan(again, target).path == whole.path


def test_a_target_out_of_reach_is_not_tried(trained, monkeypatch):
    run, scores = trained
    monkeypatch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("retrained"))
    plan = cl.plan(scores, -1.9)
    if not plan.reached:
        assert plan.path == []
