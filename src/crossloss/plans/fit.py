"""Fitting weights to targets: retrain, take derivatives at the CURRENT weights, step, backtrack, until there.

One prediction from the untouched weights overshoots for large changes. Each round here is a Gauss-Newton step
from where the last one ended; going back to the untouched weights with scores taken elsewhere does not converge.

With several starts the derivatives of a round come from starts of its own, and are averaged with those of the rounds
before (stochastic approximation; Robbins, Monro 1951): what is special to a start averages out, and whether a step
helps is judged by starts that no derivative was taken from.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crossloss.core import UserError
from crossloss.inputs import read_only
from crossloss.objectives.bounds import check_target
from crossloss.plans.starts import Starts
from crossloss.plans.table import plan_table
from crossloss.run.store import Entry

FRACTIONS = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Parts of the gap asked of a step, tried in turn."""
SUFFICIENT = 0.1
"""Least part of the predicted decrease of the gap that a step must achieve."""
ROUNDS = 12
REMEMBERED = 4
"""Rounds over which derivatives are averaged, about, where they come from several starts."""

Propose = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""(weights (n,), slopes (k, n), gaps (k,), fraction) -> weights (n,) predicted to close that fraction of the gaps."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Weights fitted to targets.

    Attributes
    ----------
    how : str
        remove or reweight.
    targets : dict
        Target of each objective by name.
    weights, before : (n,) float64 arrays
        Fitted, and as the run was trained.
    values : (rounds + 1, j, k) float64 array
        Objectives by round, start and name, as retrained; round 0 is the untouched run.
    shift : (k,) float64 array
        What the mean over these starts lacks to that over many, of the untouched run: added to every mean.
    fractions : (rounds,) float64 array
        Part of the gap that each step asked for; 0 where none helped.
    predicted : (rounds, k) float64 array
        What the derivatives of each round said of its step: the mean over starts, to first order.
    sizes : (rounds,) int64 array
        Samples whose weight is zero after each step.
    reached : bool
        Whether the mean over starts is within the tolerance of every target; otherwise these weights got nearest.
    seconds : float
    """

    how: str
    targets: dict[str, float]
    weights: np.ndarray
    before: np.ndarray
    values: np.ndarray
    shift: np.ndarray
    fractions: np.ndarray
    predicted: np.ndarray
    sizes: np.ndarray
    reached: bool
    seconds: float
    notes: dict[str, object]

    def __post_init__(self) -> None:
        for name in (
            "weights",
            "before",
            "values",
            "shift",
            "fractions",
            "predicted",
            "sizes",
        ):  # frozen, and so are its arrays
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def value(self, name: str, round: int = -1) -> float:
        """Mean over starts of one objective after a round; the last by default."""
        column = list(self.targets).index(name)
        return float(self.values[round, :, column].mean() + self.shift[column])

    @property
    def moved(self) -> float:
        """Sum of the absolute changes of the weights, over the sum of the weights before."""
        return float(np.abs(self.weights - self.before).sum() / self.before.sum())

    @property
    def removed(self) -> np.ndarray:
        """Samples whose weight went to zero, int64."""
        return np.flatnonzero((self.weights == 0) & (self.before > 0))

    def to_table(self) -> pa.Table:
        """Sample and weight of every sample; what the plan is for in the schema's metadata."""
        what = {
            "how": self.how,
            "targets": self.targets,
            "values": {name: self.value(name, 0) for name in self.targets},
            "retrained": {name: self.value(name) for name in self.targets},
            "reached": self.reached,
            "moved": self.moved,
        }
        return plan_table(self.weights, what | self.notes)


