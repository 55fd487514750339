"""What plans are worth: figures are those of the models, noise is between starts, words held out, stops resume."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.plans.ensemble import held_out_seeds
from crossloss.plans.evaluation import Evaluation, HeldOutWords, Row, metrics_of
from crossloss.plans.held_out import NEAR
from crossloss.plans.make import compute_plan
from crossloss.run import figures as measuring
from crossloss.run.figures import held_in_samples, held_out_loss
from dense import DenseSkipGram, dense_counts, random_sentences
from stopping import Stopping
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TWO = Weat("two", tuple(WORDS[1:5]), tuple(WORDS[16:20]), tuple(WORDS[20:24]), tuple(WORDS[24:28]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 20, "lr": 0.3, "momentum": 0.9, "dtype": "float64"}


@pytest.fixture(scope="module")
def run():
    return train_on(cl.from_sentences(random_sentences(7, sentences=150)), **SETTINGS)


@pytest.fixture(scope="module")
def plan(run):
    return cl.plan(cl.score(run, [ONE]), 0.0, method="reweight", tolerance=1e-3)


@pytest.fixture(scope="module")
def found(run, plan):
    return cl.evaluate(plan, run, [ONE, TWO], seeds=3, halves=2)


def test_figures_are_those_of_the_models_from_starts_it_was_not_fitted_to(run, plan, found):
    assert found.seeds == held_out_seeds(run, 1, 3) == [1, 2, 3]
    for at, seed in enumerate(found.seeds):
        for test in (ONE, TWO):
            row = found.row(test.name)
            for values, w in ((row.before, run.weights), (row.after, plan.weights)):
                assert values[at] == float(test(run.retrain(w, seed=seed).view))
    again = run.retrain(plan.weights).view
    assert found.effects["one"] == (float(ONE(run.view)), float(ONE(again)))
    assert found.p_values["two"] == tuple(cl.permutation_test(TWO, v).p_value for v in (run.view, again))
    other = run.retrain(seed=1)
    assert found.row("loss").before[0] == pytest.approx(run.field.data_loss(other.theta, run.trajectory.weights))
    assert found.row("one").noise == pytest.approx(np.std(found.row("one").before, ddof=1))
    assert found.moved == plan.moved
    assert Evaluation.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert "one" in repr(found)
    assert "<table>" in found._repr_html_()
    with pytest.raises(UserError, match="was not measured"):
        found.row("beauty")


def test_the_metrics_are_flat_and_named_by_the_method(run, found):
    figures = metrics_of([found])
    for group, fitted, starts in (("evaluate", "fitted", "unseen_starts"), ("debias", "effect", "other_seeds")):
        method = f"{group}.reweight-one-start"
        assert figures[f"{method}.one.{fitted}"] == found.effects["one"][1]
        assert figures[f"{group}.original.two.{fitted}"] == found.effects["two"][0]
        after = found.row("one").after
        assert figures[f"{method}.one.{starts}.mean"] == pytest.approx(np.mean(after))
        assert figures[f"{method}.one.{starts}.sd"] == pytest.approx(np.std(after, ddof=1))
        assert figures[f"{method}.loss"] == pytest.approx(np.mean(found.row("loss").after))
        assert figures[f"{method}.changed_share"] == found.changed_share
    held = found.held_out_words["one"]
    assert figures["evaluate.reweight-one-start.one.held_out_words"] == pytest.approx(np.mean(held.after))
    assert figures["debias.reweight-one-start.one.heldout_words"] == pytest.approx(np.mean(held.after))


def test_words_held_out_are_not_fitted(run, plan, found):
    """Each draw's plan is fitted to one half of the words, and judged by the other on starts that it has not seen."""
    held = found.held_out_words["one"]
    assert set(found.held_out_words) == {"one"}
    near = min(NEAR, abs(plan.value) / 10)
    for draw in range(2):
        fitted, judged = ONE.halves(run.model.word_index, draw)
        assert not {*fitted.X} & {*judged.X}
        half = compute_plan(cl.score(run, [fitted]), {fitted.name: 0.0}, replace(plan.settings, tolerance=near))
        assert abs(float(fitted(run.retrain(half.weights).view))) <= near
        before, after = ([run.retrain(w, seed=s).view for s in found.seeds] for w in (None, half.weights))
        statistic = replace(judged, kind="statistic")
        for values, test, views in (
            (held.before, judged, before), (held.after, judged, after),
            (held.statistic_before, statistic, before), (held.statistic_after, statistic, after),
        ):  # fmt: skip
            assert values[draw] == pytest.approx(np.mean([float(test(view)) for view in views]))


