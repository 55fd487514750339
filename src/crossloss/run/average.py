"""The averaged copy of a model that a loop keeps beside it, as shares of the parameters that enter it step by step."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from crossloss.core import UserError
from crossloss.models.torch.view import Layout

EXACT = {torch.float32: 1e-4, torch.float64: 1e-9}
"""How far an update may be from a mean of the average and the parameters, relative to the update."""


class Average:
    """Measures each update: average <- average + share (theta - average), whatever rule gave the share."""

    def __init__(self, averaged: nn.Module, layout: Layout) -> None:
        if not isinstance(averaged, nn.Module):
            raise UserError(f"The average is a {type(averaged).__name__}: give the averaged model, a torch.nn.Module.")
        named = dict((averaged.module if isinstance(averaged, AveragedModel) else averaged).named_parameters())
        if any(name not in named for name in layout.names):
            raise UserError("The averaged model lacks parameters of the field's model: average a copy of that model.")
        self._named, self._layout = named, layout
        self.last = self.now()
        self.shares: list[float] = []

    def now(self) -> Tensor:
        """The averaged parameters (p,)."""
        return self._layout.flat(self._named)

    def update(self, theta: Tensor) -> None:
        """Take down what happened after a step that led to ``theta`` (p,); UserError for anything but a mean."""
        now, before = self.now(), self.last
        change, away = (now - before).double(), (theta - before).double()
        size = float(away @ away)
        share = float(change @ away) / size if size else 0.0
        tolerance = EXACT.get(theta.dtype, 1e-4)
        rounding = 4 * torch.finfo(theta.dtype).eps * float(before.norm())
        if not float((change - share * away).norm()) <= tolerance * float(change.norm()) + rounding:
            raise UserError(
                f"The averaged model changed at step {len(self.shares)}, and not to a mean of itself and the model's "
                "parameters: update it from the same model, right after optimizer.step()."
            )
        self.shares.append(share if abs(share) > 1e-12 else 0.0)
        self.last = now
