"""Gradient dot: the influence with the curvature left out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from crossloss.core import WHOLE, Accumulator, Checkpoint, Field, Objective, Progress, Trajectory, UserError


def objective_gradients(field: Field, theta: Tensor, objectives: Sequence[Objective]) -> Tensor:
    """Gradients of the objectives at ``theta``, (k, p).

    Raises
    ------
    UserError
        An objective is not a finite scalar that depends on the parameters.
    """
    gradients = []
    for objective in objectives:
        leaf = theta.detach().clone().requires_grad_(True)
        value = objective(field.view(leaf))
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            raise UserError(f"Objective {objective.name} must return one scalar tensor computed from the parameters.")
        (gradient,) = torch.autograd.grad(value.reshape(()), leaf)
        if not torch.isfinite(gradient).all():
            raise UserError(f"Objective {objective.name} has no finite gradient at this model.")
        gradients.append(gradient)
    return torch.stack(gradients)


def gradient_dot(
    trajectory: Trajectory,
    objectives: Sequence[Objective],
    *,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Accumulator:
    """-grad f . grad l_i at the final parameters: right in sign where curvature is flat, in no unit.

    (paper Eq. 1 with H = identity; the minus is Koh and Liang's, which the paper's equations lack.)
    """
    field, theta = trajectory.field, trajectory.theta
    into = field.accumulator(len(objectives))
    direction = -objective_gradients(field, theta, objectives)
    field.pullback(theta, trajectory.weights, WHOLE, direction, into)
    if progress:
        progress(1, 1)
    return into
