"""The same corpus through both fields: skip-gram by its tiles, and as an nn.Module with a loss a sentence."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.estimators import gradient_dot, unrolled
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.objectives.weat import Weat
from crossloss.optimisers import HeavyBall
from dense import DenseSkipGram, dense_counts, random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {
    "min_count": 1, "window": 3, "negatives": 4.0, "dimension": 5, "steps": 12, "lr": 0.5, "seed": 3,
    "dtype": "float64",
}  # fmt: skip


class SkipGram(nn.Module):
    """S = U C^T."""

    def __init__(self, initial):
        super().__init__()
        u, c = initial
        self.vectors, self.contexts = nn.Parameter(u.clone()), nn.Parameter(c.clone())

    def forward(self):
        return self.vectors @ self.contexts.T


class OnModule:
    """An objective of the embeddings as one of the module's parameters."""

    def __init__(self, objective, run):
        self.name, self.objective, self.run = "on module", objective, run

    def __call__(self, view):
        words = self.run.view
        return self.objective(Embeddings(words.words, words.index, view["vectors"], view["contexts"]))


@pytest.fixture(scope="module")
def both():
    corpus = cl.from_sentences(random_sentences(2))
    run = train_on(corpus, **SETTINGS)
    x = dense_counts(run.model.counts, len(run.model.vocabulary.words))
    dense = DenseSkipGram(x, torch.from_numpy(corpus.weights.copy()), 4.0, run.model.settings.exponent, 5)

    def sentence_loss(s, counts):
        positive = (counts * F.logsigmoid(s)).sum((1, 2))
        negative = 4.0 * (counts.sum(2) * (F.logsigmoid(-s) @ dense.noise)).sum(1)
        return -(positive + negative) / dense.total * len(corpus)

    model = SkipGram(run.trajectory.initial.view(2, -1, 5))

    def prior(m):
        return run.field.prior / 2 * (m["vectors"].square().sum() + m["contexts"].square().sum()) / dense.total

    field = cl.TorchField(model, sentence_loss, x, forward=lambda model, batch: model(), regulariser=prior, chunk=16)
    return run, field, OnModule(TEST, run)


def test_loss_and_gradient_are_equal(both):
    run, field, _ = both
    w, theta = torch.rand(field.samples, dtype=torch.float64) * 2, run.trajectory.theta
    assert field.loss(theta, w) == pytest.approx(run.field.loss(theta, w), rel=1e-12)
    torch.testing.assert_close(field.gradient(theta, w, 0), run.field.gradient(theta, w, 0), rtol=1e-10, atol=1e-13)


def test_pullbacks_are_equal(both):
    run, field, _ = both
    w, a = torch.rand(field.samples, dtype=torch.float64) * 2, torch.randn(3, len(field.initial), dtype=torch.float64)
    sums = run.field.accumulator(3), field.accumulator(3)
    back = [
        f.at(run.trajectory.theta, w, 0).pullback(a, into) for f, into in zip((run.field, field), sums, strict=True)
    ]
    torch.testing.assert_close(*back, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(*(into.samples() for into in sums), rtol=1e-9, atol=1e-12)


def test_scores_are_equal(both):
    run, field, objective = both
    scale = SETTINGS["lr"] * run.field.step_scale()
    again = cl.train(field, HeavyBall(scale, run.trajectory.optimiser.momentum), steps=SETTINGS["steps"])
    torch.testing.assert_close(again.theta, run.trajectory.theta, rtol=1e-10, atol=1e-12)
    for estimator in (unrolled, gradient_dot):
        expected = estimator(run.trajectory, [TEST]).samples()
        found = estimator(again.trajectory, [objective]).samples()
        assert (found - expected).abs().max() < 1e-8 * expected.abs().max()
