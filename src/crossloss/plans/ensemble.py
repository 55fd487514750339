"""Objectives of a run as functions of its sample weights, from one start or as the mean over starts.

A model trained from one start is not a property of the corpus alone, and derivatives taken from a few starts are in
good part about those: weights fitted to them leave other starts half corrected. So values are the mean over some
starts, always the same, and derivatives come from others, new in every round: nothing is fitted to a start. What
weights change varies less between starts than the value itself, so the untouched run's mean is taken over more starts
and the change alone from those few (a control variate; ``fitting.Fit.shift``).
"""

from collections.abc import Sequence

import numpy as np

from crossloss.core import Objective, UserError
from crossloss.estimators import unrolled
from crossloss.run.retrainer import Retrainer
from crossloss.run.run import Run
from crossloss.scores import Scores
from crossloss.utils.progress import track

VALUES, BASELINE = 3, 16
"""Starts that give the values, and the untouched run's mean, for each that gives derivatives, which take most time."""
FIRST_DERIVATIVE = 1_000_000
"""Seeds of the derivatives count from here, after the run's own."""


def baseline_seeds(run: Run, count: int) -> list[int | None]:
    """Seeds of the untouched run's mean in a fit to ``count`` starts; the run's own is the first."""
    return run.seeds(1 if count == 1 else BASELINE * count)


def held_out_seeds(run: Run, count: int, number: int) -> list[int | None]:
    """``number`` seeds that a fit to ``count`` starts takes neither values nor derivatives from."""
    return run.seeds(number, len(baseline_seeds(run, count)))


class SeedEnsemble:
    """Values of k objectives after training from each of j seeds, and their derivatives by the weights from others.

    Parameters
    ----------
    run : Run
        Gives field, optimiser, steps and the weights to start from.
    objectives : sequence of Objective
    count : int
        Starts whose derivatives are averaged in a round. With one, values and derivatives are those of the run's own
        start.
    scores : Scores, optional
        Unrolled, of these objectives: the derivatives of the run as it is, which are then not taken again.

    Attributes
    ----------
    baseline_seeds : list of int
        Seeds of the untouched run's mean: the run's own and the next, or the run's own alone.
    seeds : list of int
        Those of the values: the first of them.

    Raises
    ------
    UserError
        No start, no objective, or one of them twice; several starts of a model that has one.
    """

    def __init__(self, run: Run, objectives: Sequence[Objective], count: int = 1, scores: Scores | None = None) -> None:
        self.run, self.objectives, self.count = run, list(objectives), count
        self._scores = scores
        self.names = [o.name for o in self.objectives]
        if not self.names or len(set(self.names)) < len(self.names):
            raise UserError("A plan needs at least one objective, each once.")
        if count < 1:
            raise UserError("Give at least one start to fit to.")
        self.baseline_seeds = baseline_seeds(run, count)
        self.seeds = self.baseline_seeds[: 1 if count == 1 else VALUES * count]
        self._retrainer = Retrainer(run, self.objectives)

    def derivative_seeds(self, round: int) -> list[int | None]:
        """Seeds of the derivatives of a round: no other round's, and none of the values'."""
        if self.count == 1:
            return [self.run.seed]
        return self.run.seeds(self.count, FIRST_DERIVATIVE + round * self.count)

    def values(self, weights: np.ndarray, seeds: Sequence[int | None] | None = None) -> np.ndarray:
        """Objectives after training with these weights from these seeds (``self.seeds``), (j, k) float64."""
        rows = []
        for seed in self.seeds if seeds is None else seeds:
            retrained = self._retrainer(weights, seed=seed)
            rows.append([retrained[name] for name in self.names])
        return np.array(rows)

    def slopes(self, weights: np.ndarray, round: int = 0) -> np.ndarray:
        """Exact derivatives (k, n) by the sample weights at these weights, mean over the starts of a round."""
        run, total = self.run, np.zeros((len(self.objectives), len(weights)))
        if self._scores is not None and self.count == 1 and np.array_equal(weights, run.weights):
            return np.stack([self._scores.of(name) for name in self.names])
        for seed in self.derivative_seeds(round):
            moved = run.retrain(weights, seed=seed, name=f"training (seed {seed})")
            with track(f"scoring (seed {seed})") as progress:
                total += unrolled(moved.trajectory, self.objectives, progress=progress).samples().cpu().numpy()
        return total / self.count
