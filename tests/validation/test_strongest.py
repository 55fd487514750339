"""The strongest samples retrained one at a time: chosen as tables show them, compared, stored."""

import json
from dataclasses import asdict

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.run.retrainer import Retrainer
from crossloss.validation.strongest import Strongest, check_strongest, shown_first
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 30, "lr": 0.3}


@pytest.fixture(scope="module")
def made():
    sentences = random_sentences(7, sentences=300)
    run = train_on(cl.from_sentences([*sentences, *sentences[:20]], candidates=["waa wai wab"]), **SETTINGS)
    return run, cl.score(run, [TEST])


def test_they_are_the_first_of_both_tables_and_no_candidate(made):
    run, scores = made
    chosen = shown_first(scores, "test", 4)
    trained = np.flatnonzero(run.weights > 0)
    ranked = trained[np.argsort(-scores.of("test")[trained], kind="stable")]
    assert set(ranked[:4]) | set(ranked[-4:]) <= set(chosen)
    assert len(set(chosen)) == len(chosen)
    assert (run.weights[chosen] > 0).all()


def test_each_is_what_training_without_it_gives(made):
    run, scores = made
    checked = check_strongest(Retrainer(run, [TEST]), scores, 4)["test"]
    assert checked.predicted == pytest.approx(scores.effects("test")[checked.samples])
    for sample in checked.samples[:2]:
        weights = run.weights.copy()
        weights[sample] = 0
        change = float(TEST(run.retrain(weights).view)) - scores.values["test"]
        assert checked.changes[sample] == pytest.approx(change, abs=1e-6)
    assert checked.fidelity.pearson > 0.9
    again = Strongest.from_json(json.loads(json.dumps(asdict(checked))))
    assert again == checked
    figures = checked.metrics("fidelity.test.unrolled")
    assert figures["fidelity.test.unrolled.strongest.slope"] == checked.fidelity.slope
    column = scores.table({"test": checked.changes})["test.retrained"].to_pylist()
    assert {i: v for i, v in enumerate(column) if v is not None} == checked.changes
    assert "test.retrained" not in scores.table().column_names


def test_scores_of_the_wrong_sign_are_seen(made):
    run, scores = made
    flipped = cl.Scores(run, "unrolled", [TEST], -scores.atoms)
    assert check_strongest(Retrainer(run, [TEST]), flipped, 3)["test"].fidelity.slope < -0.5


def test_two_samples_have_no_correlation(made):
    run, scores = made
    checked = check_strongest(Retrainer(run, [TEST]), scores, 1)["test"]
    few = Strongest(checked.samples[:2], checked.predicted[:2], checked.retrained[:2], None)
    assert few.metrics("x") == {}
    assert Strongest.from_json(json.loads(json.dumps(asdict(few)))) == few


def test_an_objective_without_a_value_is_refused(made, monkeypatch):
    run, scores = made
    retrainer = Retrainer(run, [TEST])
    monkeypatch.setattr(type(retrainer), "__call__", lambda *given, **more: {"test": float("nan")})
    with pytest.raises(UserError, match="no finite value of test"):
        check_strongest(retrainer, scores, 1)
