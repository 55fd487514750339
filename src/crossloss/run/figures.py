"""Figures of some parameters of a run: objectives, benchmarks, the loss; what a repair may cost."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.quality import analogies
from crossloss.run.run import Run

HELD_OUT = 0.05
"""Part of the sentences whose text neither training nor correction sees, for a held-out loss."""


def figures_of(run: Run, objectives: Sequence[Objective]) -> Callable[[Tensor], dict[str, float]]:
    """A function that measures parameters (p,): objectives, benchmarks, and the data's part of the training loss."""
    return lambda theta: figures(run.at(theta), objectives)


def figures(run: Run, objectives: Sequence[Objective]) -> dict[str, float]:
    """Objectives, benchmarks (of words also analogies) and training loss of a run, those that can be measured."""
    view = run.view
    measured: dict[str, float | None] = {o.name: float(o(view)) for o in objectives}
    measured |= run.model.benchmarks(view)
    weights = torch.from_numpy(np.array(run.model.own_weights)).to(run.trajectory.weights)
    if isinstance(run.model, SkipGram):
        measured["analogies"] = analogies(view.words, view.vectors.cpu().numpy())
        measured["loss"] = run.model.build().data_loss(run.theta, weights)
    else:
        measured["loss"] = run.model.loss(run.theta, weights)
    return {name: value for name, value in measured.items() if value is not None}


def held_in_samples(run: Run, seed: int | None) -> np.ndarray:
    """1 for samples that training sees, 0 for the 5 % held out, drawn by the seed, (n,) float64.

    A swapped version of a sentence is held out with it.
    """
    generator = np.random.default_rng([seed or 0, 353])
    held_in = (generator.random(run.model.samples) >= HELD_OUT).astype(np.float64)
    originals = run.model.corpus.originals if isinstance(run.model, SkipGram) else None
    return held_in if originals is None else np.where(originals >= 0, held_in[originals], held_in)


def held_out_loss(model: SkipGram, theta: Tensor, held_in: np.ndarray) -> float:
    """Loss per pair, in nats, on the sentences that are not held in; UserError where there is none."""
    out = torch.from_numpy(model.own_weights * (1 - held_in))
    pairs = model.counts.matrix.T @ out.numpy()
    apart = model.counts.pairs[:, 0] != model.counts.pairs[:, 1]
    number = float(pairs.sum() + pairs[apart].sum())
    if not number:
        raise UserError("No sentence could be held out: the corpus is too small for a held-out loss.")
    return float(model.build().data_loss(theta, out) * model.build().total / number)
