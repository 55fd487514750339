"""Products with the derivative of a torch field: one vjp of its gradient, chunk by chunk."""

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from crossloss.core import Accumulator, Linearisation
from crossloss.models.torch.gradients import Gradients
from crossloss.models.torch.influence import SampleInfluence
from crossloss.models.torch.module import gradient_of, intermediates, vjp
from crossloss.utils import distributed

AT_ONCE = 1_000_000
"""Intermediate numbers times directions in one batched pass: beyond the cache it is slower than one by one."""


class TorchLinearisation(Linearisation):
    """The gradient of each chunk with its graph, which is computed once where one chunk is all."""

    field: Gradients

    def __init__(self, field: Gradients, theta: Tensor, w: Tensor, step: int) -> None:
        super().__init__(field, theta, w, step)
        self._theta, self._weights = _leaf(theta), _leaf(w.to(theta))
        self._batch = field.batch(step)
        with field.few_threads(self._batch):
            self._target = field.frozen_target(self._theta, self._weights)
        self._parts = field.own_parts(step)
        self._only: _Chunk | None = None

    @cached_property
    def value(self) -> Tensor:
        """g_t(theta, w), (p,): of the graph, where one chunk is all."""
        if len(self._parts) != 1:
            return super().value
        with self.field.few_threads(self._batch):
            (_, g, *_), *_ = self._chunks()
            changed = self.field.regulariser is not None or distributed.count() > 1
            own = g.detach().clone() if changed else g.detach()
            return self.field.whole_gradient(self.theta, self.w.to(self.theta), self.step, own)

    def pullback(self, a: Tensor, into: Accumulator) -> Tensor:
        """J^T a (k, p), by one vjp of g with respect to (theta, w); d<g, a>/dw of own samples into ``into``."""
        back = torch.zeros_like(a)
        with self.field.few_threads(self._batch):
            self._pull(a, into, back)
        return back

    def weight_gradient(self, a: Tensor, into: Accumulator) -> None:
        """D<g, a>/dw into ``into``, without J^T a; by the units where there are fewer of them."""
        with self.field.few_threads(self._batch):
            if len(a) <= a.shape[1]:
                self._pull(a, into, None)
                return
            assert isinstance(into, SampleInfluence)
            units = torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
            by_unit = self.field.accumulator(len(units))
            self._pull(units, by_unit, None)
            into.sums += a.double() @ by_unit.sums

    def _pull(self, a: Tensor, into: Accumulator, back: Tensor | None) -> None:
        """D<g, a>/dw into ``into``, and J^T a into ``back`` where it is wanted."""
        assert isinstance(into, SampleInfluence)
        field, target = self.field, self._target
        bar = None if target is None else target.new_zeros(len(a), *target.shape)
        for rows, g, at_once, (u, constant, *thetas) in self._chunks():
            inputs = [v for v in (u, constant, *(thetas if back is not None else ())) if v is not None]
            products = iter(vjp(g, inputs, a, at_once))
            into.add(rows, next(products))
            if bar is not None:
                bar += next(products)
            for product in products:
                assert back is not None
                back += product
        if back is not None:
            distributed.add_(back)
        if field.regulariser and back is not None:
            y = _leaf(self.theta)
            back += vjp(gradient_of(field.penalty(y), y, again=True), [y], a, len(a))[0]
        if target is not None and bar is not None:
            inputs = [self._weights] if back is None else [self._weights, self._theta]
            through = vjp(target, inputs, distributed.add_(bar), AT_ONCE // intermediates(target))
            if distributed.first():  # all processes have the same
                into.sums += through[0].double()
            if back is not None:
                back += through[1]

    def _chunks(self) -> "Iterator[_Chunk]":
        """Rows, their part of the gradient, directions at once; leaves: weights, target, theta, its padding rows."""
        field = self.field
        for part in self._parts:
            chunk = self._only
            if chunk is None:
                y, u = _leaf(self.theta), _leaf(field.weights_of(self._weights, part))
                held = [_leaf(self.theta)] if field.layout.padding else []
                constant = None if self._target is None else _leaf(self._target)
                loss = field.part_loss(y, u, part, constant, *held)
                g, at_once = gradient_of(loss, y, again=True), AT_ONCE // intermediates(loss)
                chunk = part.rows, g, at_once, (u, constant, y, *held)
            if len(self._parts) == 1:
                self._only = chunk
            yield chunk


_Chunk = tuple[Tensor, Tensor, int, tuple[Tensor | None, ...]]


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_(True)
