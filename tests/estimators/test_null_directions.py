"""Skip-gram's d^2 null directions (U X, -C X^T): what damping does to inverse-Hessian scores, and not to unrolled.

Eight words, d = 2, float64; figures: benchmarks/null_directions.py.
"""

from functools import cache
from itertools import pairwise

import pytest
import torch

import small
from crossloss.core import UserError
from crossloss.estimators import InverseHessian, unrolled
from crossloss.estimators.solvers import ConjugateGradient
from crossloss.run.trajectory import without_steps

WEAT, LENGTHS, LOSS = 0, 1, 2


@cache
def trained(steps):
    return small.null_directions(steps)


def scores(case, damping):
    return InverseHessian(damping=damping)(case.run, case.objectives).samples()


def changed(new, old):
    return ((new - old).norm(dim=1) / old.norm(dim=1)).tolist()


def test_they_have_no_curvature_and_no_sample_pulls_along_them():
    case = trained(4_000)
    jacobian, by_weight = case.jacobians()
    null = case.null()
    assert case.run.field.gradient(case.theta, case.run.weights, 0).norm() < 1e-9
    assert null.shape[1] == 4
    assert (jacobian @ null).norm() < 1e-9
    assert torch.linalg.eigvalsh(jacobian).abs().sort().values[4] > 1e-4, "and nothing else is flat"
    assert (null.T @ by_weight).norm() < 1e-14
    along = (case.slopes() @ null).norm(dim=1)
    assert along[WEAT] > 0.05
    assert along[LENGTHS] > 1
    assert along[LOSS] < 1e-12, "the training loss of a sentence does not see them"


def test_without_damping_there_is_no_inverse():
    case = trained(6_000)
    with pytest.raises(UserError, match="singular"):
        InverseHessian()(case.run, case.objectives)


def test_near_a_stationary_point_the_scores_are_what_the_damping_makes_them():
    """|grad L| 2e-5: the null directions have eigenvalues of either sign and no size, and WEAT pulls along them."""
    case = trained(1_000)
    by_damping = [scores(case, damping) for damping in (1e-2, 1e-4, 1e-6, 1e-8)]
    first, second, last = (changed(new, old) for old, new in pairwise(by_damping))
    assert first[WEAT] > 0.5
    assert last[WEAT] > 2, "no smallest damping settles it"
    assert last[LENGTHS] > 100
    assert max(second[LOSS], last[LOSS]) < 0.02, "a sentence's loss is left alone"


def test_at_a_stationary_point_they_settle_in_a_gauge_that_is_not_the_runs():
    """As damping goes to 0: the pseudo-inverse, which moves theta across the null directions only."""
    case = trained(4_000)
    settled, nearly, exact = scores(case, 1e-8), scores(case, 1e-6), unrolled(case.run, case.objectives).samples()
    assert max(changed(settled, nearly)) < 1e-3
    jacobian, by_weight = case.jacobians()
    pseudo = -case.slopes() @ torch.linalg.pinv(jacobian, rtol=1e-6) @ by_weight
    assert max(changed(settled, pseudo)) < 1e-3
    away = changed(settled, exact)
    assert away[LOSS] < 1e-3, "Theorem 1 with f = L: the classic influence is the derivative of the run"
    assert away[LENGTHS] > 0.3, "what the run does along the null directions is lost"
    assert away[WEAT] < 0.02, "WEAT sees the gauge little here"


def test_the_same_model_in_another_gauge_has_other_inverse_hessian_scores():
    """(U M, C M^-T): the same loss of every sentence, so the same training; WEAT by directions of U M."""
    case = trained(4_000)
    u, c = case.theta.view(2, -1, 2)
    m = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    other = without_steps(case.run.field, case.run.weights, torch.stack([u @ m, c @ torch.linalg.inv(m).T]).reshape(-1))
    loss = case.run.field.loss
    assert loss(other.theta, case.run.weights) == pytest.approx(loss(case.theta, case.run.weights), rel=1e-12)
    estimator = InverseHessian(damping=1e-8)
    here, there = (estimator(run, case.objectives).samples() for run in (case.run, other))
    moved = changed(there, here)
    assert moved[WEAT] > 0.2
    assert moved[LOSS] < 1e-3


def test_unrolled_needs_no_damping_early_or_late():
    """Against retraining, by central differences, where inverse-Hessian scores differ by factors."""
    for steps in (100, 1_000):
        case = trained(steps)
        found = unrolled(case.run, case.objectives).samples()
        sample = int(found[WEAT].abs().argmax())
        h, values = 1e-4, []
        for sign in (1, -1):
            weights = case.run.weights.clone()
            weights[sample] += sign * h
            with torch.no_grad():
                theta = case.trained(weights)
            values.append(torch.stack([f(case.view(theta)) for f in case.objectives]))
        torch.testing.assert_close((values[0] - values[1]) / (2 * h), found[:, sample], rtol=1e-4, atol=1e-6)


def test_with_a_prior_a_cosine_needs_no_damping():
    """Of the null directions only the rotation is left, and no cosine sees it: against retraining to the minimum."""
    case = small.null_directions(4_000, prior=0.02)
    assert case.run.field.gradient(case.theta, case.run.weights, 0).norm() < 1e-12
    jacobian, _ = case.jacobians()
    u, c = case.theta.view(2, -1, 2)
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    rotation = torch.stack([u @ turn, c @ turn]).reshape(-1)
    sizes = torch.linalg.eigvalsh(jacobian).sort().values
    assert sizes[0].abs() < 1e-12
    assert sizes[1] > 1e-3, "and nothing else is flat"
    assert (jacobian @ rotation).norm() < 1e-12
    assert (case.slopes()[[WEAT, LOSS]] @ rotation).abs().max() < 1e-12
    cosines = [case.objectives[WEAT], case.objectives[LOSS]]
    estimator = InverseHessian(solver=ConjugateGradient(tolerance=1e-10))
    found = estimator(case.run, cosines).samples()
    torch.testing.assert_close(found, unrolled(case.run, cosines).samples(), rtol=1e-6, atol=1e-9)
    sample, h = int(found[0].abs().argmax()), 1e-4
    values = []
    for sign in (1, -1):
        weights = case.run.weights.clone()
        weights[sample] += sign * h
        with torch.no_grad():
            theta = case.trained(weights)
        values.append(torch.stack([f(case.view(theta)) for f in cosines]))
    torch.testing.assert_close((values[0] - values[1]) / (2 * h), found[:, sample], rtol=1e-5, atol=1e-9)
