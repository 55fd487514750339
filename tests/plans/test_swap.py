"""Swaps as plans: a share at random, the fewest by their scores, a budget, copies; derivatives against retraining."""

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.folders.restore import restore
from crossloss.objectives.weat import Weat
from crossloss.plans import read_plan
from crossloss.plans.make import swap_changes
from crossloss.run.figures import held_in_samples
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
PAIRS = list(zip(WORDS[:4], WORDS[4:8], strict=True))
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 20, "lr": 0.3, "momentum": 0.9, "dtype": "float64"}
PLANTED = ["waa wai wab waj wac wak"] * 4 + ["wae wam waf wan wag wao"] * 4


@pytest.fixture
def run(tmp_path):
    corpus = cl.with_swaps(cl.from_sentences([*random_sentences(7, sentences=300), *PLANTED]), PAIRS)
    with train_on(corpus, out=tmp_path / "run", **SETTINGS) as run:
        run.remember([ONE])
        yield run


@pytest.fixture
def scores(run):
    return cl.score(run, [ONE])


def test_a_swap_changes_the_objective_as_its_scores_say(run, scores):
    """Differences of second order of retraining with a thousandth of a sentence exchanged."""
    changes, at = swap_changes(run), float(ONE(run.view))
    assert abs(changes.sum(axis=1)).max() == 0, "what goes out comes in"
    for row in (0, 17, changes.shape[0] - 1):
        change = changes[[row]].toarray().ravel()
        once, twice = (float(ONE(run.retrain(run.weights + h * change).view)) for h in (1e-3, 2e-3))
        assert (4 * once - twice - 3 * at) / 2e-3 == pytest.approx(change @ scores.of("one"), rel=1e-4)


def test_the_fewest_reach_the_target_which_as_many_at_random_do_not(run, scores):
    plan = cl.plan(scores, 0.0, method="swap", tolerance=0.02)
    corpus = run.model.corpus
    originals = corpus.originals[plan.added]
    assert plan.reached
    assert 0 < len(plan.added) < 0.2 * (corpus.originals >= 0).sum()
    assert plan.label == "swap-fewest-one-start"
    assert sorted(originals) == np.flatnonzero((plan.weights == 0) & (plan.before > 0)).tolist()
    assert plan.weights[plan.added].tolist() == [1.0] * len(originals)
    assert plan.changed_share == pytest.approx(len(originals) / plan.before.sum())
    fixed = float(ONE(run.retrain(plan.weights).view))
    assert abs(fixed) <= 0.02
    assert fixed == pytest.approx(plan.retrained)
    share = len(plan.added) / (corpus.originals >= 0).sum()
    chance = cl.plan(scores, 0.0, method="swap", share=share)
    assert len(chance.added) == len(plan.added)
    assert abs(chance.retrained) > max(10 * abs(fixed), plan.value / 2)


def test_a_budget_and_copies(run, scores):
    most = len(cl.plan(scores, 0.0, method="swap", tolerance=0.02).added)
    few = cl.plan(scores, 0.0, method="swap", tolerance=0.02, budget=most // 2)
    assert len(few.added) == most // 2
    assert not few.reached
    assert 0 < few.retrained / few.value < 1
    added = cl.plan(scores, 0.0, method="swap", copies=True, share=1.0)
    corpus = run.model.corpus
    assert added.weights.tolist() == [1.0] * len(corpus)
    assert added.size == 0
    assert f"adding the swapped versions of {len(added.added)} sentences" in added.summary()[0]


def test_a_share_is_drawn_alike_each_time(run, scores):
    one, two = (cl.plan(scores, 0.0, method="swap", share=0.5) for _ in range(2))
    versions = int((run.model.corpus.originals >= 0).sum())
    assert len(one.added) == round(versions / 2)
    np.testing.assert_array_equal(one.weights, two.weights)


def test_a_stored_plan_is_what_it_was(run, scores):
    plan = cl.plan(scores, 0.0, method="swap", tolerance=0.02)
    plan.save(run)
    weights, notes = read_plan(run.store.file("plan-swap-fewest-one-start.parquet"))
    np.testing.assert_array_equal(weights, plan.weights)
    assert notes["settings"]["method"] == "swap"
    run.close()
    with cl.load(run.store.path) as again:
        restore(again)
        (stored,) = again.results.plans.values()
        assert (stored.settings, stored.targets, stored.results) == (plan.settings, plan.targets, plan.results)
        np.testing.assert_array_equal(stored.weights, plan.weights)
        assert stored.summary() == plan.summary()
        assert stored.seconds == pytest.approx(plan.seconds)


def test_a_sentence_is_held_out_with_its_version(run):
    originals, held_in = run.model.corpus.originals, held_in_samples(run, 0)
    versions = np.flatnonzero(originals >= 0)
    np.testing.assert_array_equal(held_in[versions], held_in[originals[versions]])
    assert 0 < held_in[versions].mean() < 1


REFUSED = {
    "a share of nothing": ({"method": "swap", "share": 0.0}, "A share of 0 swaps nothing"),
    "a share of a removal": ({"share": 0.5}, "give them with method swap"),
    "copies of a removal": ({"copies": True}, "give them with method swap"),
    "a budget of weights": ({"method": "reweight", "budget": 3}, "A budget is of swap and remove"),
    "no sentence": ({"method": "swap", "budget": 0}, "at least one sentence"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be(what, scores):
    how, why = REFUSED[what]
    with pytest.raises(UserError, match=why):
        cl.plan(scores, 0.0, **how)


def test_a_corpus_without_versions():
    run = train_on(cl.from_sentences(random_sentences(7, sentences=60)), **SETTINGS)
    with pytest.raises(UserError, match="The run has no swapped versions: train it with them"):
        cl.plan(cl.score(run, [ONE]), 0.0, method="swap")
