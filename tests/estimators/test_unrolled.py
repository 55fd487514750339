"""Unrolled scores against autograd through the training loop, finite differences of retraining, and faults."""

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.estimators import unrolled
from crossloss.models.skipgram.field import SkipGramField
from crossloss.objectives.weat import Weat
from crossloss.optimisers import HeavyBall
from dense import DenseSkipGram, dense_counts, random_sentences
from train_on import train_on

SETTINGS = {
    "min_count": 1, "window": 3, "negatives": 4.0, "dimension": 5, "steps": 12, "lr": 0.5, "seed": 3,
    "dtype": "float64",
}  # fmt: skip
WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))


def norms(view):
    """A second objective, that also depends on the contexts."""
    return (view.vectors**3).sum() + (view.contexts[:5] ** 2).sum()


@pytest.fixture(scope="module", params=[0.0, 0.3], ids=["no prior", "prior"])
def run(request):
    corpus = cl.from_sentences(random_sentences(1), candidates=["waa wab wac wad", "waj wak wal wam wan"])
    return train_on(corpus, prior=request.param, **SETTINGS)


def by_autograd(run, objectives):
    """Scores (k, n) through the whole loop, with nothing of the package but the counts and the start."""
    s = run.model.settings
    x = dense_counts(run.model.counts, len(run.model.vocabulary.words))
    w = torch.from_numpy(run.model.corpus.weights.copy()).requires_grad_(True)
    dense = DenseSkipGram(x, w.detach(), s.negatives, s.exponent, s.dimension, s.prior)
    theta = dense.train(
        run.field.initial(run.seed), w, run.steps, run.given_optimiser.scale, run.given_optimiser.momentum.last
    )
    torch.testing.assert_close(theta.detach(), run.trajectory.theta, rtol=1e-10, atol=1e-12)
    values = [objective(run.field.view(theta)) for objective in objectives]
    return torch.stack([torch.autograd.grad(v, w, retain_graph=True)[0] for v in values]).numpy()


def worst(scores, exact):
    return np.max(np.abs(scores - exact)) / np.max(np.abs(exact))


def test_scores_equal_autograd_through_the_training_loop(run):
    exact = by_autograd(run, [TEST, norms])
    scores = cl.score(run, [TEST, norms])
    # The table keeps pair influences in float32; the accumulator is the estimator's own result.
    direct = unrolled(run.trajectory, scores.objectives).samples().numpy()
    for j in range(2):
        assert worst(direct[j], exact[j]) < 1e-10
        assert worst(scores.samples[j], exact[j]) < 1e-6
    assert np.all(np.abs(exact[:, -1]) > 0), "a candidate is scored too"


def test_scores_equal_finite_differences_of_retraining(run):
    direct = unrolled(run.trajectory, [TEST]).samples().numpy()[0]
    h = 1e-4
    for i in [*np.argsort(-np.abs(direct))[:5], len(direct) - 1]:
        found = []
        for sign in (1, -1):
            weights = run.model.corpus.weights.copy()
            weights[i] += sign * h
            if weights[i] < 0:  # the field is defined there too
                weights = torch.from_numpy(weights)
            found.append(float(TEST(run.retrain(np.asarray(weights)).view)))
        assert (found[0] - found[1]) / (2 * h) == pytest.approx(direct[i], rel=1e-5, abs=1e-5 * np.abs(direct).max())


class FlippedSign(HeavyBall):
    def adjoint(self, state, t, bar):
        bar, a = super().adjoint(state, t, bar)
        return bar, -a


class MomentumNotCarried(HeavyBall):
    def adjoint(self, state, t, bar):
        bar, a = super().adjoint(state, t, bar)
        return bar | {"velocity": torch.zeros_like(a)}, a


DROPPED = {"prior": {"prior": 0.0}, "negatives": {"negatives": 1e-12}}
"""Trained with, pulled back without: a prior; negatives, as in the published influence."""


def faulty(run, fault):
    if fault in DROPPED:
        return run.trajectory.changed(field=run.model.changed(**DROPPED[fault]).build())
    optimiser = run.trajectory.optimiser
    return run.trajectory.changed(optimiser=fault(optimiser.scale, optimiser.momentum))


@pytest.mark.parametrize("fault", [FlippedSign, MomentumNotCarried, *DROPPED])
def test_an_injected_fault_is_caught(run, fault):
    if fault == "prior" and not run.model.settings.prior:
        pytest.skip("no prior to drop")
    exact = by_autograd(run, [TEST])
    assert worst(unrolled(faulty(run, fault), [TEST]).samples().numpy(), exact) > 1e-3


def test_a_skipped_step_is_caught(run):
    exact = by_autograd(run, [TEST])
    training = run.trajectory.changed()
    steps = run.trajectory.backwards

    def skip(start, **given):
        return (item for item in steps(start, **given) if item[0] != 6)

    training.backwards = skip
    assert worst(unrolled(training, [TEST]).samples().numpy(), exact) > 1e-3


def test_a_preconditioner_that_moves_with_the_weights_is_caught(run):
    """Retraining with D taken at the new weights is another map: its derivative is not the score."""
    direct = unrolled(run.trajectory, [TEST]).samples().numpy()[0]
    i, h = int(np.argmax(np.abs(direct))), 1e-4
    found = []
    for sign in (1, -1):
        weights = run.model.corpus.weights.copy()
        weights[i] += sign * h
        moved = SkipGramField(run.model.counts, run.model.vocabulary, weights, run.model.settings)
        optimiser = HeavyBall(run.given_optimiser.scale * moved.step_scale(), run.trajectory.optimiser.momentum)
        state = optimiser.init(run.trajectory.initial)
        w = torch.from_numpy(weights)
        for t in range(run.steps):
            state = optimiser.step(state, run.field.gradient(state["theta"], w, t), t)
        found.append(float(TEST(run.field.view(state["theta"]))))
    assert (found[0] - found[1]) / (2 * h) != pytest.approx(direct[i], rel=1e-3)
