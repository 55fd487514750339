"""Remove: the smallest set of samples that brings an objective to a target, by first order or until it is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from crossloss.plans.table import plan_table
from crossloss.run.run import Run
from crossloss.run.store import Entry
from crossloss.scores import UNROLLED, Scores

FINE = 0.1
"""Part of what a removal does, to first order, below which a gap is closed by exchanging few samples: a new set would
move farther than that."""


@dataclass(frozen=True)
class Round:
    """One round of a plan: ``size`` samples out, what was predicted of them, and what retraining without them gave."""

    size: int
    predicted: float
    retrained: float


@dataclass(frozen=True, eq=False)
class Plan:
    """What to train with next: a weight for every sample.

    Attributes
    ----------
    objective : str
    target, value, predicted : float
        Where the objective should be, is, and is predicted to be: by the derivatives that the last change was made by.
    weights : (n,) float64 array
    removed : (size,) int64 array
        Samples removed, strongest first.
    ranking : (m,) int64 array
        Samples trained on, the most helpful first.
    curve : float64 array
        First-order prediction after removing the first j samples of the ranking, j = 0, 1, ...
    reached : bool
        False where no removal is predicted to reach the target, or none that was tried did.
    trained : int
        Samples of positive weight before.
    used_up : list of UsedUp
        Words of the objective that lose much of their occurrences with the samples removed.
    bounds : (float, float)
        What the objective can take at all; infinite where that is not known.
    path : list of Round
        How it was reached, each round with derivatives at the weights where the last one ended; empty where nothing was
        retrained.
    """

    objective: str
    target: float
    value: float
    predicted: float
    weights: np.ndarray
    removed: np.ndarray
    ranking: np.ndarray
    curve: np.ndarray
    reached: bool
    trained: int
    notes: dict[str, Any] = field(default_factory=dict)
    used_up: list[UsedUp] = field(default_factory=list)
    bounds: Bounds = UNBOUNDED
    path: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("weights", "removed", "ranking", "curve"):  # frozen, and so are its arrays
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def retrained(self) -> float | None:
        """The objective after training with this plan; None where nobody has."""
        return self.path[-1].retrained if self.path else None

    @property
    def first_order(self) -> tuple[int, float]:
        """Size of the first-order plan, and what it predicts."""
        size = _crossing(self.curve, self.target)
        return size, float(self.curve[size])

    @property
    def size(self) -> int:
        """Samples removed."""
        return len(self.removed)

    @property
    def share(self) -> float:
        """Part of the samples trained on that is removed."""
        return self.size / self.trained

    def beyond(self, value: float) -> bool:
        """Whether the objective can never take a value, which a prediction to first order may all the same be."""
        return not self.bounds[0] <= value <= self.bounds[1]

    def to_table(self) -> pa.Table:
        """Sample and weight of every sample; what the plan is for in the schema's metadata."""
        what = {
            "objective": self.objective,
            "target": self.target,
            "value": self.value,
            "predicted": self.predicted,
            "reached": self.reached,
            "size": self.size,
        } | ({} if self.retrained is None else {"retrained": self.retrained})
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
    ranking = np.argsort(-helpful, kind="stable")
    ranking = ranking[weights[ranking] > 0]
    order = ranking[helpful[ranking] > 0]
    curve = value + np.concatenate([[0.0], np.cumsum(effects[order])])
    size = _crossing(curve, target)
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
        ranking=ranking,
        curve=curve,
        reached=bool((curve[size] - target) * np.sign(gap) >= -1e-12),
        trained=int((np.asarray(weights) > 0).sum()),
        notes=notes,
    )


def _crossing(curve: np.ndarray, target: float) -> int:
    """The first place of a curve at or beyond the target, seen from its start; the last where there is none."""
    crossed = np.flatnonzero((curve - target) * np.sign(target - curve[0]) >= -1e-12)
    return int(crossed[0]) if len(crossed) else len(curve) - 1


