"""Displacement: Eq. 9 by hand, and every run measured from its own start."""

import numpy as np
import pytest
import torch
from every import view

from crossloss.core import UserError
from crossloss.models.skipgram.hard_debias import HardDebias
from crossloss.objectives import displacement
from crossloss.plans.ensemble import SeedEnsemble
from crossloss.run.retrainer import Retrainer
from crossloss.scores.scoring import score
from crossloss.text.read import from_sentences
from dense import random_sentences
from train_on import train_on

FINAL = torch.tensor([[3.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
START = torch.tensor([[1.0, 0.0], [5.0, 5.0]], dtype=torch.float64)
SEEN = view(FINAL, START, words=["a", "b"])


def test_by_hand():
    assert float(displacement("a")(SEEN)) == pytest.approx((2**2 + 1**2) / 2)
    assert float(displacement("a", toward="b")(SEEN)) == pytest.approx(1)
    assert float(displacement("a", along=[-10, 0])(SEEN)) == pytest.approx(-2)


REFUSED = {
    "both": (lambda: displacement("a", toward="b", along=[1, 0]), "not both"),
    "itself": (lambda: displacement("a", toward=["a"]), "toward itself"),
    "zero": (lambda: displacement("a", along=[0, 0]), "not zero"),
    "nan": (lambda: displacement("a", along=[float("nan"), 1]), "finite"),
    "length": (lambda: displacement("a", along=[1, 2, 3])(SEEN), "3 numbers and a vector 2"),
    "no start": (lambda: displacement("a")(view(FINAL, words=["a", "b"])), "no known start"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        make()


@pytest.fixture(scope="module")
def run():
    corpus = from_sentences(random_sentences(0))
    return train_on(corpus, dimension=3, steps=5, min_count=1, seed=4, dtype="float64")


def test_every_run_is_measured_from_its_own_start(run):
    objective = displacement(run.model.vocabulary.words[0])
    d = run.model.settings.dimension

    def expected(seed, weights):
        moved = run.retrain(weights, seed=seed).theta - run.field.initial(seed)
        return float(moved[:d].square().mean())

    weights = np.where(np.arange(len(run.model.corpus)) < 5, 0.0, run.weights)
    assert float(objective(run.view)) == pytest.approx(expected(4, run.weights))
    retrainer, starts = Retrainer(run, [objective]), SeedEnsemble(run, [objective])
    for seed in (4, 9):
        assert retrainer(weights, seed=seed)[objective.name] == pytest.approx(expected(seed, weights))
    assert starts.values(weights, [4, 9])[:, 0] == pytest.approx([expected(4, weights), expected(9, weights)])
    other = train_on(run.model.corpus, like=run, seed=9)
    assert float(objective(other.view)) == pytest.approx(expected(9, run.weights))
    assert float(objective(run.view)) == pytest.approx(expected(4, run.weights))
    h = 1e-5
    step = np.zeros(len(weights))
    step[7] = h
    for count in (1, 2):
        starts = SeedEnsemble(run, [objective], count)
        change = [
            expected(seed, weights + step) - expected(seed, weights - step) for seed in starts.derivative_seeds(0)
        ]
        assert starts.slopes(weights)[0, 7] == pytest.approx(np.mean(change) / (2 * h), rel=1e-5)


def test_its_scores_predict_a_small_change(run):
    objective = displacement(run.model.vocabulary.words[0])
    scores = score(run, [objective])
    nudged = np.array(run.weights)
    nudged[3] += 1e-5
    change = float(objective(run.retrain(nudged).view)) - float(objective(run.view))
    assert change == pytest.approx(1e-5 * scores.samples[0, 3], rel=1e-3)


def test_debiased_vectors_have_no_start(run):
    words = run.model.vocabulary.words
    debias = HardDebias("g", ((words[1], words[2]),), (), (), "")
    with pytest.raises(UserError, match="no known start"):
        displacement(words[0])(debias(run.view))