def test_what_carries_over():
    """Half-way to zero at least, by more than the draws differ."""
    at = [0.0, 0.0, 0.0]
    assert HeldOutWords([1.0, 1.2, 0.8], [0.2, 0.1, -0.1], at, at).carries_over
    assert not HeldOutWords([1.0, 1.2, 0.8], [0.7, 0.8, 0.9], at, at).carries_over
    assert not HeldOutWords([1.0, 1.2, 0.8], [-1.0, -1.2, -0.8], at, at).carries_over, "as biased, the other way"
    assert not HeldOutWords([1.0, -0.9, 0.1], [0.0, 0.1, -0.1], at, at).carries_over, "the draws differ more"


def test_doing_nothing_costs_nothing(run):
    nothing = cl.plan(cl.score(run, [ONE]), float(ONE(run.view)))
    assert nothing.size == 0
    found = cl.evaluate(nothing, run, [ONE], seeds=2, halves=0)
    for row in found.rows:
        if row.figure == "neighbours_kept":
            assert row.after == [1.0, 1.0]
            assert max(row.before) < 1
        else:
            assert row.after == row.before
            assert row.within_noise


def test_noise_is_told_from_change():
    assert Row("f", [1.0, 2.0, 3.0], [1.5, 2.5, 3.5]).within_noise
    assert not Row("f", [1.0, 1.1, 0.9], [1.5, 1.6, 1.4]).within_noise


def test_held_out_loss_is_the_loss_of_unseen_sentences(run):
    held_in = held_in_samples(run, 0)
    kept = np.random.default_rng([0, 353]).random(len(run.model.corpus)) >= measuring.HELD_OUT
    np.testing.assert_array_equal(held_in, kept)
    found = held_out_loss(run.model, run.retrain(held_in).theta, held_in)
    out = torch.from_numpy((~kept).astype(np.float64))
    x = dense_counts(run.model.counts, len(run.model.vocabulary.words))
    dense = DenseSkipGram(x, torch.from_numpy(run.weights), 5.0, 0.75, 5, run.field.prior)
    theta = dense.train(run.trajectory.initial, torch.from_numpy(kept.astype(np.float64)), 20, 0.3, 0.9)
    dense.prior = 0  # of the sentences alone
    number = torch.einsum("n,nwc->", out, x)
    assert found == pytest.approx(float((dense.loss(theta, out) * dense.total / number).detach()), rel=1e-9)


def test_a_stopped_evaluation_goes_on_and_the_untouched_are_measured_once(run, plan, found, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run, "store", Stopping(stop_at=3))
        with pytest.raises(KeyboardInterrupt):
            cl.evaluate(plan, run, [ONE, TWO], seeds=3, halves=2)
        resumed = cl.evaluate(plan, run, [ONE, TWO], seeds=3, halves=2)
        assert (resumed.rows, resumed.effects) == (found.rows, found.effects)
        trained, retrain = [], type(run).retrain
        patch.setattr(type(run), "retrain", lambda self, *a, **b: trained.append(1) or retrain(self, *a, **b))
        again = cl.evaluate(plan, run, [ONE, TWO], seeds=3, halves=2)
        assert again.rows == found.rows
        assert len(trained) <= 4  # the corrected models from the own start


def test_one_start_is_not_enough(run, plan):
    with pytest.raises(UserError, match="at least two starts"):
        cl.evaluate(plan, run, [ONE], seeds=1)


def test_a_torch_model_with_one_start_and_a_plain_function():
    """Judged at its own start, which the evaluation says; functions are objectives everywhere."""
    torch.manual_seed(0)
    x = torch.randn(30, 3, dtype=torch.float64)
    y = x.argmax(1)
    field = cl.TorchField(
        torch.nn.Linear(3, 3).double(),
        lambda out, b: torch.nn.functional.cross_entropy(out, b["y"], reduction="none"),
        {"x": x, "y": y},
    )

    def margin(model):
        return model(x[:5]).square().mean()

    run = cl.train(field, cl.SGD(0.2), steps=10)
    plan = cl.plan(cl.score(run, [margin]), float(margin(run.view)) * 0.98)
    found = cl.evaluate(plan, run, [margin])
    assert found.seeds == [None]
    assert found.effects["margin"] == (float(margin(run.view)), float(margin(run.retrain(plan.weights).view)))
    assert found.row("margin").after == [found.effects["margin"][1]]
    assert found.row("loss").before == [pytest.approx(run.loss)]
    assert "its one start" in repr(found)