def fit(
    starts: Starts,
    targets: Mapping[str, float],
    propose: Propose,
    *,
    how: str,
    tolerance: float,
    rounds: int = ROUNDS,
    entry: Entry | None = None,
) -> Fit:
    """Bring the mean over the starts of every objective to its target.

    Parameters
    ----------
    starts : Starts
    targets : mapping
        One for each objective of ``starts``.
    propose : Propose
    how : str
    tolerance : float
        Largest distance from a target that counts as reached.
    rounds : int
        Most steps.
    entry : Entry, optional
        Where each step is stored; a stopped fit goes on from there. Its key must identify the fit.

    Raises
    ------
    UserError
        Targets that are not those of the objectives, not finite, or beyond what an objective can take.
    """
    if set(targets) != set(starts.names):
        raise UserError(f"Give one target for each objective: {', '.join(starts.names)}.")
    wanted = np.array([targets[name] for name in starts.names], dtype=np.float64)
    if not np.isfinite(wanted).all():
        raise UserError("Targets must be finite numbers.")
    for objective in starts.objectives:
        check_target(objective, targets[objective.name], starts.run.model.word_index)
    begun = time.perf_counter()
    weights = before = starts.run.weights
    slopes, spent = np.zeros((len(wanted), len(before))), 0.0
    fractions: list[float] = []
    predicted: list[np.ndarray] = []
    sizes: list[int] = []
    kept = None if entry is None else entry.load()
    if kept is not None:
        weights, slopes, spent = kept["weights"], kept["slopes"], float(kept["seconds"][0])
        values, shift, fractions = list(kept["values"]), kept["shift"], kept["fractions"].tolist()
        predicted, sizes = list(kept["predicted"]), kept["sizes"].tolist()
    else:
        many = starts.values(before, starts.untouched)
        values = [many[: len(starts.seeds)]]
        shift = many.mean(axis=0) - values[0].mean(axis=0)

    def keep() -> None:
        if entry is not None:
            seconds = np.array([spent + time.perf_counter() - begun])
            arrays = {"weights": weights, "slopes": slopes, "values": np.array(values), "shift": shift}
            arrays |= {"fractions": np.array(fractions), "sizes": np.array(sizes, dtype=np.int64)}
            entry.save(arrays | {"predicted": np.array(predicted), "seconds": seconds})

    def off(found: np.ndarray) -> np.ndarray:
        return np.asarray(wanted - found.mean(axis=0) - shift)

    def near(found: np.ndarray) -> bool:
        return bool(np.abs(off(found)).max() <= tolerance)

    def stuck() -> bool:
        """Whether no step helped and the next round's derivatives would be the same."""
        return starts.count == 1 and bool(fractions) and fractions[-1] == 0

    if not fractions:
        keep()
    while len(fractions) < rounds and not near(values[-1]) and not stuck():
        gap = off(values[-1])
        remembered = 1 if starts.count == 1 else min(len(fractions) + 1, REMEMBERED)
        slopes = slopes + (starts.slopes(weights, len(fractions)) - slopes) / remembered
        for fraction in FRACTIONS:
            trial = propose(weights, slopes, gap, fraction)
            if not trial.any() or np.array_equal(trial, weights):
                continue
            found = starts.values(trial)
            if np.linalg.norm(off(found)) <= (1 - SUFFICIENT * fraction) * np.linalg.norm(gap):
                predicted.append(wanted - gap + slopes @ (trial - weights))
                weights = trial
                break
        else:
            fraction, found = 0.0, values[-1]
            predicted.append(wanted - gap)
        values.append(found)
        fractions.append(fraction)
        sizes.append(int(((weights == 0) & (before > 0)).sum()))
        keep()
    return Fit(
        how=how,
        targets={name: float(targets[name]) for name in starts.names},
        weights=weights,
        before=before,
        values=np.array(values),
        shift=shift,
        fractions=np.array(fractions),
        predicted=np.array(predicted).reshape(-1, len(wanted)),
        sizes=np.array(sizes, dtype=np.int64),
        reached=near(values[-1]),
        seconds=spent + time.perf_counter() - begun,
        notes={"starts": starts.count, "seeds": starts.seeds} | starts.run.origin,
    )
