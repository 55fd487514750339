"""Theorem 1 on a field that is not skip-gram: on a convex loss trained to the end, the unrolled score of any
objective is Koh and Liang's -grad f^T H^-1 grad l_i, whether f is the training loss itself or another."""

import pytest
import torch

from crossloss.core import Field, Linearisation
from crossloss.estimators import (
    GMRES,
    ConjugateGradient,
    Dense,
    InverseHessian,
    LiSSA,
    TracIn,
    gradient_dot,
    predict,
    unrolled,
)
from crossloss.optimisers import HeavyBall
from crossloss.run.trajectory import MemoryStates, Training


class Ridge(Field):
    """L = (1/n) sum_i w_i (x_i theta - y_i)^2 / 2 + mu |theta|^2 / 2, with x (n, p)."""

    def __init__(self, x, y, mu=0.1):
        self.x, self.y, self.mu, self.n = x, y, mu, len(y)

    def gradient(self, theta, w, step):
        return self.x.T @ (w * (self.x @ theta - self.y)) / self.n + self.mu * theta

    def at(self, theta, w, step):
        return RidgePoint(self, theta, w, step)

    def accumulator(self, k):
        return Sums(k, self.n)

    def view(self, theta):
        return theta


class RidgePoint(Linearisation):
    def pullback(self, a, into):
        x, field = self.field.x, self.field
        into.sums += (a @ x.T) * (x @ self.theta - field.y) / field.n
        return (a @ x.T * self.w) @ x / field.n + field.mu * a


class Sums:
    def __init__(self, k, n):
        self.sums = torch.zeros(k, n, dtype=torch.float64)

    def samples(self):
        return self.sums

    def tensors(self):
        return {"sums": self.sums}


class Held:
    """The training loss on other rows: matched objective."""

    name = "held-out loss"

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __call__(self, theta):
        return ((self.x @ theta - self.y) ** 2).mean() / 2


class Cross:
    """An objective that is no loss at all."""

    name = "cross"

    def __call__(self, theta):
        return torch.sin(theta).sum() / theta.norm()


@pytest.fixture
def trained():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((20, 4), (20,)))
    held = Held(*(torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((9, 4), (9,))))
    field, w = Ridge(x, y), torch.ones(20, dtype=torch.float64)
    optimiser = HeavyBall(torch.full((4,), 0.2, dtype=torch.float64), 0.8)
    run = Training(field, optimiser, w, 800, torch.zeros(4, dtype=torch.float64), MemoryStates(), every=50)
    run.run_to_end()
    return run, [held, Cross()]


def test_unrolled_at_the_optimum_is_the_classic_influence_for_matched_and_cross_objectives(trained):
    run, objectives = trained
    field, theta = run.field, run.theta
    assert field.gradient(theta, run.weights, 0).norm() < 1e-12
    hessian = field.x.T @ field.x / field.n + field.mu * torch.eye(4, dtype=torch.float64)
    per_sample = field.x * (field.x @ theta - field.y)[:, None] / field.n
    scores = unrolled(run, objectives).samples()
    for j, objective in enumerate(objectives):
        leaf = theta.clone().requires_grad_(True)
        (grad,) = torch.autograd.grad(objective(leaf), leaf)
        classic = -per_sample @ torch.linalg.solve(hessian, grad)
        torch.testing.assert_close(scores[j], classic, rtol=1e-9, atol=1e-12)
        dot = gradient_dot(run, [objective]).samples()[0]
        torch.testing.assert_close(dot, -per_sample @ grad, rtol=1e-12, atol=1e-14)


def solved(field, w):
    """The optimum in closed form."""
    hessian = (field.x * w[:, None]).T @ field.x / field.n + field.mu * torch.eye(4, dtype=torch.float64)
    return torch.linalg.solve(hessian, field.x.T @ (w * field.y) / field.n)


def test_scores_are_the_derivative_of_the_optimum(trained):
    run, objectives = trained
    scores, h = unrolled(run, objectives).samples(), 1e-5
    for j, objective in enumerate(objectives):
        for i in range(run.field.n):
            step = h * torch.eye(run.field.n, dtype=torch.float64)[i]
            up, down = (objective(solved(run.field, run.weights + s * step)) for s in (1, -1))
            assert float((up - down) / (2 * h)) == pytest.approx(float(scores[j, i]), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("solver", [None, Dense(), ConjugateGradient(1e-11), GMRES(1e-11), LiSSA(2.0, tolerance=1e-9)])
def test_the_inverse_hessian_is_unrolled_at_the_optimum_whatever_the_solver(trained, solver):
    run, objectives = trained
    scores = InverseHessian(solver=solver)(run, objectives).samples()
    torch.testing.assert_close(scores, unrolled(run, objectives).samples(), rtol=1e-7, atol=1e-9)


def test_with_f_the_training_loss_of_a_sample_scores_are_the_classic_self_influences(trained):
    """-grad l_j^T H^-1 grad l_i: symmetric in i and j, and never positive of a sample on itself."""
    run, _ = trained
    field = run.field
    losses = [Held(field.x[j : j + 1], field.y[j : j + 1]) for j in range(field.n)]
    for estimator in (unrolled, InverseHessian()):
        scores = estimator(run, losses).samples()
        torch.testing.assert_close(scores, scores.T, rtol=1e-8, atol=1e-12)
        assert (scores.diagonal() < 0).all()
        assert torch.linalg.eigvalsh(scores).max() < 1e-10


@pytest.mark.parametrize("estimator", [None, InverseHessian()])
def test_through_the_objective_removals_are_predicted_better_than_by_the_linear_score(trained, estimator):
    """Each sample removed, against the optimum without it: half the squared error and less (.17 and .46 of it)."""
    run, objectives = trained
    linear, through = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for i in range(run.field.n):
        weights = run.weights.clone()
        weights[i] = 0
        truth = torch.stack([f(solved(run.field, weights)) for f in objectives])
        found = predict(run, objectives, without=[i], estimator=estimator)
        linear += (found.linear - truth) ** 2
        through += (found.value - truth) ** 2
    assert (through < 0.6 * linear).all()


def test_tracin_is_gradient_dot_summed_over_the_steps_by_their_learning_rates():
    """Plain gradient descent: Pruthi's formula, with the scale of each parameter."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((20, 4), (20,)))
    field, w = Ridge(x, y), torch.ones(20, dtype=torch.float64)
    scale = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    run = Training(field, HeavyBall(scale, 0.0), w, 7, torch.ones(4, dtype=torch.float64), MemoryStates())
    run.run_to_end()
    theta, expected = torch.ones(4, dtype=torch.float64), torch.zeros(20, dtype=torch.float64)
    for _ in range(7):
        leaf = theta.clone().requires_grad_(True)
        (grad,) = torch.autograd.grad(Cross()(leaf), leaf)
        expected -= x * (x @ theta - y)[:, None] / 20 @ (scale * grad)
        theta = theta - scale * field.gradient(theta, w, 0)
    torch.testing.assert_close(TracIn()(run, [Cross()]).samples()[0], expected, rtol=1e-12, atol=1e-14)
