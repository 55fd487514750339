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
    loss, or the sum of their losses, is divided by; ``still`` puts the module into eval mode.
    """

    rows: Tensor
    data: Rows | None = None
    draws: Draws | None = None
    divisor: float = 1.0
    still: bool = False

    def split(self, size: int) -> "list[Part]":
        """Parts of at most ``size`` samples; itself where it draws, which would depend on the parts."""
        if self.draws is not None or len(self.rows) <= size:
            return [self]
        return [self.some(slice(i, i + size)) for i in range(0, len(self.rows), size)]

    def some(self, which: slice) -> "Part":
        """Some of its samples."""
        data = None if self.data is None else each(self.data, lambda leaf: leaf[which])
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
