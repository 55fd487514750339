"""Steps on single samples against autograd on the dense loss; sets by sign; all arms move the objective."""

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram.sample_step import SampleSteps
from crossloss.objectives.weat import Weat
from crossloss.plans.update import ARMS, update
from dense import DenseSkipGram, dense_counts, random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 40, "lr": 0.3, "momentum": 0.9, "dtype": "float64"}


@pytest.fixture(scope="module")
def made():
    run = train_on(cl.from_sentences([*random_sentences(7, sentences=200), "waa waa wab", "zz"]), **SETTINGS)
    return run, cl.score(run, [ONE])


def dense_of(run):
    x = dense_counts(run.model.counts, len(run.model.vocabulary.words))
    return DenseSkipGram(x, torch.from_numpy(run.weights), 5.0, 0.75, 5)


def test_a_step_is_the_preconditioned_gradient_of_the_samples_loss(made):
    run, _ = made
    dense, scale = dense_of(run), run.field.step_scale()
    assert run.model.counts.matrix[201].nnz == 2  # a word beside itself, and beside another
    steps = SampleSteps(run.field, np.array([0, 5, 201]))
    for sample in (0, 5, 201):
        theta = torch.from_numpy(np.random.default_rng(sample).normal(size=run.field.parameters))
        alone = torch.zeros(len(run.model.corpus), dtype=torch.float64)
        alone[sample] = 1
        gradient = torch.autograd.grad(dense.loss(theta.requires_grad_(True), alone), theta)[0]
        theta = theta.detach()
        for rate in (0.7, -0.7):
            stepped = theta.clone()
            steps.step_(stepped, sample, rate)
            torch.testing.assert_close(stepped, theta - rate * scale * gradient, rtol=1e-10, atol=1e-12)


def test_a_sample_without_pairs_changes_nothing(made):
    run, _ = made
    theta = run.trajectory.theta.clone()
    SampleSteps(run.field, np.array([202])).step_(theta, 202, 1.0)
    torch.testing.assert_close(theta, run.trajectory.theta, rtol=0, atol=0)


def test_both_is_ascent_on_a_then_descent_on_m_in_every_pass(made):
    run, scores = made
    made_of = update(scores.of("one"), run.weights, value=1.0, target=0.0, how="both", size=3, passes=2)
    assert len(made_of.undone) == len(made_of.reinforced) == 3
    dense, scale = dense_of(run), run.field.step_scale()
    theta = run.trajectory.theta.clone()
    for _ in range(2):
        for samples, sign in ((made_of.undone, 1), (made_of.reinforced, -1)):
            for sample in samples:
                alone = torch.zeros(len(run.model.corpus), dtype=torch.float64)
                alone[sample] = 1
                leaf = theta.clone().requires_grad_(True)
                theta = theta + sign * 0.3 * scale * torch.autograd.grad(dense.loss(leaf, alone), leaf)[0]
    torch.testing.assert_close(made_of.apply(run, run.trajectory.theta), theta, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("how", ARMS)
@pytest.mark.parametrize("turned", [False, True])
def test_every_arm_moves_the_objective_towards_its_target(made, how, turned):
    run, scores = made
    value = scores.values["one"]
    target = 3 * value if turned else 0.0
    chosen = update(scores.of("one"), run.weights, value=value, target=target, how=how, size=10, passes=20)
    after = float(ONE(run.field.view(chosen.apply(run, run.trajectory.theta))))
    assert abs(after - target) < abs(value - target) - 0.01
    assert (after - value) * (target - value) > 0
    assert bool(len(chosen.undone)) == (how != "reinforce")
    assert bool(len(chosen.reinforced)) == (how != "undo")


def test_sets_follow_the_sign_and_leave_candidates_out():
    scores, weights = np.array([3.0, -4.0, 1.0, 0.0, -0.5, 9.0]), np.array([1.0, 1, 1, 1, 1, 0])
    both = {"value": 2.0, "how": "both", "passes": 1}
    above = update(scores, weights, target=0.0, size=2, **both)
    assert (above.undone.tolist(), above.reinforced.tolist()) == ([0, 2], [1, 4])
    below = update(scores, weights, target=5.0, size=9, **both)
    assert (below.undone.tolist(), below.reinforced.tolist()) == ([1, 4], [0, 2])


def test_the_table_says_what_was_done(made):
    run, scores = made
    chosen = update(scores.of("one"), run.weights, value=1.0, target=0.0, how="both", size=2, passes=7)
    weight, passes = chosen.weights(run.weights), chosen.signed(len(run.weights))
    assert weight[chosen.undone].tolist() == [0.0, 0.0]
    assert weight[chosen.reinforced].tolist() == [2.0, 2.0]
    assert passes[chosen.undone].tolist() == [-7, -7]
    assert passes[chosen.reinforced].tolist() == [7, 7]
    assert np.count_nonzero(passes) == 4


def test_what_cannot_be_updated(made):
    run, scores = made
    good = {"value": 1.0, "target": 0.0, "how": "undo", "size": 1, "passes": 1}
    with pytest.raises(UserError, match="there are: undo, reinforce, both"):
        update(scores.of(), run.weights, **good | {"how": "redo"})
    with pytest.raises(UserError, match="at least one sample"):
        update(scores.of(), run.weights, **good | {"size": 0})
    with pytest.raises(UserError, match="finite"):
        update(scores.of() * np.nan, run.weights, **good)
