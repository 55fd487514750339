"""Gradient dot: the influence with the curvature left out."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from crossloss.core import WHOLE, Accumulator, Checkpoint, Field, Objective, Pairing, Progress, Trajectory, UserError

AT_ONCE = 256
"""Objectives differentiated in one batched pass."""


def objective_gradients(field: Field, theta: Tensor, objectives: Sequence[Objective]) -> Tensor:
    """Gradients of the objectives at ``theta``, (k, p).

    Raises
    ------
    UserError
        An objective is not a finite scalar that depends on the parameters.
    """
    gradients = []
    for whole, members in _together(objectives):
        leaf = theta.detach().clone().requires_grad_(True)
        values = whole(field.view(leaf))
        if not isinstance(values, Tensor) or values.numel() < len(members) or not values.requires_grad:
            raise UserError(f"Objective {members[0].name} must return one scalar tensor computed from the parameters.")
        gradients.append(_gradients(_picked(values, members), leaf))
        finite = torch.isfinite(gradients[-1]).all(1)
        if not bool(finite.all()):
            wrong = members[int(finite.logical_not().nonzero()[0])].name
            raise UserError(f"Objective {wrong} has no finite gradient at this model.")
    return torch.cat(gradients)


def objective_values(view: Any, objectives: Sequence[Objective]) -> Tensor:
    """Values of the objectives of a view, (k,) float64."""
    with torch.no_grad():
        return torch.cat([_picked(whole(view), members).double() for whole, members in _together(objectives)])


def pair(field: Field, theta: Tensor, w: Tensor, step: int, a: Tensor, into: Accumulator) -> None:
    """Add d<g, a>/d(atom weight) to ``into``: a pullback, or what of it the field can do alone."""
    (field.pairing if isinstance(field, Pairing) else field.pullback)(theta, w, step, a, into)


def _together(objectives: Sequence[Objective]) -> Iterator[tuple[Callable[[Any], Tensor], list[Objective]]]:
    """What computes the objectives, with neighbours that are computed together in one (``core.Joint``)."""
    for whole, members in groupby(objectives, lambda o: getattr(o, "whole", o)):
        yield whole, list(members)


def _picked(values: Tensor, members: Sequence[Objective]) -> Tensor:
    """The values of some objectives among those computed with them, (m,)."""
    return values.reshape(-1)[torch.tensor([getattr(o, "index", 0) for o in members], device=values.device)]


def _gradients(values: Tensor, leaf: Tensor) -> Tensor:
    """Gradient of each value by the leaf, (m, p): in batched passes where every operator can be, else one by one."""
    units = torch.eye(len(values), dtype=values.dtype, device=values.device)

    def rows(unit: Tensor, batched: bool) -> Tensor:
        (found,) = torch.autograd.grad(values, leaf, unit, retain_graph=True, is_grads_batched=batched)
        return found

    if len(values) > 1:
        try:
            return torch.cat([rows(block, batched=True) for block in torch.split(units, AT_ONCE)])
        except RuntimeError:  # an operator that cannot be batched; what has no derivative fails again below
            pass
    return torch.stack([rows(unit, batched=False) for unit in units])


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
    pair(field, theta, trajectory.weights, WHOLE, direction, into)
    if progress:
        progress(1, 1)
    return into
