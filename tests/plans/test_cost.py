"""What corrections cost: figures are those of the models, noise is between starts, stops resume."""

import json

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram.hard_debias import HardDebias
from crossloss.objectives.weat import Weat
from crossloss.plans import cost as costing
from crossloss.plans.corrections import Debiased, Updated, Weighted
from crossloss.plans.cost import Cost, Row, Yardstick, held_out_loss
from crossloss.plans.update import Update
from dense import DenseSkipGram, dense_counts, random_sentences
from stopping import Stopping
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
HARD = HardDebias("t", (("waa", "wae"), ("wab", "waf")), (("wac", "wag"),), ("waa", "wae"))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 20, "lr": 0.3, "momentum": 0.9, "dtype": "float64"}


@pytest.fixture(scope="module")
def run():
    return train_on(cl.from_sentences(random_sentences(7, sentences=150)), **SETTINGS)


def test_figures_are_those_of_the_models(run):
    weights = run.weights.copy()
    weights[:40] = 0.5
    found = Yardstick(run, [ONE], [0, 1, 2]).cost(Weighted(weights))
    for at, seed in enumerate(found.seeds):
        for values, w in ((found.row("one").before, run.weights), (found.row("one").after, weights)):
            assert values[at] == float(ONE(run.retrain(w, seed=seed).view))
    assert found.row("loss").before[0] == pytest.approx(
        run.field.data_loss(run.trajectory.theta, run.trajectory.weights)
    )
    assert found.row("one").noise == pytest.approx(np.std(found.row("one").before, ddof=1))
    assert found.row("neighbours_kept").change > 0
    assert Cost.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(UserError, match="was not measured"):
        found.row("beauty")


def test_doing_nothing_costs_nothing(run):
    found = Yardstick(run, [ONE], [0, 1]).cost(Weighted())
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
    found = held_out_loss(run, Weighted(), 0)
    kept = np.random.default_rng([0, 353]).random(len(run.model.corpus)) >= costing.HELD_OUT
    out = torch.from_numpy((~kept).astype(np.float64))
    x = dense_counts(run.model.counts, len(run.model.vocabulary.words))
    dense = DenseSkipGram(x, torch.from_numpy(run.weights), 5.0, 0.75, 5, run.field.prior)
    theta = dense.train(run.trajectory.initial, torch.from_numpy(kept.astype(np.float64)), 20, 0.3, 0.9)
    dense.prior = 0  # of the sentences alone
    number = torch.einsum("n,nwc->", out, x)
    assert found == pytest.approx(float((dense.loss(theta, out) * dense.total / number).detach()), rel=1e-9)


def test_corrections_compose_in_order(run):
    update = Update("undo", np.array([3, 4]), np.array([], dtype=np.int64), 2)
    plain = run.retrain(run.weights, seed=5).theta
    hard = Debiased((HARD,))(run, 5)
    lengths = [torch.linalg.vector_norm(run.field.view(t).vectors, dim=1) for t in (plain, hard)]
    torch.testing.assert_close(run.field.view(hard).contexts, run.field.view(plain).contexts, rtol=0, atol=0)
    after = HARD(run.field.view(plain))
    for word in ("wah", "waz"):
        cosine = torch.nn.functional.cosine_similarity(run.field.view(hard)[word], after[word], dim=0)
        assert float(cosine) == pytest.approx(1)
        assert float(lengths[0][run.model.vocabulary.index[word]]) == pytest.approx(
            float(lengths[1][run.model.vocabulary.index[word]])
        )
    first_hard = Updated(update, Debiased((HARD,)))(run, 5)
    torch.testing.assert_close(first_hard, update.apply(run, hard), rtol=0, atol=0)
    hard_last = Debiased((HARD,), Updated(update))(run, 5)
    assert not torch.equal(first_hard, hard_last)
    kept = np.ones(len(run.model.corpus))
    kept[3] = 0
    alone = Update("undo", np.array([4]), np.array([], dtype=np.int64), 2)
    torch.testing.assert_close(
        Updated(update)(run, 5, kept), alone.apply(run, run.retrain(kept, seed=5).theta), rtol=0, atol=0
    )


def test_a_stopped_measurement_goes_on(run, monkeypatch):
    entry = Stopping(stop_at=1).entry("cost")
    with pytest.raises(KeyboardInterrupt):
        Yardstick(run, [ONE], [0, 1]).cost(Weighted(), entry)
    assert list(entry.load()) == ["0"]
    trained = []
    retrain = type(run).retrain
    monkeypatch.setattr(
        type(run), "retrain", lambda self, w, seed=None: trained.append(seed) or retrain(self, w, seed=seed)
    )
    resumed = Yardstick(run, [ONE], [0, 1]).cost(Weighted(), entry)
    assert resumed.rows == Yardstick(run, [ONE], [0, 1]).cost(Weighted()).rows
    assert trained[0] == 1


def test_one_start_is_not_enough(run):
    with pytest.raises(UserError, match="at least two different starts"):
        Yardstick(run, [ONE], [0]).cost(Weighted())
