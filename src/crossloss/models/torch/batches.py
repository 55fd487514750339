"""Which samples of a torch field are evaluated together: in a step, in the loss as a whole, in this process."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from crossloss.core import FULL_BATCH, UserError
from crossloss.models.torch.data import GivenOrder, Order
from crossloss.models.torch.loss import TorchLoss
from crossloss.models.torch.steps import Part, RecordedOrder
from crossloss.models.torch.view import ModelView
from crossloss.utils import distributed


class Batches(TorchLoss):
    """The part of a ``TorchField`` that deals its samples."""

    order: Order | None
    denominator: Callable[[Any], Any] | None
    dropout_seed: int | None
    additive: bool
    outputs: Callable[[ModelView, Any], Any] | None
    _by_sample: bool | None = None

    def batch(self, step: int) -> Tensor:
        """Rows that a step sees, (B,) int64."""
        if self.order is None or step == FULL_BATCH:
            return torch.arange(self.samples, device=self.device)
        return self.order(step).to(self.device)

    def ordered(self, order: Sequence[Any] | RecordedOrder) -> Self:
        """The same field with these mini-batches: rows of each step, or an order."""
        other = copy.copy(self)
        other.order = order if isinstance(order, RecordedOrder) else GivenOrder(order, self.samples)
        return other

    def some_of(self, step: int, samples: int) -> Self:
        """The same field whose only batch is at most so many samples of that of ``step``, spread over it."""
        given = self._given(step)
        every = -(-sum(len(part.rows) for part in given) // samples)
        return self.ordered(RecordedOrder([[part.some(slice(None, None, every)) for part in given]]))

    def double(self) -> Self:
        """The same field in float64."""
        other = super().double()
        if isinstance(self.order, RecordedOrder):
            other.order = self.order.double()
        return other

    def parts(self, step: int) -> list[Part]:
        """What a step, or the training loss as a whole, is a sum over: each with its divisor, no larger than it may be.

        UserError where ``denominator`` gives no number above 0.
        """
        whole = self._divided(step)
        return whole if self.couples else [piece for part in whole for piece in self._pieces(part)]

    def own_parts(self, step: int) -> list[Part]:
        """Those of the parts, of several processes, that this one evaluates: its share of the samples of each.

        UserError where the loss is of a batch as a whole, and there are fewer batches than processes.
        """
        if distributed.count() == 1:
            return self.parts(step)
        whole = self._divided(step)
        if self.couples:
            if step != FULL_BATCH and len(whole) == 1:
                raise UserError(
                    f"The loss of this field is of a batch as a whole, which {distributed.count()} processes cannot "
                    "share: take one process, or a loss that is a sum over samples (sample_loss, denominator=, "
                    "additive=True)."
                )
            return whole[distributed.rank() :: distributed.count()]
        if not all(part.draws is None or self.drawn_by_sample(part) for part in whole):
            raise UserError(
                f"The random numbers of this model are not drawn samples first, so that {distributed.count()} "
                "processes cannot share its batches: take one process."
            )
        shares = [part.piece(distributed.part(len(part.rows))) for part in whole]
        return [piece for share in shares if len(share.rows) for piece in share.split(self.chunk)]

    def _pieces(self, part: Part) -> list[Part]:
        """Pieces that are no larger than they may be; the whole where its random numbers cannot be dealt."""
        whole = part.draws is not None and len(part.rows) > self.chunk and not self.drawn_by_sample(part)
        return [part] if whole else part.split(self.chunk)

    def _divided(self, step: int) -> list[Part]:
        """The batches of a step, or of the training loss as a whole, each with its divisor."""
        given = self._whole() if step == FULL_BATCH else self._given(step)
        if self.denominator is not None:
            count = sum(self._count(part) for part in given)
            given = [replace(part, divisor=count) for part in given]
        elif self.sample_loss is not None:
            given = [replace(part, divisor=part.divisor * len(part.rows)) for part in given]
        return given

    def _given(self, step: int) -> list[Part]:
        """The micro-batches of a step, whose losses' mean is its loss."""
        seed = None if self.dropout_seed is None else self.dropout_seed + step
        if not isinstance(self.order, RecordedOrder):
            return [Part(self.batch(step), draws=seed)]
        parts = self.order.parts(step)
        first = [seed, *[None] * (len(parts) - 1)]
        return [
            replace(p, rows=p.rows.to(self.device), divisor=len(parts), draws=s if p.draws is None else p.draws)
            for p, s in zip(parts, first, strict=True)
        ]

    def _whole(self) -> list[Part]:
        """All samples; the batches of one epoch where their losses are of batches, or their data were recorded."""
        order = self.order
        if order is None or not (self.couples or (isinstance(order, RecordedOrder) and order.holds_data)):
            return [Part(torch.arange(self.samples, device=self.device), still=True)]
        parts = [part for t in range(order.epoch(self.samples)) for part in self._given(t)]
        n = sum(len(part.rows) for part in parts)
        return [replace(part, draws=None, still=True, divisor=n / len(part.rows)) for part in parts]

    def drawn_by_sample(self, part: Part) -> bool:
        """Whether pieces of a batch have the random numbers of the whole: tried once, on four samples."""
        if self._by_sample is None:
            few, w = part.some(slice(0, 4)), torch.ones(self.samples).to(self.initial)
            pieces = [few] if len(few.rows) < 2 else [few.piece(slice(0, 1)), few.piece(slice(1, len(few.rows)))]
            try:
                with torch.no_grad():
                    target = self.frozen_target(self.initial, w)
                whole, *parts = (self.own_gradient(self.initial, w, [p], target) for p in (few, *pieces))
            except UserError:
                self._by_sample = False
            else:
                self._by_sample = bool((sum(parts) - whole).norm() <= 1e-3 * whole.norm())
        return self._by_sample

    @property
    def couples(self) -> bool:
        """Whether the loss is of a batch as a whole, and no sum over samples."""
        return self.sample_loss is None and self.denominator is None and not self.additive

    def _count(self, part: Part) -> float:
        assert self.denominator is not None
        count = float(self.denominator(self.data_of(part)))
        if not 0 < count < math.inf:
            raise UserError(f"denominator gives {count:g} for a batch: it must be a count above 0, such as of tokens.")
        return count
