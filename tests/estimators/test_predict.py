"""Predictions of removal: the tangent of the run against autograd through the loop, and dense Newton steps."""

import numpy as np
import pytest
import torch

from crossloss.core import FULL_BATCH, UserError
from crossloss.estimators import GMRES, ConjugateGradient, Dense, InverseHessian, predict, unrolled
from crossloss.objectives.custom import as_objective
from crossloss.optimisers import HeavyBall
from crossloss.run.trajectory import MemoryStates, Training, without_steps
from small import DTYPES, FIELDS, MOMENTUM, STEPS, GivenField, made

WITHOUT = [1, 4, 5]


def direction(case):
    dw = torch.zeros_like(case.run.weights)
    dw[WITHOUT] = -case.run.weights[WITHOUT]
    return dw


def values(case, theta):
    return torch.stack([f(case.view(theta)) for f in case.objectives])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("field", FIELDS)
def test_the_tangent_is_the_derivative_of_the_run(field, dtype):
    case = made(field, dtype)
    found, tolerance = predict(case.run, case.objectives, without=WITHOUT), DTYPES[dtype]
    moved = case.sensitivity() @ direction(case)
    torch.testing.assert_close(found.now.double(), values(case, case.theta), rtol=1e-5, atol=1e-6)
    assert (found.theta.double() - case.theta - moved).norm() < tolerance * moved.norm()
    expected = values(case, case.theta + moved)
    assert (found.value.double() - expected).abs().max() < tolerance * (1 + expected.abs().max())
    effects = unrolled(case.run, case.objectives).samples() @ direction(case).to(torch.float64)
    change = (found.linear - found.now).double()
    assert (change - effects).abs().max() < tolerance * (1 + effects.abs().max()), "forward is backward"


def test_it_is_nearer_to_retraining_than_the_linear_score():
    """The objective bends: through it theta + dtheta beats the sum of the scores (measured in the mixture too)."""
    case = made("softmax", torch.float64)
    found = predict(case.run, case.objectives, without=WITHOUT)
    truth = values(case, case.trained(case.run.weights + direction(case)).detach())
    assert (abs(found.value - truth) < abs(found.linear - truth)).all()


@pytest.mark.parametrize("solver", [Dense(), GMRES(1e-10), ConjugateGradient(1e-10)])
@pytest.mark.parametrize("field", FIELDS)
def test_theta_minus_x_is_a_newton_step(field, solver):
    """With J itself, not its transpose, where the two differ."""
    case = made(field, torch.float64)
    damping = 1.0 if field == "perceptron" else case.damping
    jacobian, by_weight = case.jacobians()
    estimator = InverseHessian(solver=solver, damping=damping)
    if field == "clustering" and isinstance(solver, ConjugateGradient):
        with pytest.raises(UserError, match="not symmetric"):
            predict(case.run, case.objectives, without=WITHOUT, estimator=estimator)
        return
    found = predict(case.run, case.objectives, without=WITHOUT, estimator=estimator)
    damped = jacobian + damping * torch.eye(len(jacobian))
    moved = -torch.linalg.solve(damped, by_weight @ direction(case))
    assert (found.theta - case.theta - moved).norm() < 1e-7 * moved.norm()
    scores = estimator(case.run, case.objectives).samples() @ direction(case)
    torch.testing.assert_close(found.linear - found.now, scores, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found.value, values(case, case.theta + moved), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["absolute", "word-blocks"])
