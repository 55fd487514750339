"""Plans fitted to targets, retrained: reached, smallest, averaged over starts, resumed, refused."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.plans.remove import remove_until
from crossloss.plans.reweight import reweight
from crossloss.plans.starts import Starts, unseen
from dense import DenseSkipGram, dense_counts, random_sentences
from stopping import Stopping
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TWO = Weat("two", tuple(WORDS[1:5]), tuple(WORDS[16:20]), tuple(WORDS[20:24]), tuple(WORDS[24:28]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 25, "lr": 0.6, "momentum": 0.9, "dtype": "float64"}


@pytest.fixture(scope="module")
def run():
    return train_on(cl.from_sentences(random_sentences(7, sentences=400)), **SETTINGS)


@pytest.fixture(scope="module")
def fitted(run):
    starts = Starts(run, [ONE, TWO])
    return starts, reweight(starts, {"one": 0.0, "two": 0.1}, tolerance=1e-3)


def test_several_targets_are_reached_on_retraining(run, fitted):
    _, plan = fitted
    assert plan.reached
    again = run.retrain(plan.weights).view
    assert float(ONE(again)) == pytest.approx(0.0, abs=1e-3)
    assert float(TWO(again)) == pytest.approx(0.1, abs=1e-3)
    assert plan.value("two") == float(TWO(again))
    assert plan.value("one", 0) == float(ONE(run.view))
    assert ((plan.weights >= 0) & (plan.weights <= 2)).all()
    assert 0 < plan.moved < 0.3


def test_the_change_is_nearly_the_smallest(run, fitted):
    """Against SLSQP on the true constraints, each of its derivatives a retraining of the dense reference."""
    starts, plan = fitted
    x = dense_counts(run.model.counts, len(run.model.vocabulary.words))
    dense = DenseSkipGram(x, torch_like(run.weights), 5.0, 0.75, 5, run.field.prior)
    at = run.field.view(dense.train(run.trajectory.initial, torch_like(plan.weights), 25, 0.6, 0.9))
    assert float(ONE(at).detach()) == pytest.approx(0.0, abs=1e-3)

    def constraint(w):
        return starts.values(w).mean(axis=0) - [0.0, 0.1]

    best = minimize(
        lambda w: ((w - 1) ** 2).sum(),
        plan.weights,
        jac=lambda w: 2 * (w - 1),
        bounds=[(0, 2)] * len(plan.weights),
        constraints={"type": "eq", "fun": constraint, "jac": starts.slopes},
        method="SLSQP",
        options={"maxiter": 60},
    )
    assert best.success
    assert np.linalg.norm(plan.weights - 1) <= 1.1 * np.linalg.norm(best.x - 1)


def torch_like(weights):
    import torch

    return torch.from_numpy(np.array(weights, dtype=np.float64))


@pytest.mark.parametrize("count", [1, 2])
def test_slopes_are_derivatives_of_the_mean(run, count):
    starts = Starts(run, [ONE, TWO], count)
    rng = np.random.default_rng(0)
    weights, direction = rng.uniform(0.5, 1.5, len(run.model.corpus)), rng.normal(size=len(run.model.corpus))
    slopes = starts.slopes(weights, round=3)
    assert slopes.shape == (2, len(run.model.corpus))

    def mean(w):
        views = [run.retrain(w, seed=seed).view for seed in starts.fresh(3)]
        return np.mean([[float(ONE(view)), float(TWO(view))] for view in views], axis=0)

    h = 1e-5
    found = (mean(weights + h * direction) - mean(weights - h * direction)) / (2 * h)
    np.testing.assert_allclose(slopes @ direction, found, rtol=1e-6)


def test_no_start_gives_both_values_and_derivatives(run):
    starts = Starts(run, [ONE], 3)
    fresh = [seed for round in range(5) for seed in starts.fresh(round)]
    others = unseen(run, 3, 5)
    assert starts.seeds == starts.untouched[: len(starts.seeds)]
    assert len({*starts.untouched, *fresh, *others}) == len(starts.untouched) + 15 + 5
    assert starts.values(run.weights).shape == (len(starts.seeds), 1)
    assert Starts(run, [ONE]).seeds == Starts(run, [ONE]).fresh(7) == [run.seed]


def test_several_starts_carry_over_to_unseen_ones():
    """What the plan changes at the starts that judge it, it changes at others too, but for chance; of one it is half.

    Chance: the standard error of the difference of two means of (weighted - untouched).
    """
    planted = ["waa wai wab waj wac wak"] * 20 + ["wae wam waf wan wag wao"] * 20
    run = train_on(cl.from_sentences([*random_sentences(7, sentences=200), *planted]), **SETTINGS)

    def change(weights, seeds):
        pairs = [[float(ONE(run.retrain(w, seed=s).view)) for w in (run.weights, weights)] for s in seeds]
        return np.diff(pairs, axis=1)[:, 0]

    others = unseen(run, 4, 40)
    for count in (1, 4):
        starts = Starts(run, [ONE], count)
        plan = reweight(starts, {"one": 0.0}, tolerance=0.01)
        assert plan.reached
        judged, found = plan.values[-1, :, 0] - plan.values[0, :, 0], change(plan.weights, others)
        chance = np.std(found, ddof=1) * np.sqrt(1 / len(others) + 1 / len(judged))
        assert plan.value("one") == pytest.approx(0.0, abs=0.01)
        first = np.mean([float(ONE(run.retrain(run.weights, seed=s).view)) for s in starts.untouched])
        assert plan.value("one", 0) == pytest.approx(first)
        assert plan.value("one") == pytest.approx(first + judged.mean())
        if count == 1:
            assert judged.mean() < 1.5 * found.mean()
        else:
            assert abs(judged.mean() - found.mean()) < 2 * chance < abs(found.mean()) / 2


def test_removal_reaches_two_targets_and_overshoot_is_corrected(run):
    start = {"one": float(ONE(run.view)), "two": float(TWO(run.view))}
    targets = {name: value - 0.3 * np.sign(value) for name, value in start.items()}
    starts = Starts(run, [ONE, TWO])
    plan = remove_until(starts, targets, tolerance=0.02)
    assert plan.reached
    assert set(np.unique(plan.weights)) == {0.0, 1.0}
    once = starts.values(1 - np.isin(np.arange(len(run.model.corpus)), plan.removed).astype(float)).mean(axis=0)
    np.testing.assert_allclose(once, [plan.value("one"), plan.value("two")])
    gaps = np.abs(plan.values.mean(axis=1) - list(targets.values())).max(axis=1)
    assert (gaps[1:] < gaps[:-1]).all()


def test_a_target_turned_round_biases_the_model_more(run):
    value = float(ONE(run.view))
    plan = reweight(Starts(run, [ONE]), {"one": 1.5 * np.sign(value)}, tolerance=1e-2)
    assert plan.reached
    assert abs(plan.value("one")) > abs(value)


def test_out_of_reach_keeps_the_best_and_says_so(run):
    plan = reweight(Starts(run, [ONE]), {"one": 1.99}, bound=1.0001, tolerance=1e-3, rounds=3)
    assert not plan.reached
    gaps = np.abs(plan.values[:, 0, 0] - 1.99)
    assert gaps[-1] == gaps.min() < gaps[0]
    assert b'"reached": false' in plan.to_table().schema.metadata[b"crossloss"]
    assert (plan.weights <= 1.0001).all()


def test_candidates_stay_out(run):
    corpus = cl.from_sentences(random_sentences(7, sentences=60), candidates=random_sentences(8, sentences=5))
    small = train_on(corpus, **SETTINGS)
    for make in (reweight, remove_until):
        plan = make(Starts(small, [ONE]), {"one": 0.0}, tolerance=0.05, rounds=2)
        assert not plan.weights[corpus.weights == 0].any()


@pytest.mark.parametrize("count", [1, 2])
def test_a_stopped_fit_goes_on_and_ends_alike(run, monkeypatch, count):
    targets = {"one": 0.0, "two": 0.1}
    tolerance = 1e-6 if count == 1 else 0.02
    starts = Starts(run, [ONE, TWO], count)
    whole = reweight(starts, targets, tolerance=tolerance)
    assert len(whole.fractions) >= 2
    entry = Stopping(stop_at=2).entry("fit")  # after the first step
    with pytest.raises(KeyboardInterrupt):
        reweight(starts, targets, tolerance=tolerance, entry=entry)
    resumed = reweight(starts, targets, tolerance=tolerance, entry=entry)
    assert resumed.weights.tobytes() == whole.weights.tobytes()
    np.testing.assert_array_equal(resumed.values, whole.values)
    monkeypatch.setattr(Starts, "slopes", lambda *unused: pytest.fail("done again"))
    again = reweight(starts, targets, tolerance=tolerance, entry=entry)
    assert again.reached == whole.reached


def test_a_fault_in_the_scores_is_caught_by_the_backtracking(run, monkeypatch):
    """Scores of the wrong sign can only make things worse, and a step that does is never taken."""
    right = Starts.slopes
    monkeypatch.setattr(Starts, "slopes", lambda self, w, round: -right(self, w, round))
    for count, rounds in ((1, 1), (2, 3)):
        plan = reweight(Starts(run, [ONE], count), {"one": 0.0}, tolerance=1e-3, rounds=3)
        assert not plan.reached
        assert plan.weights.tolist() == run.weights.tolist()
        assert plan.fractions.tolist() == [0.0] * rounds


def test_what_cannot_be_fitted(run):
    with pytest.raises(UserError, match="at least 1"):
        reweight(Starts(run, [ONE]), {"one": 0.0}, bound=0.5)
    with pytest.raises(UserError, match="one target for each"):
        reweight(Starts(run, [ONE]), {"two": 0.0})
    with pytest.raises(UserError, match="finite"):
        reweight(Starts(run, [ONE]), {"one": float("nan")})
    with pytest.raises(UserError, match="each once"):
        Starts(run, [ONE, ONE])
    with pytest.raises(UserError, match="at least one start"):
        Starts(run, [ONE], 0)
    with pytest.raises(UserError, match="each once"):
        Starts(run, [])
    absent = Weat("absent", ("qq", "rr"), *(tuple(WORDS[4 * i : 4 * i + 4]) for i in range(3)))
    with pytest.raises(UserError, match="has 0 of the 2 words"):
        reweight(Starts(run, [absent]), {"absent": 0.0})


def test_the_table_carries_what_training_with_it_needs(run, fitted):
    table = fitted[1].to_table()
    notes = json.loads(table.schema.metadata[b"crossloss"])
    assert table.column_names == ["sample", "weight"]
    assert notes["field"]["corpus"] == run.model.corpus.digest
    assert notes["targets"] == {"one": 0.0, "two": 0.1}
    assert notes["starts"] == 1
    assert notes["seeds"] == [0]
