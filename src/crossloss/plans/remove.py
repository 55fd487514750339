"""Remove: the smallest set of samples predicted to bring an objective to a target, in one step or until it is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crossloss.core import Objective, UserError
from crossloss.inputs import read_only
from crossloss.objectives.bounds import UNBOUNDED, Bounds, bounds_of, check_target
from crossloss.objectives.weat import Weat
from crossloss.plans.fit import ROUNDS, Fit, fit
from crossloss.plans.rare import UsedUp, used_up
from crossloss.plans.smallest import fewest
from crossloss.plans.starts import Starts
from crossloss.plans.table import origin, plan_table
from crossloss.scores import Scores


@dataclass(frozen=True, eq=False)
class Plan:
    """What to train with next: a weight for every sample.

    Attributes
    ----------
    objective : str
    target, value, predicted : float
        Where the objective should be, is, and is predicted to be.
    weights : (n,) float64 array
    removed : (size,) int64 array
        Samples removed, strongest first.
    curve : float64 array
        Predicted value after removing the first j samples of the ranking, j = 0, 1, ...
    reached : bool
        False where removing every helpful sample is not predicted to reach the target.
    trained : int
        Samples of positive weight before.
    used_up : list of UsedUp
        Words of the objective that lose much of their occurrences with the samples removed.
    bounds : (float, float)
        What the objective can take at all; infinite where that is not known.
    """

    objective: str
    target: float
    value: float
    predicted: float
    weights: np.ndarray
    removed: np.ndarray
    curve: np.ndarray
    reached: bool
    trained: int
    notes: dict[str, Any] = field(default_factory=dict)
    used_up: list[UsedUp] = field(default_factory=list)
    bounds: Bounds = UNBOUNDED

    def __post_init__(self) -> None:
        for name in ("weights", "removed", "curve"):  # frozen, and so are its arrays
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def size(self) -> int:
        """Samples removed."""
        return len(self.removed)

    @property
    def share(self) -> float:
        """Part of the samples trained on that is removed."""
        return self.size / self.trained

    @property
    def beyond(self) -> bool:
        """Whether what is predicted, to first order, is a value that the objective can never take."""
        return not self.bounds[0] <= self.predicted <= self.bounds[1]

    def to_table(self) -> pa.Table:
        """Sample and weight of every sample; what the plan is for in the schema's metadata."""
        what = {
            "objective": self.objective,
            "target": self.target,
            "value": self.value,
            "predicted": self.predicted,
            "reached": self.reached,
            "size": self.size,
        }
        return plan_table(self.weights, what | self.notes)


def remove(
    scores: np.ndarray, *, value: float, target: float, weights: np.ndarray, objective: str, **notes: Any
) -> Plan:
    """Plan the smallest removal predicted to bring an objective to its target, from either side.

    Above the target amplifiers go, below it mitigators, strongest first: removing sample i changes the
    objective by -w_i I_i, so taking the largest first needs the fewest.

    Parameters
    ----------
    scores : (n,) array
        I_i = d f/d w_i.
    value, target : float
        The objective now, and where it should be.
    weights : (n,) array
        Weights the run was trained with; samples of weight 0 cannot be removed.
    objective : str
    **notes
        Kept in the plan's metadata.

    Raises
    ------
    UserError
        A score or the target is not finite.
    """
    if not (np.isfinite(scores).all() and np.isfinite([value, target]).all()):
        raise UserError(f"A plan for {objective} needs finite scores and a finite target.")
    effects = -np.asarray(scores, dtype=np.float64) * weights
    gap = target - value
    helpful = effects * np.sign(gap)
    order = np.argsort(-helpful, kind="stable")
    order = order[helpful[order] > 0]
    curve = value + np.concatenate([[0.0], np.cumsum(effects[order])])
    crossed = np.flatnonzero((curve - target) * np.sign(gap) >= -1e-12)
    size = int(crossed[0]) if len(crossed) else len(order)
    changed = np.array(weights, dtype=np.float64)
    changed[order[:size]] = 0.0
    if not changed.any():
        raise UserError(f"Bringing {objective} to {target:g} would remove every sample: choose a nearer target.")
    return Plan(
        objective=objective,
        target=float(target),
        value=float(value),
        predicted=float(curve[size]),
        weights=changed,
        removed=order[:size].astype(np.int64),
        curve=curve,
        reached=bool(len(crossed)),
        trained=int((np.asarray(weights) > 0).sum()),
        notes=notes,
    )


def plan(scores: Scores, *, target: float = 0.0, objective: str | Objective | None = None) -> Plan:
    """Plan the smallest removal predicted to bring an objective (the first where None) to ``target``.

    Raises
    ------
    UserError
        The objective was not scored, it can never take the target, or as ``remove``.
    """
    if not isinstance(scores, Scores):
        raise UserError(f"A plan is made of the scores of a corpus, and this is a {type(scores).__name__}.")
    run, chosen = scores.run, scores.objectives[scores.row(objective)]
    name, index = chosen.name, run.vocabulary.index
    check_target(chosen, target, index)
    made = remove(
        scores.of(name),
        value=scores.values[name],
        target=target,
        weights=run.weights,
        objective=name,
        **origin(run),
    )
    words = chosen.words if isinstance(chosen, Weat) else ()
    return replace(made, used_up=used_up(run, words, made.removed), bounds=bounds_of(chosen, index))


def remove_until(
    starts: Starts,
    targets: Mapping[str, float],
    *,
    tolerance: float = 0.01,
    rounds: int = ROUNDS,
    file: Path | None = None,
) -> Fit:
    """Remove samples until the mean over the starts of every objective is at its target, as retrained.

    Each round exchanges the fewest samples, taken out or put back, whose first-order effect at the current
    weights closes the gaps.

    Parameters
    ----------
    starts : Starts
    targets : mapping
        Target of each objective by name.
    tolerance, rounds, file
        As for ``fit``.

    Raises
    ------
    UserError
        Targets that do not fit the objectives.
    """
    before = starts.run.weights
    eligible = np.flatnonzero(before > 0)

    def propose(weights: np.ndarray, slopes: np.ndarray, gaps: np.ndarray, fraction: float) -> np.ndarray:
        exchange = before - 2 * weights  # -w where it is in, +w where it is out
        chosen = eligible[fewest((slopes * exchange)[:, eligible], fraction * gaps, within=tolerance / 2)]
        trial = weights.copy()
        trial[chosen] += exchange[chosen]
        return trial

    return fit(starts, targets, propose, how="remove", tolerance=tolerance, rounds=rounds, file=file)
