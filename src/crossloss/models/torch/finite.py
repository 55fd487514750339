"""Losses and gradients that are not finite: which sample, and what of it."""

from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.torch.data import each, named_leaves

if TYPE_CHECKING:
    from crossloss.models.torch.field import TorchField


def check_finite(field: "TorchField", theta: Tensor, w: Tensor, step: int) -> None:
    """Refuse parameters that are not finite at ``theta``, and losses in the step's batch or of data that are not."""
    for name, tensor in [*field.layout.split(theta).items(), *field.module.named_buffers()]:
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{name!r} of the model is not finite before training: initialise or load it again.")
    odd = torch.zeros(field.samples, dtype=torch.bool, device=field.device)
    for _, leaf in named_leaves(field._rows):
        odd |= _odd(leaf)
    odd[field.batch(step)] = True
    _refuse_losses(field, theta, w, odd.nonzero().flatten(), step)


def refuse_not_finite(field: "TorchField", theta: Tensor, w: Tensor, step: int) -> None:
    """Say which sample makes the gradient of a step not finite; return where training diverges, as its loop reports."""
    if not bool(torch.isfinite(theta).all()):
        return
    rows = field.batch(step)
    # What is not finite at the initial parameters either is a sample's, and not training that diverges.
    _refuse_losses(field, field.initial, w, rows, step)
    target = field._target(theta, w)
    losses = [field.losses(theta, part, target, step) for part in field._chunks(rows, step)]
    if not all(bool(torch.isfinite(part).all()) for part in losses):
        return
    for row in rows.tolist():
        y = theta.detach().requires_grad_(True)
        value = field.losses(y, rows.new_tensor([row]), target, step).sum()
        slope = torch.autograd.grad(value, y, allow_unused=True)[0] if value.requires_grad else None
        if slope is not None and not bool(torch.isfinite(slope).all()):
            raise UserError(
                f"The loss of sample {row} is {value.detach().item():.3g}, but its gradient is not finite: the model "
                "or sample_loss takes a root, a norm or a logarithm at 0 there; add a small number under it."
            )


def _refuse_losses(field: "TorchField", theta: Tensor, w: Tensor, rows: Tensor, step: int) -> None:
    with torch.no_grad():
        target = field._target(theta, w.to(theta))
        losses = torch.cat([field.losses(theta, part, target, step) for part in field._chunks(rows, step)])
    wrong = rows[~torch.isfinite(losses)]
    if not len(wrong):
        return
    first, value = int(wrong[0]), float(losses[~torch.isfinite(losses)][0])
    others = f" (and of {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    _refuse_sample(field, theta, target, first, f"The loss of sample {first} is {value}{others}")


def _refuse_sample(field: "TorchField", theta: Tensor, target: Tensor | None, sample: int, what: str) -> NoReturn:
    for name, leaf in named_leaves(field._rows):
        if bool(_odd(leaf)[sample]):
            kind = "nan" if bool(torch.isnan(leaf[sample]).any()) else "inf"
            raise UserError(f"{what}: {name} holds {kind} there; correct that sample or leave it out of the data.")
    if target is not None and not bool(torch.isfinite(target[sample]).all()):
        raise UserError(f"{what}: what frozen= returns for it is not finite; correct frozen=.")
    with torch.no_grad():
        batch = each(field._rows, lambda leaf: leaf[sample : sample + 1])
        outputs = field.forward(field.view(theta), batch)
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
