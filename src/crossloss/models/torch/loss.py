"""A torch module with its data and its loss: what some samples add to the loss."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from torch import Tensor, nn

from crossloss.core import Field, UserError
from crossloss.models.threads import one_core_where_small
from crossloss.models.torch.data import Rows, each
from crossloss.models.torch.module import gradient_of, pure
from crossloss.models.torch.outer import Outer
from crossloss.models.torch.steps import Part, in_float64
from crossloss.models.torch.view import Layout, ModelView


class TorchLoss(Field):
    """The part of a ``TorchField`` that evaluates its loss; the attributes are what it was made of."""

    module: nn.Module
    eval_module: nn.Module
    """The module in eval mode, which objectives see."""
    layout: Layout
    outer: Outer
    padding: Any
    sample_loss: Callable[..., Tensor] | None
    batch_loss: Callable[..., Tensor] | None
    forward: Callable[[ModelView, Any], Any]
    regulariser: Callable[[ModelView], Tensor] | None
    frozen: Callable[[ModelView, Tensor], Tensor] | None
    chunk: int
    _rows: Rows
    _samples: int

    def _place(self, module: nn.Module) -> None:
        self.module, self.layout = module, Layout(module, self.padding)
        training = any(layer.training for layer in module.modules())
        same = {id(p): p for p in module.parameters()}  # whose values no pass reads, as theta takes their place
        self.eval_module = copy.deepcopy(module, same).eval() if training else module

    @property
    def samples(self) -> int:
        """Number of samples, n."""
        return self._samples

    @property
    def device(self) -> torch.device:
        """Where parameters and data are."""
        return self.layout.initial.device

    @property
    def initial(self) -> Tensor:
        """The module's parameters when the field was made, (p,), a copy."""
        return self.layout.initial.clone()

    @property
    def rows(self) -> Rows:
        """The data, a copy."""
        return each(self._rows, Tensor.clone)

    def double(self) -> Self:
        """The same field in float64."""
        other = copy.copy(self)
        other._place(copy.deepcopy(self.module).double())
        for name, values in other.layout.split(other.layout.initial).items():  # one copy of a large model
            other.module.get_parameter(name).data = values
        other._rows = in_float64(self._rows)
        return other

    def view(self, theta: Tensor) -> ModelView:
        """Parameters by name and the module in eval mode: all that an objective sees."""
        return ModelView(self.eval_module, self.layout, theta)

    def weights_of(self, w: Tensor, part: Part) -> Tensor:
        """Weights of a part's samples (b,), of those of all (n,)."""
        return w[part.rows]

    def data_of(self, part: Part) -> Rows:
        """The data of its samples."""
        rows = part.rows
        return each(self._rows, lambda leaf: leaf[rows]) if part.data is None else part.data

    def few_threads(self, batch: Tensor) -> AbstractContextManager[None]:
        """One thread for a pass over a batch of a small model, whose operations are over before threads meet."""
        rows = len(batch) if self.frozen is None else self.samples
        return one_core_where_small(rows * self.layout.initial.numel(), self.device)

    def frozen_target(self, theta: Tensor, w: Tensor) -> Tensor | None:
        """P of ``frozen`` for all samples, differentiable in theta and w."""
        if self.frozen is None:
            return None
        with pure(self.eval_module, None, self.device):
            target = self.frozen(self.view(theta), w)
        if not isinstance(target, Tensor) or not target.dim() or target.shape[0] != self.samples:
            raise UserError(f"frozen must return one tensor with a row for each of the {self.samples} samples.")
        return target

    def penalty(self, theta: Tensor) -> Tensor:
        """What ``regulariser`` gives, shape (), differentiable in theta."""
        assert self.regulariser is not None
        penalty = self.regulariser(self.view(theta))
        if not isinstance(penalty, Tensor) or penalty.numel() != 1:
            raise UserError("regulariser must return one scalar tensor computed from the parameters.")
        if not bool(torch.isfinite(penalty)) and bool(torch.isfinite(theta.sum())):
            raise UserError(f"regulariser is {float(penalty)} at these parameters: it must be finite.")
        return penalty.reshape(())

    def own_gradient(self, theta: Tensor, w: Tensor, parts: Sequence[Part], target: Tensor | None) -> Tensor:
        """Gradient of what some parts add to the loss, (p,)."""
        total: Tensor | None = None
        for part in parts:
            y = theta.detach().requires_grad_(True)
            g = gradient_of(self.part_loss(y, w[part.rows], part, target), y).detach()
            total = g if total is None else total.add_(g)
        return torch.zeros_like(theta) if total is None else total

    def part_loss(
        self, theta: Tensor, w: Tensor, part: Part, target: Tensor | None, held: Tensor | None = None
    ) -> Tensor:
        """What some samples with weights ``w`` (b,) add to the loss; padding rows are read in ``held``, else constant.

        Twice differentiable where w asks for it; else by the kernels of a plain training loop, to the same bits.
        """
        held, twice = theta.detach() if held is None else held, w.requires_grad
        if self.sample_loss is not None:
            return (w * self.losses(theta, part, target, twice=twice, held=held)).sum() / part.divisor
        return self.loss_of(theta, w, part, target, twice=twice, held=held) / part.divisor

    def loss_of(
        self,
        theta: Tensor,
        w: Tensor,
        part: Part,
        target: Tensor | None,
        *,
        twice: bool = False,
        held: Tensor | None = None,
    ) -> Tensor:
        """What ``loss`` gives for some samples with weights ``w`` (b,), shape ()."""
        assert self.batch_loss is not None
        batch, module = self.data_of(part), self.eval_module if part.still else self.module
        with pure(module, part.draws, self.device, part.piece_of):
            view = ModelView(module, self.layout, theta, twice=twice, held=held)
            value = self.batch_loss(view, batch, w, *(() if target is None else (target[part.rows],)))
        if not isinstance(value, Tensor) or value.numel() != 1:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"loss must return one scalar, the loss of the batch, and returned {shape}.")
        return value.reshape(())

    def losses(
        self, theta: Tensor, part: Part, target: Tensor | None, *, twice: bool = False, held: Tensor | None = None
    ) -> Tensor:
        """What ``sample_loss`` gives for some samples, (b,), where ``target`` is what ``frozen`` gives for all."""
        assert self.sample_loss is not None
        batch, module, size = self.data_of(part), self.eval_module if part.still else self.module, len(part.rows)
        with pure(module, part.draws, self.device, part.piece_of):
            outputs = self.forward(ModelView(module, self.layout, theta, twice=twice, held=held), batch)
            losses = self.sample_loss(outputs, batch, *(() if target is None else (target[part.rows],)))
        if not isinstance(losses, Tensor) or losses.shape != (size,):
            shape = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise UserError(
                f"sample_loss must return one loss a sample, shape ({size},), and returned {shape}: "
                'use reduction="none" and sum over all other dimensions.'
            )
        return losses
