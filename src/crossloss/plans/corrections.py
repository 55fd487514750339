"""Corrections: every way to make the better model, as one function from an initial seed to parameters.

They compose: each may come after another (``first``), such as hard debias before an update or after a reweighting.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from crossloss.models.skipgram.hard_debias import HardDebias
from crossloss.plans.update import Update
from crossloss.run.run import Run


class Correction(Protocol):
    """A model for every initial seed."""

    def __call__(self, run: Run, seed: int | None, kept: np.ndarray | None = None) -> Tensor:
        """Parameters (p,) from this start; ``kept`` (n,) multiplies all sample weights (0: held out)."""
        ...


@dataclass(frozen=True, eq=False)
class Weighted:
    """Train with other weights (n,): those of ``remove`` or ``reweight``; the run's own where None."""

    weights: np.ndarray | None = None

    def __call__(self, run: Run, seed: int | None, kept: np.ndarray | None = None) -> Tensor:
        """Train from this start."""
        weights = run.weights if self.weights is None else self.weights
        return run.retrain(weights if kept is None else weights * kept, seed=seed).theta


@dataclass(frozen=True, eq=False)
class Debiased:
    """Hard debias the word vectors, one set of words after the other; their lengths stay what they were."""

    debias: tuple[HardDebias, ...]
    first: Correction = Weighted()

    def __call__(self, run: Run, seed: int | None, kept: np.ndarray | None = None) -> Tensor:
        """Debias what ``first`` makes."""
        view = run.field.view(self.first(run, seed, kept))
        lengths = torch.linalg.vector_norm(view.vectors, dim=1, keepdim=True)
        for debias in self.debias:
            view = debias(view)
        return torch.cat([(view.vectors * lengths).reshape(-1), view.contexts.reshape(-1)])


@dataclass(frozen=True, eq=False)
class Updated:
    """Undo, reinforce or both, on what ``first`` makes."""

    update: Update
    first: Correction = Weighted()

    def __call__(self, run: Run, seed: int | None, kept: np.ndarray | None = None) -> Tensor:
        """Update what ``first`` makes; samples held out are not stepped on."""
        chosen = self.update
        if kept is not None:
            undone, reinforced = (rows[kept[rows] > 0] for rows in (chosen.undone, chosen.reinforced))
            chosen = Update(chosen.how, undone, reinforced, chosen.passes)
        return chosen.apply(run, self.first(run, seed, kept))