def plan(
    scores: Scores,
    *,
    target: float = 0.0,
    objective: str | Objective | None = None,
    rounds: int = ROUNDS,
    tolerance: float | None = None,
    entry: Entry | None = None,
) -> Plan:
    """Plan the smallest removal that brings an objective (the first where None) to ``target``.

    A first-order prediction overshoots where the strongest samples go. So each round trains with the plan so far, takes
    derivatives there and exchanges samples, until the retrained value is at the target. It takes a retraining and a
    scoring each, two to four as a rule.

    Parameters
    ----------
    scores : Scores
        Unrolled, for more than the first-order plan.
    target : float
        In the objective's unit.
    rounds : int
        At most; 0 for the first-order plan, which retrains nothing.
    tolerance : float, optional
        Distance from the target that counts as reached; by default .01, or a tenth of the way there if that is less.
    entry : Entry, optional
        Where each round is stored, so that a stopped plan goes on; in the run's store where None.

    Raises
    ------
    UserError
        The objective was not scored, it can never take the target, or as ``remove``.

    Examples
    --------
    >>> plan = cl.plan(cl.score(run, [weat]), target=0.0)
    >>> print(plan.size, plan.predicted, plan.retrained)
    """
    if not isinstance(scores, Scores):
        raise UserError(f"A plan is made of scores, and this is a {type(scores).__name__}: cl.score(run, [objective]).")
    run, chosen = scores.run, scores.objectives[scores.index_of(objective)]
    name, index = chosen.name, run.model.word_index
    check_target(chosen, target, index)
    made = remove(
        scores.of(name),
        value=scores.values[name],
        target=target,
        weights=run.weights,
        objective=name,
        **run.origin,
    )
    if rounds and made.size and made.reached and scores.estimator == UNROLLED:
        near = min(0.01, abs(made.target - made.value) / 10) if tolerance is None else tolerance
        starts, place = (
            Starts(run, [chosen], scores=scores),
            plan_entry(run, chosen, target) if entry is None else entry,
        )
        made = _relinearised(made, remove_until(starts, {name: target}, tolerance=near, rounds=rounds, entry=place))
    words = chosen.words if isinstance(chosen, Weat) else ()
    return replace(made, used_up=used_up(run, words, made.removed), bounds=bounds_of(chosen, index))


def plan_entry(run: Run, objective: Objective, target: float) -> Entry:
    """Where the rounds of a plan are stored."""
    return run.store.entry("plan-rounds", run.fingerprint(objective), float(target), suffix=".safetensors")


def _relinearised(first: Plan, fitted: Fit) -> Plan:
    """The plan with the samples of a fit, strongest first, and the path that the fit took."""
    gone = (fitted.weights == 0) & (fitted.before > 0)
    values = fitted.values[1:].mean(axis=1)[:, 0]
    path = [
        Round(int(size), float(predicted), float(value))
        for size, predicted, value in zip(fitted.sizes, fitted.predicted[:, 0], values, strict=True)
    ]
    # A last round that found no step says nothing of the plan.
    path = [step for step, fraction in zip(path, fitted.fractions, strict=True) if fraction]
    return replace(
        first,
        weights=fitted.weights,
        removed=first.ranking[gone[first.ranking]],
        predicted=path[-1].predicted if path else first.value,
        reached=fitted.reached,
        path=path,
    )


def remove_until(
    starts: Starts,
    targets: Mapping[str, float],
    *,
    tolerance: float = 0.01,
    rounds: int = ROUNDS,
    entry: Entry | None = None,
) -> Fit:
    """Remove samples until the mean over the starts of every objective is at its target, as retrained.

    Each round chooses the fewest samples anew, by their first-order effects at the current weights; so what first order
    overshot in the first round is made good by a smaller set, not by a few strong samples that come back. Near the
    target, and where that does not help, the fewest samples are exchanged, in or out, whose effects close the gaps or a
    part of them.

    Parameters
    ----------
    starts : Starts
    targets : mapping
        Target of each objective by name.
    tolerance, rounds, entry
        As for ``fit``.

    Raises
    ------
    UserError
        Targets that do not fit the objectives.
    """
    before = starts.run.weights
    eligible = np.flatnonzero(before > 0)

    def propose(weights: np.ndarray, slopes: np.ndarray, gaps: np.ndarray, fraction: float) -> np.ndarray:
        removal = -slopes * before
        done = removal[:, weights < before].sum(axis=1)
        if fraction == 1 and np.linalg.norm(gaps) > FINE * np.linalg.norm(done):
            trial = before.copy()
            trial[eligible[fewest(removal[:, eligible], done + gaps, within=tolerance / 2)]] = 0.0
            return trial
        exchange = before - 2 * weights  # -w where it is in, +w where it is out
        chosen = eligible[fewest((slopes * exchange)[:, eligible], fraction * gaps, within=tolerance / 2)]
        trial = weights.copy()
        trial[chosen] += exchange[chosen]
        return trial

    return fit(starts, targets, propose, how="remove", tolerance=tolerance, rounds=rounds, entry=entry)
