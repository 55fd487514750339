"""Objectives of a run as functions of its sample weights, at one or several initial seeds.

A model trained from one start is not a property of the corpus alone: a plan fitted to one start carries over to
others only in part, one fitted to the mean over several does.
"""

from collections.abc import Sequence

import numpy as np
import torch

from crossloss.core import Objective, UserError
from crossloss.estimators import unrolled
from crossloss.run.progress import Track, quiet
from crossloss.run.runs import Run
from crossloss.run.training import MemoryStates, Training


class Starts:
    """Values of k objectives after training from each of s seeds, and their derivatives by the weights.

    Parameters
    ----------
    run : Run
        Gives field, optimiser, steps and the weights to start from.
    objectives : sequence of Objective
    seeds : sequence of int, optional
        Initial seeds, each once; the run's own by default.

    Raises
    ------
    UserError
        No objective, no seed, or one of them twice.
    """

    def __init__(
        self,
        run: Run,
        objectives: Sequence[Objective],
        seeds: Sequence[int] | None = None,
        track: Track = quiet,
    ) -> None:
        self.run, self.objectives, self.track = run, list(objectives), track
        self.seeds = [run.settings.seed] if seeds is None else list(seeds)
        self.names = [o.name for o in self.objectives]
        if not self.names or len(set(self.names)) < len(self.names):
            raise UserError("A plan needs at least one objective, each once.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError("A plan needs at least one initial seed, each once.")

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Objectives after training with these weights, (s, k) float64."""
        rows = []
        for seed in self.seeds:
            view = self.run.view(self.run.retrain(weights, seed=seed, track=self.track), seed=seed)
            rows.append([float(o(view)) for o in self.objectives])
        return np.array(rows)

    def linearise(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Objectives (s, k) and their exact derivatives by the sample weights (s, k, n) at these weights."""
        run, rows, scores = self.run, [], []
        w = torch.from_numpy(np.array(weights, dtype=np.float64))
        for seed in self.seeds:
            start, like = run.field.initial(seed), run.training
            training = Training(
                run.field.started(start), like.optimiser, w, like.steps, start, MemoryStates(), like.every
            )
            with self.track(f"training (seed {seed})") as progress:
                training.finish(progress)
            with self.track(f"scoring (seed {seed})") as progress:
                scores.append(unrolled(training, self.objectives, progress=progress).samples().numpy())
            view = training.field.view(training.theta)
            rows.append([float(o(view)) for o in self.objectives])
        return np.array(rows), np.stack(scores)