def test_curvatures_of_their_own_predict_too(kind):
    case = made("skipgram", torch.float64)
    estimator = InverseHessian(kind, damping=0.1)
    found = predict(case.run, case.objectives, without=WITHOUT, estimator=estimator)
    scores = estimator(case.run, case.objectives).samples() @ direction(case)
    torch.testing.assert_close(found.linear - found.now, scores, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_differences_are_as_accurate_as_they_say(dtype):
    case = made("clustering", dtype)
    jacobian, by_weight = case.jacobians()
    generator = torch.Generator().manual_seed(2)
    dtheta = torch.randn(9, generator=generator, dtype=torch.float64)
    for scale in (1e-6, 1.0, 1e6):
        expected = jacobian @ (scale * dtheta) + by_weight @ (scale * direction(case))
        at = case.run.field.at(case.run.theta, case.run.weights, FULL_BATCH)
        found = at.pushforward((scale * dtheta).to(dtype), scale * direction(case))
        assert (found.double() - expected).norm() < torch.finfo(dtype).eps ** (2 / 3) * 100 * expected.norm()


def test_differences_are_of_the_size_of_the_weights():
    field = GivenField(lambda theta, w, step: theta + (w / 1e4) ** 2, 3)
    w, dw = 1e4 * torch.linspace(1, 2, 3, dtype=torch.float64), 1e4 * torch.ones(3, dtype=torch.float64)
    theta = torch.zeros(3, dtype=torch.float64)
    found = field.at(theta, w, FULL_BATCH).pushforward(theta, dw)
    torch.testing.assert_close(found, 2 * w / 1e4, rtol=1e-9, atol=0)


def test_the_skipgram_field_pushes_exactly():
    case = made("skipgram", torch.float64)
    jacobian, by_weight = case.jacobians()
    dtheta = torch.randn(len(jacobian), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = case.run.field.at(case.run.theta, case.run.weights, FULL_BATCH).pushforward(dtheta, direction(case))
    torch.testing.assert_close(found, jacobian @ dtheta + by_weight @ direction(case), rtol=1e-10, atol=1e-13)


def test_what_cannot_be_predicted_is_said():
    case = made("softmax", torch.float64)
    for gone in ([99], [14], [-1], [0, 14]):
        with pytest.raises(UserError, match="not there: rows are 0 to 13"):
            predict(case.run, case.objectives, without=gone)
    for gone, message in ((np.zeros(14, dtype=bool), "boolean mask"), ([1.7], "whole numbers")):
        with pytest.raises(UserError, match=message):
            predict(case.run, case.objectives, without=gone)
    elsewhere = without_steps(case.run.field, case.run.weights, case.run.theta)
    with pytest.raises(UserError, match="trained elsewhere"):
        predict(elsewhere, case.objectives, without=WITHOUT)
    assert predict(elsewhere, case.objectives, without=WITHOUT, estimator=InverseHessian()).value.isfinite().all()
    unbounded = as_objective(lambda theta: (1.0 - 1e9 * (theta - case.run.theta).norm()).sqrt() + theta.sum())
    with pytest.raises(UserError, match=r"is nan|not finite"):
        predict(case.run, [unbounded], without=WITHOUT)


def test_without_nobody_is_the_model_as_it_is():
    case = made("softmax", torch.float64)
    found = predict(case.run, case.objectives, without=[])
    assert torch.equal(found.theta, case.run.theta)
    assert torch.equal(found.value, found.now)
    assert torch.equal(found.linear, found.now)


class Root:
    """Not a number beside ``theta``."""

    name = "root"

    def __init__(self, theta):
        self.theta = theta

    def __call__(self, theta):
        return (1.0 - 1e9 * (theta - self.theta).square().sum()).sqrt() + theta.sum()


def test_what_overflows_on_the_way_or_at_its_end_is_said():
    case = made("softmax", torch.float64)
    with pytest.raises(UserError, match="not finite at the predicted parameters"):
        predict(case.run, [Root(case.run.theta)], without=WITHOUT)
    field = GivenField(lambda theta, w, step: 1e5 * theta + (w - 1).to(theta), 3)
    optimiser, initial = HeavyBall(torch.ones(3), MOMENTUM), torch.zeros(3)
    run = Training(field, optimiser, torch.ones(3, dtype=torch.float64), STEPS, initial, MemoryStates())
    run.run_to_end()
    with pytest.raises(UserError, match="derivative of this training run overflowed"):
        predict(run, [as_objective(lambda theta: theta.sum())], without=[1])


def test_a_run_that_does_not_replay_is_refused():
    case = made("softmax", torch.float64)
    run = case.run.changed()
    run.field = GivenField(lambda theta, w, step: 1.01 * case.run.field.g(theta, w, step), case.run.field.n)
    with pytest.raises(UserError, match="Replaying"):
        predict(run, case.objectives, without=WITHOUT)
    small, weights = torch.full((3,), 1e-9, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    optimiser = HeavyBall(torch.full((3,), 0.1, dtype=torch.float64), MOMENTUM)
    run = Training(GivenField(lambda theta, w, step: theta, 3), optimiser, weights, STEPS, small, MemoryStates())
    run.run_to_end()
    objective = as_objective(lambda theta: theta.sum())
    assert predict(run, [objective], without=[1]).value.isfinite().all()
    run.field = GivenField(lambda theta, w, step: 1.01 * theta, 3)
    with pytest.raises(UserError, match="Replaying"):
        predict(run, [objective], without=[1])
