"""Losses and gradients that are not finite: which sample, and what of it."""

from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.torch.batches import Batches
from crossloss.models.torch.data import named_leaves
from crossloss.models.torch.steps import Part


def check_finite(field: Batches, theta: Tensor, w: Tensor, step: int) -> None:
    """Refuse parameters that are not finite at ``theta``, and losses in the step's batch or of data that are not."""
    for name, tensor in [*field.layout.split(theta).items(), *field.module.named_buffers()]:
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{name!r} of the model is not finite before training: initialise or load it again.")
    odd = torch.zeros(field.samples, dtype=torch.bool, device=field.device)
    for _, leaf in named_leaves(field._rows):
        odd |= _odd(leaf)
    _refuse_losses(field, theta, w, step)
    rest = odd.nonzero().flatten()
    if field.sample_loss is not None and len(rest):
        _refuse_losses(field, theta, w, step, Part(rest, still=True).split(field.chunk))


def refuse_not_finite(field: Batches, theta: Tensor, w: Tensor, step: int) -> None:
    """Say which sample makes the gradient of a step not finite; return where training diverges, as its loop reports."""
    if not bool(torch.isfinite(theta).all()):
        return
    # What is not finite at the initial parameters either is a sample's, and not training that diverges.
    _refuse_losses(field, field.initial, w, step)
    target, sample_loss = field.frozen_target(theta, w), field.sample_loss is not None
    for part in field.parts(step):
        alone = [part.some(slice(i, i + 1)) for i in range(len(part.rows))] if sample_loss else [part]
        if not bool(torch.isfinite(_values(field, theta, w, part, target)).all()):
            return
        for one in alone:
            y = theta.detach().requires_grad_(True)
            value = _values(field, y, w, one, target).sum()
            slope = torch.autograd.grad(value, y, allow_unused=True)[0] if value.requires_grad else None
            if slope is not None and not bool(torch.isfinite(slope).all()):
                raise UserError(
                    f"The loss of {_named(field, one)} is {value.detach().item():.3g}, but its gradient is not finite: "
                    "the model or its loss takes a root, a norm or a logarithm at 0 there; add a small number under it."
                )


def _named(field: Batches, part: Part) -> str:
    """What a loss is of: a sample, or a batch as a whole."""
    if field.sample_loss is not None:
        return f"sample {int(part.rows[0])}"
    return f"the batch of the samples {', '.join(map(str, part.rows[:3].tolist()))}, ..."


def _values(field: Batches, theta: Tensor, w: Tensor, part: Part, target: Tensor | None) -> Tensor:
    """Losses of the samples, (b,), or the loss of all of them together, (1,)."""
    if field.sample_loss is not None:
        return field.losses(theta, part, target)
    return field.loss_of(theta, w.to(theta)[part.rows], part, target).reshape(1)


def _refuse_losses(field: Batches, theta: Tensor, w: Tensor, step: int, parts: Sequence[Part] | None = None) -> None:
    """Refuse losses of a step, or of other samples, that are not finite."""
    found = []
    with torch.no_grad():
        target = field.frozen_target(theta, w.to(theta))
        for part in field.parts(step) if parts is None else parts:
            values = _values(field, theta, w, part, target)
            wrong = (~torch.isfinite(values)).nonzero().flatten().tolist()
            singly = field.sample_loss is not None
            found += [(part.some(slice(i, i + 1)) if singly else part, float(values[i])) for i in wrong]
    if found:
        others = f" (and of {len(found) - 1} more)" if len(found) > 1 else ""
        part, value = found[0]
        _refuse_part(field, theta, target, part, f"The loss of {_named(field, part)} is {value}{others}")


def _refuse_part(field: Batches, theta: Tensor, target: Tensor | None, part: Part, what: str) -> NoReturn:
    data = field.data_of(part)
    for name, leaf in named_leaves(data):
        odd = _odd(leaf).nonzero().flatten().tolist()
        if odd:
            kind = "nan" if bool(torch.isnan(leaf[odd[0]]).any()) else "inf"
            there = "there" if len(part.rows) == 1 else f"for sample {int(part.rows[odd[0]])}"
            raise UserError(f"{what}: {name} holds {kind} {there}; correct that sample or leave it out of the data.")
    if target is not None and not bool(torch.isfinite(target[part.rows]).all()):
        raise UserError(f"{what}: what frozen= returns for it is not finite; correct frozen=.")
    if field.sample_loss is None:
        raise UserError(f"{what}: its data are finite, so the model overflows or loss divides by 0 or takes log of 0.")
    with torch.no_grad():
        outputs = field.forward(field.view(theta), data)
    if isinstance(outputs, Tensor) and not bool(torch.isfinite(outputs).all()):
        raise UserError(
            f"{what}: its data are finite and the model's output is not; look for an overflow in the model."
        )
    raise UserError(
        f"{what}: its data and the model's output are finite, so sample_loss divides by 0 or takes the log of 0 there."
    )


def _odd(leaf: Tensor) -> Tensor:
    """Samples with a number that is not finite, (n,) bool."""
    if not (leaf.is_floating_point() or leaf.is_complex()):
        return torch.zeros(len(leaf), dtype=torch.bool, device=leaf.device)
    return ~torch.isfinite(leaf).reshape(len(leaf), -1).all(1)
