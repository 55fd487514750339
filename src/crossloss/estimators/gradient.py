"""Gradient dot: the influence with the curvature left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from crossloss import core
from crossloss.core import Family, Field, Objective, UserError

AT_ONCE = 256
"""Objectives of a family differentiated in one batched pass."""


def objective_gradients(field: Field, theta: Tensor, objectives: Sequence[Objective]) -> Tensor:
    """Gradients of the objectives at ``theta``, (k, p); those of a family in batched passes.

    UserError for an objective that is not a finite scalar that depends on the parameters.
    """
    gradients = []
    for family, members in _together(objectives):
        batch = None if family is None else _batched(field, theta, family, _indices(members, theta))
        gradients.append(torch.stack([_gradient(field, theta, o) for o in members]) if batch is None else batch)
        for objective, finite in zip(members, torch.isfinite(gradients[-1]).all(1).tolist(), strict=True):
            if not finite:
                raise UserError(f"Objective {objective.name} has no finite gradient at this model.")
    return torch.cat(gradients)


def objective_values(view: Any, objectives: Sequence[Objective]) -> Tensor:
    """Values of the objectives of a view, (k,) float64."""
    values = []
    with torch.no_grad():
        for family, members in _together(objectives):
            if family is None:
                values.append(torch.stack([o(view).reshape(()) for o in members]).double())
            else:
                all_of_it = family(view)
                values.append(all_of_it[_indices(members, all_of_it)].double())
    return torch.cat(values)


def _together(objectives: Sequence[Objective]) -> Iterator[tuple[Family | None, list[Objective]]]:
    """Neighbours of one family, or of none."""
    for family, members in groupby(objectives, lambda o: getattr(o, "family", None)):
        yield family, list(members)


def _indices(members: Sequence[Any], like: Tensor) -> Tensor:
    return torch.tensor([o.index for o in members], device=like.device)


def _gradient(field: Field, theta: Tensor, objective: Objective) -> Tensor:
    leaf = theta.detach().clone().requires_grad_(True)
    value = objective(field.view(leaf))
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
        raise UserError(f"Objective {objective.name} must return one scalar tensor computed from the parameters.")
    (gradient,) = torch.autograd.grad(value.reshape(()), leaf, allow_unused=True)
    if gradient is None:
        what = "does not depend on the parameters that it is handed"
        raise UserError(f"Objective {objective.name} {what}: use its argument, not a model from outside.")
    return gradient


def _batched(field: Field, theta: Tensor, family: Family, indices: Tensor) -> Tensor | None:
    """Gradients of members of a family, (m, p); None where that cannot be batched, or one is zero (detached?)."""
    one = grad(lambda leaf, index: family.one(field.view(leaf), index))
    try:
        gradients = torch.cat([vmap(one, (None, 0))(theta.detach(), part) for part in torch.split(indices, AT_ONCE)])
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return None
    return gradients if bool(gradients.any(1).all()) else None


@dataclass(frozen=True)
class GradientDot(core.Estimator):
    """-grad f . grad l_i at the final parameters: right in sign where curvature is flat, in no unit.

    (paper Eq. 1 with H = identity; the minus is Koh and Liang's, which the paper's equations lack.)

    Examples
    --------
    >>> from crossloss.estimators import GradientDot
    >>> scores = cl.score(run, [weat], GradientDot())  # or "gradient-dot"
    """

    name = "gradient-dot"
    overflow = "The gradient-dot scores overflowed: use float64."

    def add(
        self,
        trajectory: core.Trajectory,
        objectives: Sequence[Objective],
        into: core.Accumulator,
        progress: core.Progress,
        checkpoint: core.Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``."""
        field, theta = trajectory.field, trajectory.theta
        direction = -objective_gradients(field, theta, objectives)
        field.at(theta, trajectory.weights, core.FULL_BATCH).weight_gradient(direction, into)
        progress(1, 1)
