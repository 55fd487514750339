"""Plans fitted to targets, retrained: reached, smallest, averaged over starts, resumed, refused."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.plans.ensemble import SeedEnsemble, held_out_seeds
from crossloss.plans.fitting import fit, reweighting
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


def planned(run, targets, method="reweight", **more):
    tests = [test for test in (ONE, TWO) if test.name in targets]
    return cl.plan(cl.score(run, tests), targets, method=method, **more)


@pytest.fixture(scope="module")
def fitted(run):
    return SeedEnsemble(run, [ONE, TWO]), planned(run, {"one": 0.0, "two": 0.1}, tolerance=1e-3)


def test_several_targets_are_reached_on_retraining(run, fitted):
    _, plan = fitted
    assert plan.reached
    again = run.retrain(plan.weights).view
    assert float(ONE(again)) == pytest.approx(0.0, abs=1e-3)
    assert float(TWO(again)) == pytest.approx(0.1, abs=1e-3)
    assert plan.results["two"] == float(TWO(again))
    assert plan.values["one"] == float(ONE(run.view))
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
    starts = SeedEnsemble(run, [ONE, TWO], count)
    rng = np.random.default_rng(0)
    weights, direction = rng.uniform(0.5, 1.5, len(run.model.corpus)), rng.normal(size=len(run.model.corpus))
    slopes = starts.slopes(weights, round=3)
    assert slopes.shape == (2, len(run.model.corpus))

    def mean(w):
        views = [run.retrain(w, seed=seed).view for seed in starts.derivative_seeds(3)]
        return np.mean([[float(ONE(view)), float(TWO(view))] for view in views], axis=0)

    h = 1e-5
    found = (mean(weights + h * direction) - mean(weights - h * direction)) / (2 * h)
    np.testing.assert_allclose(slopes @ direction, found, rtol=1e-6)


def test_no_start_gives_both_values_and_derivatives(run):
    starts = SeedEnsemble(run, [ONE], 3)
    fresh = [seed for round in range(5) for seed in starts.derivative_seeds(round)]
    others = held_out_seeds(run, 3, 5)
    assert starts.seeds == starts.baseline_seeds[: len(starts.seeds)]
    assert len({*starts.baseline_seeds, *fresh, *others}) == len(starts.baseline_seeds) + 15 + 5
    assert starts.values(run.weights).shape == (len(starts.seeds), 1)
    assert SeedEnsemble(run, [ONE]).seeds == SeedEnsemble(run, [ONE]).derivative_seeds(7) == [run.seed]


def test_several_starts_carry_over_to_unseen_ones():
    """What the plan changes at the starts that judge it, it changes at others too, but for chance; of one it is less.

    Chance: the standard error of the difference of two means of (weighted - untouched).
    """
    planted = ["waa wai wab waj wac wak"] * 20 + ["wae wam waf wan wag wao"] * 20
    run = train_on(cl.from_sentences([*random_sentences(7, sentences=200), *planted]), **SETTINGS)

    def change(weights, seeds):
        pairs = [[float(ONE(run.retrain(w, seed=s).view)) for w in (run.weights, weights)] for s in seeds]
        return np.diff(pairs, axis=1)[:, 0]

    others, carried = held_out_seeds(run, 4, 40), {}
    for count in (1, 4):
        starts = SeedEnsemble(run, [ONE], count)
        plan = planned(run, {"one": 0.0}, starts=count, tolerance=0.01)
        assert plan.reached
        judged = change(plan.weights, starts.seeds)
        found = change(plan.weights, others)
        chance = np.std(found, ddof=1) * np.sqrt(1 / len(others) + 1 / len(judged))
        assert plan.retrained == pytest.approx(0.0, abs=0.01)
        first = np.mean([float(ONE(run.retrain(run.weights, seed=s).view)) for s in starts.baseline_seeds])
        assert plan.value == pytest.approx(first)
        assert plan.retrained == pytest.approx(first + judged.mean())
        carried[count] = found.mean() / judged.mean()
        if count == 4:
            assert abs(judged.mean() - found.mean()) < 2 * chance < abs(found.mean()) / 2
    assert carried[1] < carried[4]


def test_removal_reaches_two_targets_and_overshoot_is_corrected(run):
    start = {"one": float(ONE(run.view)), "two": float(TWO(run.view))}
    targets = {name: value - 0.3 * np.sign(value) for name, value in start.items()}
    plan = planned(run, targets, "remove", tolerance=0.02)
    assert plan.reached
    assert set(np.unique(plan.weights)) == {0.0, 1.0}
    out = 1 - np.isin(np.arange(len(run.model.corpus)), plan.removed).astype(float)
    once = SeedEnsemble(run, [ONE, TWO]).values(out).mean(axis=0)
    np.testing.assert_allclose(once, list(plan.results.values()))
    path = [list(start.values()), *(list(step.retrained.values()) for step in plan.path)]
    gaps = np.abs(np.array(path) - list(targets.values())).max(axis=1)
    assert (gaps[1:] < gaps[:-1]).all()


def test_a_target_turned_round_biases_the_model_more(run):
    value = float(ONE(run.view))
    plan = planned(run, {"one": 1.5 * np.sign(value)}, tolerance=1e-2)
    assert plan.reached
    assert abs(plan.retrained) > abs(value)


def test_out_of_reach_keeps_the_best_and_says_so(run):
    plan = planned(run, {"one": 1.99}, bound=1.0001, tolerance=1e-3, rounds=3)
    assert not plan.reached
    assert abs(plan.retrained - 1.99) < abs(plan.value - 1.99)
    assert b'"reached": false' in plan.to_table().schema.metadata[b"crossloss"]
    assert (plan.weights <= 1.0001).all()


def test_fewer_rounds_than_were_stored_are_not_exceeded(tmp_path):
    with train_on(cl.from_sentences(random_sentences(5)), out=tmp_path / "run", **SETTINGS) as run:
        value = float(ONE(run.view))
        wanted = {"one": value - 0.5 * np.sign(value)}
        many = planned(run, wanted, tolerance=1e-6, rounds=4)
        assert len(many.path) > 1
        few = planned(run, wanted, tolerance=1e-6, rounds=1)
        assert len(few.path) == 1
        assert few.results != many.results
        assert planned(run, wanted, tolerance=1e-6, rounds=4).results == many.results


def test_candidates_stay_out(run):
    corpus = cl.from_sentences(random_sentences(7, sentences=60), candidates=random_sentences(8, sentences=5))
    small = train_on(corpus, **SETTINGS)
    for method in ("reweight", "remove"):
        plan = planned(small, {"one": 0.0}, method, tolerance=0.05, rounds=2)
        assert not plan.weights[corpus.weights == 0].any()


@pytest.mark.parametrize("count", [1, 2])
def test_a_stopped_fit_goes_on_and_ends_alike(run, monkeypatch, count):
    targets, propose = np.array([0.0, 0.1]), reweighting(run.weights, 2.0)
    tolerance = 1e-6 if count == 1 else 0.02
    starts = SeedEnsemble(run, [ONE, TWO], count)
    whole = fit(starts, targets, propose, tolerance=tolerance)
    assert len(whole.fractions) >= 2
    entry = Stopping(stop_at=2).entry("fit")  # after the first step
    with pytest.raises(KeyboardInterrupt):
        fit(starts, targets, propose, tolerance=tolerance, entry=entry)
    resumed = fit(starts, targets, propose, tolerance=tolerance, entry=entry)
    assert resumed.weights.tobytes() == whole.weights.tobytes()
    np.testing.assert_array_equal(resumed.values, whole.values)
    monkeypatch.setattr(SeedEnsemble, "slopes", lambda *unused: pytest.fail("done again"))
    again = fit(starts, targets, propose, tolerance=tolerance, entry=entry)
    np.testing.assert_array_equal(again.values, whole.values)


def test_a_fault_in_the_scores_is_caught_by_the_backtracking(run, monkeypatch):
    """Scores of the wrong sign can only make things worse, and a step that does is never taken."""
    right = SeedEnsemble.slopes
    monkeypatch.setattr(SeedEnsemble, "slopes", lambda self, w, round: -right(self, w, round))
    for count, rounds in ((1, 1), (2, 3)):
        starts = SeedEnsemble(run, [ONE], count)
        fitted = fit(starts, np.zeros(1), reweighting(run.weights, 2.0), tolerance=1e-3, rounds=3)
        assert fitted.weights.tolist() == run.weights.tolist()
        assert fitted.fractions.tolist() == [0.0] * rounds


def test_what_cannot_be_fitted(run):
    scores = cl.score(run, [ONE, TWO])
    for call, message in (
        (lambda: cl.plan(scores, 0.0, method="reweight", bound=0.5), "at least 1"),
        (lambda: cl.plan(scores, {"three": 0.0}), "three was not scored"),
        (lambda: cl.plan(scores, {}), "at least one target"),
        (lambda: cl.plan(scores, float("nan")), "finite"),
        (lambda: cl.plan(scores, 3.0), "lies between"),
        (lambda: cl.plan(scores, 0.0, method="pray"), "there are: remove, reweight"),
        (lambda: cl.plan(scores, {"one": 0.0, "two": 0.0}, method="undo"), "one association test at a time"),
        (lambda: cl.plan(scores, 0.0, method="reweight", starts=0), "at least one start"),
        (lambda: cl.plan(cl.score(run, [ONE], "gradient-dot"), 0.0, method="reweight"), "score by unrolled"),
        (lambda: SeedEnsemble(run, [ONE, ONE]), "each once"),
        (lambda: SeedEnsemble(run, []), "each once"),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_the_table_carries_what_training_with_it_needs(run, fitted):
    table = fitted[1].to_table()
    notes = json.loads(table.schema.metadata[b"crossloss"])
    assert table.column_names == ["sample", "weight"]
    assert notes["field"]["corpus"] == run.model.corpus.digest
    assert notes["targets"] == {"one": 0.0, "two": 0.1}
    assert (notes["settings"]["method"], notes["settings"]["starts"]) == ("reweight", 1)


def test_a_plan_that_was_stored_keeps_the_seconds_that_it_took(run, monkeypatch):
    ticks = itertools.count(0, 1000)
    monkeypatch.setattr("crossloss.plans.fitting.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    first = planned(run, {"one": 0.1, "two": 0.03}, rounds=1)
    assert first.seconds >= 1000
    monkeypatch.undo()
    assert planned(run, {"one": 0.1, "two": 0.03}, rounds=1).seconds == first.seconds


def test_a_small_objective_is_brought_to_its_target_too(run):
    """Of several starts, and on a scale far below any fixed tolerance."""
    small = cl.objectives.Sum((ONE,), (1e-3,), "small")
    made = cl.plan(cl.score(run, [small]), 5e-4, method="reweight", starts=2, rounds=6)
    assert abs(made.value) < 2e-4
    assert made.retrained == pytest.approx(5e-4, abs=2e-4)
