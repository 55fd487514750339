"""What the graph of a pass over some samples holds in memory: measured on few of them, and so the size of pieces."""

import copy
from typing import TypeVar

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.torch.batches import Batches
from crossloss.models.torch.module import gradient_of
from crossloss.models.torch.steps import Part

Torch = TypeVar("Torch", bound=Batches)
FLOOR = 100_000_000
"""Bytes of activations below which no batch is dealt in pieces, however small the budget is."""


def activations(field: Batches) -> tuple[float, float, int]:
    """Bytes that a gradient's graph holds, fixed and for each sample, and the samples of the first step's largest part.

    Of one and of two samples' graphs, the straight line through them; its derivative takes as much again at most.
    """
    part = max(field.own_parts(0), key=lambda part: len(part.rows), default=None)
    if part is None:  # of more processes than rows
        return 0.0, 0.0, 0
    rows = len(part.rows)
    one = _held(field, part.some(slice(0, 1)))
    if rows == 1:
        return one, 0.0, 1
    each = max(0.0, float(_held(field, part.some(slice(0, 2))) - one))
    return one - each, each, rows


def _held(field: Batches, part: Part) -> int:
    """Bytes of the different tensors that backward passes keep of a gradient with its graph."""
    theta = field.initial
    y, w = theta.requires_grad_(True), torch.ones(field.samples, dtype=theta.dtype, device=field.device)
    held: dict[int, int] = {}

    def see(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() != theta.untyped_storage().data_ptr():
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        u = field.weights_of(w, part).requires_grad_(True)
        with torch.no_grad():
            target = field.frozen_target(theta, w)
        gradient_of(field.part_loss(y, u, part, target), y, again=True)
    return sum(held.values())


def within(field: Torch, budget: int) -> Torch:
    """The field with pieces whose graphs take no more than half of a budget, or than ``FLOOR``.

    UserError where a batch takes more than the budget, and its loss is of the batch as a whole.
    """
    fixed, each, rows = activations(field)
    most = max(FLOOR, budget // 2)
    needed = fixed + each * rows
    if needed <= most or not each:
        return field
    if field.couples:
        if needed <= max(FLOOR, budget):
            return field
        raise UserError(
            f"One batch of {rows} samples takes about {needed / 1e9:.3g} GB, more than memory {budget / 1e9:.3g}GB "
            "allows, and its loss is of the batch as a whole, which cannot be evaluated in pieces: raise memory=, take "
            "smaller batches, or a loss that is a sum over samples (sample_loss, denominator=, additive=True)."
        )
    other = copy.copy(field)
    other.chunk = max(1, int((most - fixed) // each))
    return other
