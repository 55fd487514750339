"""A plan: a weight for every sample to train with next, or steps on a trained model, with what they are for."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from crossloss.core import UserError
from crossloss.models.skipgram.hard_debias import debiased_parameters
from crossloss.objectives.bounds import UNBOUNDED, Bounds, described
from crossloss.plans.curve import crossing, removal_curve
from crossloss.plans.depleted import DepletedWord
from crossloss.plans.files import plan_table
from crossloss.plans.settings import PlanSettings, Round
from crossloss.plans.sweep import LOST, Cell
from crossloss.plans.update import Update
from crossloss.run.run import Run
from crossloss.utils.display import Result, Table, percent, several, value
from crossloss.utils.inputs import read_only


@dataclass(frozen=True, eq=False)
class Plan(Result):
    """What to train with next, and what it is for.

    Attributes
    ----------
    settings : PlanSettings
    targets, values, predictions : dict of str to float
        By objective, in its unit: where it should be, is, and is predicted to be by the derivatives that the last
        change was made by. Of several starts, means over them.
    results : dict of str to float
        The objectives as retrained with the plan; empty where nothing was retrained.
    weights, before : (n,) float64 arrays
        Sample weights of the plan, and those that the run was trained with.
    path : list of Round
        How it was reached, each round with derivatives at the weights where the last one ended.
    reached : bool
        Whether the targets were reached, as retrained or stepped on; of a first-order plan, as predicted.
    quality_kept : bool
        Of undo, reinforce and both: whether some update that was tried kept the model's quality; else this one kept
        most of it.
    scores : (k, n) float64 array
        Scores of the objectives at the run's own weights.
    update, sweep : Update or None, list of Cell
        Of undo, reinforce and both: the steps that were chosen, and all that were tried.
    depleted_words : list of DepletedWord
        Words of the objectives that lose much of their occurrences.
    bounds : dict of str to (float, float)
        What each objective can take at all.
    origin : dict
        What fixes the run that it is of.
    seconds : float

    Examples
    --------
    >>> plan = cl.plan(scores, 0.5)
    >>> print(plan.size, plan.predicted, plan.retrained)
    >>> fixed = run.retrain(plan.weights)
    """

    settings: PlanSettings
    targets: dict[str, float]
    values: dict[str, float]
    predictions: dict[str, float]
    results: dict[str, float]
    weights: np.ndarray
    before: np.ndarray
    path: list[Round]
    reached: bool
    scores: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    update: Update | None = None
    sweep: list[Cell] = field(default_factory=list)
    depleted_words: list[DepletedWord] = field(default_factory=list)
    bounds: dict[str, Bounds] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    quality_kept: bool = True

    def __post_init__(self) -> None:
        for name in ("weights", "before", "scores"):  # frozen, and so are its arrays
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def objective(self) -> str:
        """Name of the one objective that it is for; UserError where it is for several."""
        if len(self.targets) != 1:
            raise UserError(f"This plan is for {', '.join(self.targets)}: ask for one of them, plan.results[NAME].")
        return next(iter(self.targets))

    @property
    def target(self) -> float:
        """Where its one objective should be."""
        return self.targets[self.objective]

    @property
    def value(self) -> float:
        """Where its one objective is."""
        return self.values[self.objective]

    @property
    def predicted(self) -> float:
        """Where its one objective is predicted to be."""
        return self.predictions[self.objective]

    @property
    def retrained(self) -> float | None:
        """Where retraining with it brings its one objective; None where nothing was retrained."""
        return self.results.get(self.objective)

    @property
    def method(self) -> str:
        """How it was made, such as remove."""
        return self.settings.method

    @property
    def label(self) -> str:
        """The method as tables name it."""
        return self.settings.label

    @property
    def name(self) -> str:
        """What its file is called: a removal by its objective, another method by its own name."""
        one = len(self.targets) == 1 and self.method == "remove" and self.settings.starts == 1
        parts = [*self.targets] if one else [self.label, *(self.targets if self.update else ())]
        return "-".join(parts)

    @property
    def post_hoc(self) -> bool:
        """Whether it changes a trained model too, by hard debias or steps, and not the weights to train with alone."""
        return bool(self.settings.hard) or self.update is not None

    @cached_property
    def removed(self) -> np.ndarray:
        """Samples whose weight went to zero, int64; those of a removal for one objective strongest first."""
        gone = (self.weights == 0) & (self.before > 0)
        if len(self.scores) == 1:
            return np.asarray(self.ranking[gone[self.ranking]])
        return np.flatnonzero(gone)

    @property
    def added(self) -> np.ndarray:
        """Candidates that come in, int64: swapped versions of sentences."""
        return np.flatnonzero((self.weights > 0) & (self.before == 0))

    @property
    def changed_share(self) -> float:
        """Part of the training weight that goes out, or that comes in where that is more."""
        change = self.weights - self.before
        return float(max(-change[change < 0].sum(), change[change > 0].sum()) / self.before.sum())

    @property
    def size(self) -> int:
        """Samples removed."""
        return len(self.removed)

    @property
    def share(self) -> float:
        """Part of the samples trained on that is removed."""
        return self.size / int((self.before > 0).sum())

    @property
    def moved(self) -> float:
        """Sum of the absolute changes of the weights, over the sum of the weights before."""
        return float(np.abs(self.weights - self.before).sum() / self.before.sum())

    @cached_property
    def _curve(self) -> tuple[np.ndarray, np.ndarray]:
        return removal_curve(self.scores[0], self.value, self.target, self.before)

    @property
    def ranking(self) -> np.ndarray:
        """Samples trained on, the most helpful first, (m,) int64; of a plan for one objective."""
        return self._curve[0]

    @property
    def curve(self) -> np.ndarray:
        """First-order prediction after removing the first j samples of the ranking, j = 0, 1, ..."""
        return read_only(self._curve[1])

    @property
    def first_order(self) -> tuple[int, float]:
        """Size of the first-order removal, and what it predicts."""
        size = crossing(self.curve, self.target)
        return size, float(self.curve[size])

    def beyond(self, value: float) -> bool:
        """Whether its one objective can never take a value, which a first-order prediction may all the same be."""
        low, high = self.bounds.get(self.objective, UNBOUNDED)
        return not low <= value <= high

    def _written(self, name: str, prediction: float) -> str:
        """Write a predicted value; one that the objective can never take with what it can."""
        low, high = self.bounds.get(name, UNBOUNDED)
        beyond = f", which is beyond first order: it lies {described((low, high))}"
        return value(prediction) + beyond * (not low <= prediction <= high)

    def _alone(self) -> str:
        """Say what first order alone would remove; "" of what is no removal for one objective."""
        if len(self.targets) != 1 or self.method != "remove":
            return ""
        size, prediction = self.first_order
        return f"First order alone: {size:,} sentences for {self._written(self.objective, prediction)}. "

    def summary(self) -> list[str]:
        """What it does to each objective, how it was reached, and the words that it depletes; a line each."""
        doing = f"removing {self.size:,} of {int((self.before > 0).sum()):,} sentences ({percent(self.share)})"
        if self.settings.way == "swap":
            what = "adding the swapped versions of" if self.settings.copies else "swapping the words of"
            doing = f"{self.label}, {what} {several(len(self.added), 'sentence')} ({percent(self.changed_share)}),"
        elif self.method != "remove":
            doing = f"{self.label}, {percent(self.moved)} of the weight changed, {several(self.size, 'sentence')} out,"
        short, lines = "" if self.reached else " (the target was not reached)", []
        for name in self.targets:
            now, predicted = value(self.values[name]), self._written(name, self.predictions[name])
            if name in self.results:
                after = value(self.results[name])
                brings = f"brings {name} from {now} to {after}, retrained (predicted {predicted})"
                lines.append(f"Plan: {doing} {brings}{short}.")
            else:
                lines.append(f"Plan: {doing} is predicted to bring {name} from {now} to {predicted}{short}.")
            if self.path:
                rounds = ", then ".join(f"{r.size:,} out: {value(r.retrained[name])}" for r in self.path)
                lines.append(f"  {self._alone()}Retrained on the way: {rounds}.")
        if not self.quality_kept:
            lines.append(f"  {LOST}")
        return [*lines, *(f"  {word.sentence(not self.results)}" for word in self.depleted_words)]

    def apply(self, run: Run, *, seed: int | None = None, held_in: np.ndarray | None = None) -> Run:
        """The corrected model: trained with the weights, then debiased, then stepped on, as the method has it.

        Parameters
        ----------
        seed : int, optional
            Another start; the run's own where None.
        held_in : (n,) array of 0 and 1, optional
            Samples of 0 are neither trained nor stepped on.
        """
        weights = self.weights if self.update is None else self.before
        if held_in is not None:
            weights = weights * held_in
        seed = run.seed if seed is None else seed
        same = seed == run.seed and np.array_equal(weights, run.weights)
        made = run if same else run.retrain(weights, seed=seed)
        if self.settings.hard:
            made = made.at(debiased_parameters(made.view, self.settings.hard))
        if self.update is not None:
            made = made.at(self.update.held_in(held_in).apply(run, made.theta))
        return made

    def to_table(self) -> pa.Table:
        """Sample and weight (of undo, reinforce and both passes too); what the plan is for in the metadata."""
        what: dict[str, Any] = {
            "settings": asdict(self.settings),
            "targets": self.targets,
            "values": self.values,
            "predicted": self.predictions,
            "retrained": self.results,
            "reached": self.reached,
            "quality_kept": self.quality_kept,
            "update": None if self.update is None else self.update.to_json(),
            "sweep": [asdict(cell) for cell in self.sweep],
            "size": self.size,
            "moved": self.moved,
            "path": [asdict(round) for round in self.path],
        }
        table = plan_table(self.weights, what | self.origin)
        return table if self.update is None else table.append_column("passes", pa.array(self.update.signed(len(table))))

    def save(self, run: Run) -> None:
        """Write plan-NAME.parquet into the run's folder, and its figures."""
        run.store.save(f"plan-{self.name}.parquet", self.to_table())
        run.store.log_metrics(self.metrics() | {f"plan.{self.name}.seconds": self.seconds})

    def metrics(self) -> dict[str, float]:
        """Flat figures plan.NAME.size, .predicted, .first_order.size, ... of a removal for one objective."""
        if len(self.targets) != 1 or self.update is not None or not self.scores.size:
            return {}
        figures = {"size": self.size, "predicted": self.predicted, "rounds": len(self.path)}
        if not self.settings.hard:  # else the scores are of the vectors before it
            size, predicted = self.first_order
            figures |= {"first_order.size": size, "first_order.predicted": predicted}
        return {f"plan.{self.name}.{figure}": number for figure, number in figures.items()}

    def __repr__(self) -> str:
        told = ", ".join(
            f"{name} {self.values[name]:+.3g} -> {self.results.get(name, self.predictions[name]):+.3g}"
            for name in self.targets
        )
        how = "as retrained" if self.results else "as predicted"
        return f"Plan({self.method}, {self.size:,} samples out: {told} {how})"

    def _repr_html_(self) -> str:
        rows = [
            (name, self.values[name], target, self.predictions[name], self.results.get(name, ""))
            for name, target in self.targets.items()
        ]
        headings = ("objective", "now", "target", "predicted", "retrained")
        title = f"{self.method}: {self.size:,} samples out, {self.moved:.2%} of the weight"
        return Table(title, headings, rows).html()
