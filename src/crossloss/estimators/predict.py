"""What removing samples does: the derivative of the parameters, put through the objective itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import Field, Objective, Optimiser, State, Trajectory, UserError, result_of
from crossloss.estimators.gradient import objective_gradients, objective_values
from crossloss.estimators.inverse_hessian import Influence, InverseHessian
from crossloss.utils.inputs import row_numbers

REPLAY = 1e-6
"""Relative distance between the stored end of a run and its replay beyond which it is another run."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is predicted for a model trained without some samples.

    Attributes
    ----------
    theta : (p,) tensor
        Predicted parameters.
    now, value : (k,) tensors
        Objectives of the model as it is, and at ``theta``.
    linear : (k,) tensor
        ``now`` + grad f . dtheta: with the tangent through the run, the sum of the unrolled effects if removed.

    Examples
    --------
    >>> from crossloss.estimators import predict
    >>> prediction = predict(run.trajectory, [weat], without=[0, 1, 2])
    >>> print(prediction.now, prediction.linear, prediction.value)
    """

    theta: Tensor
    now: Tensor
    linear: Tensor
    value: Tensor


def predict(
    trajectory: Trajectory,
    objectives: Sequence[Objective],
    *,
    without: Sequence[int] | Tensor,
    estimator: InverseHessian | None = None,
) -> Prediction:
    """Predict the objectives of a model trained without some samples.

    Parameters
    ----------
    trajectory : Trajectory
    objectives : sequence of k objectives
    without : sequence of int
        Samples whose weight goes to 0.
    estimator : InverseHessian, optional
        theta + (H + damping)^-1 sum_{i in without} w_i grad l_i. By default the tangent of the run: the exact
        derivative of the final parameters as those weights go.

    Raises
    ------
    UserError
        A sample that is not there, a run that cannot be replayed, a derivative or an objective that is not finite,
        or what ``estimator`` cannot solve.

    Examples
    --------
    >>> from crossloss.estimators import predict
    >>> print(predict(run.trajectory, [weat], without=[0, 1, 2]).value)
    """
    theta, weights = trajectory.theta, trajectory.weights
    gone = torch.from_numpy(row_numbers(without, len(weights), "without=")).to(weights.device)
    dw = torch.zeros_like(weights)
    dw[gone] = -weights[gone]
    dtheta = _tangent(trajectory, dw) if estimator is None else Influence(estimator, trajectory).newton(dw)
    if not bool(torch.isfinite(dtheta).all()):
        raise UserError("The derivative of this training run overflowed: train with a smaller lr or in float64.")
    now = _values(trajectory.field, theta, objectives)
    slope = objective_gradients(trajectory.field, theta, objectives) @ dtheta
    return Prediction(theta + dtheta, now, now + slope, _values(trajectory.field, theta + dtheta, objectives))


def _tangent(trajectory: Trajectory, dw: Tensor) -> Tensor:
    """Derivative of theta_T in the direction ``dw``, (p,), forward through the run."""
    field, optimiser, w = trajectory.field, trajectory.optimiser, trajectory.weights
    start = next((state for _, state in trajectory.backwards(1)), {"theta": trajectory.theta})
    state = optimiser.init(start["theta"])
    tangent = {name: torch.zeros_like(entry) for name, entry in state.items()}
    for t in range(trajectory.steps):
        at = field.at(state["theta"], w, t)
        dg, g = at.pushforward(tangent["theta"], dw), at.value
        tangent = _push(optimiser, state | {"gradient": g}, t, tangent, dg)
        state = optimiser.step(state, g, t)
    end = result_of(optimiser)
    away = float((state[end] - trajectory.theta).norm() / trajectory.theta.norm().clamp(min=1e-30))
    if not away <= REPLAY:
        raise UserError(f"Replaying this run from its start ends {away:.0e} away from its end: it cannot be predicted.")
    return tangent[end]


def _push(optimiser: Optimiser, state: State, t: int, tangent: State, dg: Tensor) -> State:
    """Carry ``tangent`` over step t: the transpose of the adjoint, which is linear in ``bar``."""
    leaves = {name: torch.zeros_like(entry).unsqueeze(0).requires_grad_(True) for name, entry in tangent.items()}
    back, a = optimiser.adjoint(state, t, {name: leaf.clone() for name, leaf in leaves.items()})
    paired = (a[0] * dg).sum() + sum((back[name][0] * tangent[name]).sum() for name in back)
    dtheta = torch.autograd.grad(paired, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return {name: entry[0] for name, entry in zip(leaves, dtheta, strict=True)}


def _values(field: Field, theta: Tensor, objectives: Sequence[Objective]) -> Tensor:
    values = objective_values(field.view(theta), objectives).to(theta.dtype)
    if not bool(torch.isfinite(values).all()):
        raise UserError("An objective is not finite at the predicted parameters: take fewer samples away at once.")
    return values
