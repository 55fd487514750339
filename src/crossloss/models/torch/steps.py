"""What each step sees: samples that are evaluated together, their data, what they draw, their share of the loss."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.torch.data import Rows, each, leaves

Draws = int | tuple[Tensor, ...]
"""What a forward pass draws its random numbers after: a seed, or states of the generators (CPU, then the GPU's)."""


@dataclass(frozen=True, eq=False)
class Part:
    """Samples that are evaluated together, in a step or of the training loss as a whole.

    ``rows`` (b,) are their numbers; ``data`` theirs where a loop drew them, else the field's; ``divisor`` is what their
    loss, or the sum of their losses, is divided by; ``still`` puts the module into eval mode. Of a piece of a batch
    ``within`` is (first, B): its place among the B samples for which random numbers are drawn together.
    """

    rows: Tensor
    data: Rows | None = None
    draws: Draws | None = None
    divisor: float = 1.0
    still: bool = False
    within: tuple[int, int] | None = None

    @property
    def piece_of(self) -> tuple[int, int, int] | None:
        """(first, count, total) of a piece of a batch."""
        return None if self.within is None else (self.within[0], len(self.rows), self.within[1])

    def split(self, size: int) -> "list[Part]":
        """Pieces of at most ``size`` samples, as even as may be."""
        count = -(-len(self.rows) // size)
        ends = [len(self.rows) * i // count for i in range(count + 1)]
        return [self.piece(slice(*ends[i : i + 2])) for i in range(count)]

    def piece(self, which: slice) -> "Part":
        """Neighbours among its samples, which draw what they draw in the whole."""
        if which == slice(0, len(self.rows)):
            return self
        first, total = self.within or (0, len(self.rows))
        return replace(self.some(which), within=(first + which.start, total))

    def some(self, which: slice) -> "Part":
        """Some of its samples, as a batch of their own."""
        data = None if self.data is None else each(self.data, lambda leaf: leaf[which].contiguous())
        return replace(self, rows=self.rows[which], data=data)


class RecordedOrder:
    """The micro-batches of each step of a loop that is over; the loss of a step is the mean of theirs."""

    def __init__(self, steps: Sequence[Sequence[Part]]) -> None:
        self.steps = [list(parts) for parts in steps]
        for t, parts in enumerate(self.steps):
            for part in parts:
                if part.data is not None and {len(leaf) for leaf in leaves(part.data)} != {len(part.rows)}:
                    raise UserError(
                        f"The data of the batch of step {t} are not of its {len(part.rows)} rows: give tensors with "
                        "one entry a row."
                    )

    @property
    def holds_data(self) -> bool:
        """Whether batches were recorded with their data."""
        return any(part.data is not None for parts in self.steps for part in parts)

    def __call__(self, step: int) -> Tensor:
        """Rows that a step sees, (B,) int64."""
        return torch.cat([part.rows for part in self.parts(step)])

    def parts(self, step: int) -> list[Part]:
        """The micro-batches of a step."""
        if step >= len(self.steps):
            raise UserError(f"{len(self.steps)} steps were recorded and step {step} is one more: train fewer steps.")
        return self.steps[step]

    def epoch(self, n: int) -> int:
        """Steps until ``n`` rows were seen, or all."""
        seen = np.cumsum([sum(len(part.rows) for part in parts) for parts in self.steps])
        return min(int(np.searchsorted(seen, n)) + 1, len(seen))

    def double(self) -> "RecordedOrder":
        """The same with data in float64."""
        return RecordedOrder(
            [[p if p.data is None else replace(p, data=in_float64(p.data)) for p in parts] for parts in self.steps]
        )


def in_float64(rows: Rows) -> Rows:
    """Data whose fractions are float64."""
    return each(rows, lambda leaf: leaf.double() if leaf.is_floating_point() else leaf)
