"""Retraining is kept, compared within one size, and a flipped score is caught."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.estimators import InverseHessian
from crossloss.objectives.weat import Weat
from crossloss.run.retrainer import Retrainer, without
from crossloss.scores.baselines import EmbeddingCosine
from crossloss.validation.subsets import random_subsets
from crossloss.validation.validate import compare
from crossloss.validation.validation import Validation
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 30, "lr": 0.3}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fidelity") / "run"
    run = train_on(cl.from_sentences(random_sentences(7, sentences=400)), out=folder, **SETTINGS)
    return run, cl.score(run, [TEST])


def test_unrolled_predicts_retraining_and_the_baselines_less(made):
    run, scores = made
    rows = {row.estimator: row for row in compare(Retrainer(run, [TEST]), scores, subsets=12, share=0.05)["test"]}
    assert set(rows) == {"unrolled", "gradient-dot", "co-occurrence", "bm25", "embedding-cosine"}
    best = rows["unrolled"].fidelity
    assert best.pearson > 0.9
    assert 0.7 < best.slope < 1.4
    assert best.pearson > max(row.fidelity.pearson for name, row in rows.items() if name != "unrolled")
    assert best.subsets == 12
    flipped = cl.Scores(run, "unrolled", [TEST], -scores.atoms)
    assert compare(Retrainer(run, [TEST]), flipped, subsets=12, share=0.05)["test"][0].fidelity.pearson < -0.9


def test_further_estimators_are_compared_and_refused_before_any_retraining(made, monkeypatch):
    run, scores = made
    further = ["tracin", InverseHessian("word-blocks", damping=0.1), EmbeddingCosine()]
    table = compare(Retrainer(run, [TEST]), scores, subsets=6, share=0.05, estimators=further)["test"]
    rows = {row.estimator: row for row in table}
    assert list(rows)[-2:] == ["tracin", "inverse-hessian-word-blocks"]
    scored = cl.score(run, [TEST], "tracin")
    drawn = random_subsets(run.weights, share=0.05, count=6, seed=0)
    assert rows["tracin"].predicted == pytest.approx([scored.group(removed, TEST) for removed in drawn])
    assert rows["tracin"].retrained == rows["unrolled"].retrained
    monkeypatch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("trained"))
    with pytest.raises(UserError, match="word-blocks"):
        compare(Retrainer(run, [TEST]), scores, subsets=7, share=0.04, estimators=["trak"])


def test_nothing_is_trained_twice_in_a_folder(made, monkeypatch):
    run, _ = made
    retrainer = Retrainer(run, [TEST])
    weights = without(run.weights, np.array([1, 2, 3]))
    first = retrainer(weights)
    assert first["test"] == pytest.approx(float(TEST(run.retrain(weights).view)))
    monkeypatch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("trained again"))
    assert Retrainer(run, [TEST])(weights) == first
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        Retrainer(run, [TEST])(weights, seed=5)


def test_other_objectives_are_added_to_what_is_stored(made, monkeypatch):
    run, _ = made
    weights = without(run.weights, np.array([4, 5]))
    turned = Weat("turned", TEST.Y, TEST.X, TEST.A, TEST.B)
    first, second = Retrainer(run, [TEST])(weights)["test"], Retrainer(run, [turned])(weights)["turned"]
    monkeypatch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("trained again"))
    both = Retrainer(run, [TEST, turned])(weights)
    assert (both["test"], both["turned"]) == (first, second)
    assert second == pytest.approx(-first)


def test_plans_are_retrained_from_other_starts_and_against_chance(made):
    run, scores = made
    plan = cl.plan(scores, scores.values["test"] - 0.15)
    found = cl.validate(run, [TEST], subsets=0, plans={"test": plan}, strongest=0, seeds=2, removals=2)
    check = found.plans["test"]
    assert check.retrained == pytest.approx(float(TEST(run.retrain(plan.weights).view)))
    assert check.retrained == pytest.approx(plan.predicted, abs=0.08)
    assert check.curve[-1] == (plan.size, check.retrained)
    assert len(check.other_seeds) == len(check.random_removal) == len(check.random_with_test_word) == 2
    assert all(abs(v - plan.value) < abs(check.retrained - plan.value) for v in check.random_removal)
    table = compare(Retrainer(run, [TEST]), scores, subsets=4, share=0.1)
    validation = Validation(table, {"test": check}, 4, 0.1)
    again = Validation.from_json(json.loads(json.dumps(validation.to_json())))
    assert again == validation
    assert again.metrics()["plan.test.retrained"] == check.retrained


def test_a_plan_without_removals_needs_no_retraining(made):
    run, scores = made
    plan = cl.plan(scores, scores.values["test"])
    assert plan.size == 0
    assert cl.validate(run, [TEST], subsets=0, plans={"test": plan}, strongest=0).plans["test"].retrained == plan.value


def test_another_objective_of_the_same_name_is_told_from_it(tmp_path):
    """Neither its scores, nor what was validated of it, nor the samples that were checked."""
    run = train_on(cl.from_sentences(random_sentences(7, sentences=400)), out=tmp_path / "run", **SETTINGS)
    statistic = replace(TEST, kind="statistic")
    scores = cl.score(run, [TEST])
    with pytest.raises(UserError, match="Another objective was scored under the name test"):
        scores.of(statistic)
    first = cl.validate(run, [TEST], subsets=3, share=0.2, strongest=1)
    found = cl.validate(run, [statistic], subsets=3, share=0.1, strongest=0)
    fresh = cl.score(run, [statistic])
    (row,) = [row for row in found.fidelity["test"] if row.estimator == "unrolled"]
    drawn = random_subsets(run.weights, share=0.1, count=3, seed=0)
    np.testing.assert_allclose(row.predicted, [fresh.group(removed) for removed in drawn])
    assert (len(first.strongest), len(found.strongest)) == (1, 0)
    fresh.save()
    assert "test.retrained" not in pq.read_table(tmp_path / "run" / "scores.parquet").column_names
    again = cl.validate(run, [statistic], subsets=3, share=0.3, strongest=0)
    assert {row.share for row in again.fidelity["test"]} == {0.1, 0.3}, "of its own, both"
    run.close()


def test_a_plan_that_leaves_nothing_out_is_tried_from_other_starts(made):
    run, scores = made
    plan = cl.plan(scores, scores.values["test"] * 0.8, method="reweight", tolerance=1e-3)
    assert (plan.size, plan.moved > 0) == (0, True)
    check = cl.validate(run, [TEST], subsets=0, plans={"test": plan}, strongest=0, seeds=2, removals=1).plans["test"]
    assert (len(check.other_seeds), check.curve, check.random_removal) == (2, [], [])
    assert check.retrained == pytest.approx(float(TEST(run.retrain(plan.weights).view)))
    assert check.summary(plan)[0].startswith("Retrained with the plan reweight-one-start, test is ")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"subsets": 2}, "at least three"),
        ({"subsets": -1}, "at least three"),
        ({"share": 1.5}, "between 0 and 1"),
        ({"strongest": -3}, "strongest is -3"),
        ({"seeds": -1}, "seeds is -1"),
        ({"removals": -1}, "removals is -1"),
        ({"estimators": ["typo"]}, "no estimator 'typo'"),
        ({"plans": {"nope": None}}, "a plan for nope"),
    ],
)
def test_what_cannot_be_is_refused_before_any_retraining(made, monkeypatch, more, says):
    run, _ = made
    monkeypatch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("retrained"))
    with pytest.raises(UserError, match=says):
        cl.validate(run, [TEST], **more)


def test_too_few_subsets_are_refused(made):
    run, scores = made
    with pytest.raises(UserError, match="at least three"):
        compare(Retrainer(run, [TEST]), scores, subsets=2, share=0.1)
