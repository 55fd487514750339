"""Which samples of a torch field are evaluated together: in a step, in the loss as a whole, in this process."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from crossloss.core import FULL_BATCH, UserError
from crossloss.models.torch.model import TorchModel
from crossloss.models.torch.steps import Part, RecordedOrder
from crossloss.utils import distributed


class Batches(TorchModel):
    """The part of a ``TorchField`` that deals its samples."""

    def batch(self, step: int) -> Tensor:
        """Rows that a step sees, (B,) int64."""
        field = self._field
        if field.order is None or step == FULL_BATCH:
            return torch.arange(field.samples, device=field.device)
        return field.order(step).to(field.device)

    def parts(self, step: int) -> list[Part]:
        """What a step, or the training loss as a whole, is a sum over: each with its divisor, no larger than it may be.

        UserError where ``denominator`` gives no number above 0.
        """
        whole = self._divided(step)
        return whole if self._couples else [piece for part in whole for piece in self._pieces(part)]

    def own_parts(self, step: int) -> list[Part]:
        """Those of the parts, of several processes, that this one evaluates: its share of the samples of each.

        UserError where the loss is of a batch as a whole, and there are fewer batches than processes.
        """
        field = self._field
        if distributed.count() == 1:
            return self.parts(step)
        whole = self._divided(step)
        if self._couples:
            if step != FULL_BATCH and len(whole) == 1:
                raise UserError(
                    f"The loss of this field is of a batch as a whole, which {distributed.count()} processes cannot "
                    "share: take one process, or a loss that is a sum over samples (sample_loss, denominator=, "
                    "additive=True)."
                )
            return whole[distributed.rank() :: distributed.count()]
        if not all(part.draws is None or field._drawn_by_sample(part) for part in whole):
            raise UserError(
                f"The random numbers of this model are not drawn samples first, so that {distributed.count()} "
                "processes cannot share its batches: take one process."
            )
        shares = [part.piece(distributed.part(len(part.rows))) for part in whole]
        return [piece for share in shares if len(share.rows) for piece in share.split(field.chunk)]

    def _pieces(self, part: Part) -> list[Part]:
        """Pieces that are no larger than they may be; the whole where its random numbers cannot be dealt."""
        field = self._field
        whole = part.draws is not None and len(part.rows) > field.chunk and not field._drawn_by_sample(part)
        return [part] if whole else part.split(field.chunk)

    def _divided(self, step: int) -> list[Part]:
        """The batches of a step, or of the training loss as a whole, each with its divisor."""
        field = self._field
        given = self._whole() if step == FULL_BATCH else self._given(step)
        if field.denominator is not None:
            count = sum(self._count(part) for part in given)
            given = [replace(part, divisor=count) for part in given]
        elif field.sample_loss is not None:
            given = [replace(part, divisor=part.divisor * len(part.rows)) for part in given]
        return given

    def _given(self, step: int) -> list[Part]:
        """The micro-batches of a step, whose losses' mean is its loss."""
        field = self._field
        seed = None if field.dropout_seed is None else field.dropout_seed + step
        if not isinstance(field.order, RecordedOrder):
            return [Part(self.batch(step), draws=seed)]
        parts = field.order.parts(step)
        first = [seed, *[None] * (len(parts) - 1)]
        return [
            replace(p, rows=p.rows.to(field.device), divisor=len(parts), draws=s if p.draws is None else p.draws)
            for p, s in zip(parts, first, strict=True)
        ]

    def _whole(self) -> list[Part]:
        """All samples; the batches of one epoch where their losses are of batches, or their data were recorded."""
        field = self._field
        order = field.order
        if order is None or not (self._couples or (isinstance(order, RecordedOrder) and order.holds_data)):
            return [Part(torch.arange(field.samples, device=field.device), still=True)]
        parts = [part for t in range(order.epoch(field.samples)) for part in self._given(t)]
        n = sum(len(part.rows) for part in parts)
        return [replace(part, draws=None, still=True, divisor=n / len(part.rows)) for part in parts]

    @property
    def _couples(self) -> bool:
        """Whether the loss is of a batch as a whole, and no sum over samples."""
        field = self._field
        return field.sample_loss is None and field.denominator is None and not field.additive

    def _count(self, part: Part) -> float:
        field = self._field
        assert field.denominator is not None
        count = float(field.denominator(field.data_of(part)))
        if not 0 < count < math.inf:
            raise UserError(f"denominator gives {count:g} for a batch: it must be a count above 0, such as of tokens.")
        return count
