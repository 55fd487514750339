"""What became of a plan: its targets, on starts and words that it was not fitted to, and what it cost."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from crossloss.core import Objective, UserError
from crossloss.display import Result, Table, effect, percent, spread, value
from crossloss.models.skipgram.hard_debias import cluster_purity, hard_debias, most_biased
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.quality import neighbours, neighbours_kept, overlap
from crossloss.objectives import as_objective, measured
from crossloss.objectives.weat import Weat
from crossloss.plans.ensemble import held_out_seeds
from crossloss.plans.make import compute_plan
from crossloss.plans.plan import Plan
from crossloss.progress import track
from crossloss.run.figures import figures, held_in_samples, held_out_loss
from crossloss.run.run import Run
from crossloss.scores import compute_scores
from crossloss.statistics import deviation

FIGURES = ("wordsim353", "simlex999", "analogies", "loss", "held_out_loss", "neighbours_kept")
"""What is measured beside objectives."""
NEIGHBOUR_WORDS = 1000


@dataclass(frozen=True)
class Row:
    """One figure over the starts, before and after.

    ``neighbours_kept``: before is between two starts, after is between before and after of one start, so that a
    correction that keeps all has 1.
    """

    figure: str
    before: list[float]
    after: list[float]

    @property
    def noise(self) -> float:
        """Standard deviation between starts, before."""
        return deviation(self.before)

    @property
    def change(self) -> float:
        """Mean of after - before."""
        return float(np.mean(np.array(self.after) - np.array(self.before)))

    @property
    def within_noise(self) -> bool:
        """Whether the mean change is smaller than the deviation between starts before."""
        return abs(self.change) < self.noise


@dataclass(frozen=True)
class Evaluation(Result):
    """A plan, judged.

    Attributes
    ----------
    method : str
        ``-one-start`` behind it where it was fitted to one start only.
    targets : dict
    effects, p_values : dict of name -> (before, after)
        From the run's own start; p-values one-sided, of tests.
    held_out_words : dict of name -> four floats
        Effect before and after, statistic before and after, of the half of a test's words that a second plan was not
        fitted to; empty where nothing was fitted or it was not asked for. (An effect size can fall by noise in its
        denominator alone; the statistic has none.)
    moved, removed : float, int
        Share of the weight that was moved; samples out.
    reached : bool
    seconds, apply_seconds : float
        To make the plan, and to make a corrected model by it.
    seeds : list of int or None
        Starts that it was not fitted to, which ``rows`` are of; of a model with one start, that one.
    rows : list of Row
        Objectives by name, and ``FIGURES``; what cannot be measured here is left out.
    chosen : dict
        Of undo, reinforce and both: the chosen cell of the sweep.
    purity : dict of group -> (before, after)
        Where hard debias is in it: ``cluster_purity`` of the words most biased before.
    """

    method: str
    targets: dict[str, float]
    effects: dict[str, tuple[float, float]]
    p_values: dict[str, tuple[float, float]]
    held_out_words: dict[str, tuple[float, float, float, float]]
    moved: float
    removed: int
    reached: bool
    seconds: float
    apply_seconds: float
    seeds: list[int | None]
    rows: list[Row]
    chosen: dict[str, Any] = field(default_factory=dict)
    purity: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its files are called: the method, and of undo, reinforce and both the objective."""
        return "-".join([self.method, *self.targets]) if self.chosen else self.method

    def row(self, figure: str) -> Row:
        """Return the row of a figure; UserError where it was not measured."""
        row = next((row for row in self.rows if row.figure == figure), None)
        if row is None:
            raise UserError(f"{figure} was not measured; measured are: {', '.join(r.figure for r in self.rows)}.")
        return row

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Evaluation":
        """Inverse of ``to_json``."""
        return TypeAdapter(cls).validate_python(value)

    def metrics(self) -> dict[str, float]:
        """Flat figures debias.METHOD.NAME.effect, .other_seeds.mean, ..., and debias.original.* beside them.

        Of undo, reinforce and both, which correct one objective each, the costs are debias.METHOD.NAME.wordsim353, ...
        """
        start = f"debias.{self.method}"
        found: dict[str, float] = {}
        for name, (before, after) in self.effects.items():
            row = self.row(name)
            for label, own, others in ((start, after, row.after), ("debias.original", before, row.before)):
                found |= {
                    f"{label}.{name}.effect": own,
                    f"{label}.{name}.other_seeds.mean": float(np.mean(others)),
                    f"{label}.{name}.other_seeds.sd": deviation(others),
                    f"{label}.{name}.other_seeds.mean_size": float(np.mean(np.abs(others))),
                    f"{label}.{name}.other_seeds.farthest": float(np.max(np.abs(others))),
                }
            if name in self.held_out_words:
                effect_before, effect_after, *_ = self.held_out_words[name]
                found[f"{start}.{name}.heldout_words"] = effect_after
                found[f"{start}.{name}.heldout_words_before"] = effect_before
        one = f".{next(iter(self.targets))}" if self.chosen else ""
        for row in self.rows:
            if row.figure not in self.effects:
                found[f"{start}{one}.{row.figure}"] = float(np.mean(row.after))
                found[f"debias.original.{row.figure}"] = float(np.mean(row.before))
        for group, (before, after) in self.purity.items():
            found |= {f"{start}.purity.{group}": after, f"debias.original.purity.{group}": before}
        return found | {f"{start}{one}.seconds": self.seconds, f"{start}{one}.moved": self.moved}

    def summary(self) -> list[str]:
        """What it did to each objective from the run's own start, and to words it was not fitted to; a line each."""
        lines = []
        for name, (before, after) in self.effects.items():
            lines.append(f"{self.method}: {name} goes from {value(before)} to {value(after)} (own start, retrained).")
            if name in self.held_out_words:
                effects, statistics = (" to ".join(map(value, self.held_out_words[name][i : i + 2])) for i in (0, 2))
                lines.append(
                    f"  Fitted to half of its words, the other half goes from {effects} (statistic {statistics})."
                )
        if not self.reached and self.chosen:
            lines.append("No update of the sweep kept the quality; this is the one that kept most of it.")
        elif not self.reached:
            lines.append("The targets were not reached within the allowed change; this is the nearest.")
        for group, (before, after) in self.purity.items():
            both = f"{percent(before)} right before, {percent(after)} after"
            lines.append(f"Two clusters tell the words most biased by {group} apart: {both}.")
        if self.chosen:
            lines.append(f"Chosen of the sweep: {self.chosen['size']} samples, {self.chosen['passes']} passes.")
        return lines

    def tables(self) -> list[Table]:
        """Every figure on starts that it was not fitted to, before and after, beside the noise between starts."""
        noise = ("", "within noise")
        rows = [
            (r.figure, spread(r.before), spread(r.after), effect(r.change), value(r.noise), noise[r.within_noise])
            for r in self.rows
        ]
        title = f"{self.method}, from {self._judged_by}; noise: sd between starts"
        return [Table(title, ("figure", "before", "after", "change", "noise", ""), rows)]

    def save(self, run: Run) -> None:
        """Write debias-NAME.json into the run's folder, and its figures."""
        run.store.save(f"debias-{self.name}.json", self.to_json())
        run.store.log_metrics(self.metrics())

    @property
    def _judged_by(self) -> str:
        """The starts, in words."""
        return f"{len(self.seeds)} starts not fitted to" if len(self.seeds) > 1 else "its one start"

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {before:+.3g} -> {after:+.3g}" for name, (before, after) in self.effects.items())
        return f"Evaluation({self.method}: {told}; {self._judged_by})"


def metrics_of(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Figures of all evaluations of one method; of one objective each, debias.METHOD.wordsim353, ... is a mean."""
    found: dict[str, float] = {}
    costs: dict[str, list[float]] = {}
    for evaluation in evaluations:
        found |= evaluation.metrics()
        if evaluation.chosen:
            costs.setdefault("seconds", []).append(evaluation.seconds)
            for row in evaluation.rows:
                if row.figure in FIGURES:
                    costs.setdefault(row.figure, []).append(float(np.mean(row.after)))
    method = evaluations[0].method
    return found | {f"debias.{method}.{figure}": float(np.mean(each)) for figure, each in costs.items()}


def evaluate(
    plan: Plan, run: Run, objectives: Sequence[Objective], *, seeds: int = 5, words: bool = True
) -> Evaluation:
    """Judge a plan on starts, and on test words, that it was not fitted to; and say what it cost.

    Each start's figures are stored, so that a stopped evaluation goes on, and the untouched runs are measured once for
    all plans.

    Parameters
    ----------
    plan : Plan
    run : Run
        The one that it is of.
    objectives : sequence of Objective
        Measured; those of the plan among them.
    seeds : int
        Starts, at least two; a model with one start is judged by that one.
    words : bool
        Whether a second plan is fitted to half of the words of each test and judged by the others.

    Raises
    ------
    UserError
        Fewer than two starts; a test with fewer than four words a set, where ``words``.

    Examples
    --------
    >>> plan = cl.plan(scores, 0.0, method="reweight", starts=4)
    >>> print(cl.evaluate(plan, run, scores.objectives))
    """
    if seeds < 2:
        raise UserError("The cost of a plan needs at least two starts, to tell it from the noise between starts.")
    objectives = [as_objective(o) for o in objectives]
    others = held_out_seeds(run, plan.starts, seeds) if run.has_starts else [run.seed]
    before, after, seconds = [], [], []
    with track(f"evaluating {plan.label}") as progress:
        for number, seed in enumerate(others):
            progress(number, len(others))
            follower = others[(number + 1) % len(others)]
            row = _at_start(plan, run, objectives, seed, follower)
            before.append(row["before"])
            after.append(row["after"])
            seconds.append(row["seconds"])
        progress(len(others), len(others))
    names = sorted(set.intersection(*(set(each) for each in (*before, *after))))
    made = plan.apply(run)
    results = [{o.name: measured(o, at.view) for o in objectives} for at in (run, made)]
    held: dict[str, tuple[float, float, float, float]] = {}
    if words and plan.method.rpartition("+")[2] in ("remove", "reweight"):
        held = _held_out_words(plan, run, objectives)
    purity = {}
    for debias in map(hard_debias, plan.groups):
        sides = most_biased(debias, run.view)
        purity[debias.name] = (cluster_purity(run.view, *sides), cluster_purity(made.view, *sides))
    cell = None if plan.update is None else _cell(plan)
    return Evaluation(
        method=plan.label,
        targets=dict(plan.targets),
        effects={o.name: (results[0][o.name].value, results[1][o.name].value) for o in objectives},
        p_values={
            name: (first.tested.p_value, then.tested.p_value)
            for name, first in results[0].items()
            if first.tested is not None and (then := results[1][name]).tested is not None
        },
        held_out_words=held,
        moved=plan.moved,
        removed=plan.size,
        reached=plan.reached,
        seconds=plan.seconds,
        apply_seconds=float(np.mean(seconds)),
        seeds=list(others),
        rows=[Row(name, [each[name] for each in before], [each[name] for each in after]) for name in names],
        chosen={} if cell is None else asdict(cell),
        purity=purity,
    )


def _cell(plan: Plan) -> Any:
    assert plan.update is not None
    size = max(len(plan.update.undone), len(plan.update.reinforced))
    fitting = [c for c in plan.sweep if c.passes == plan.update.passes and not c.failed and c.size >= size]
    return min(fitting, key=lambda c: c.size)


def _at_start(plan: Plan, run: Run, objectives: Sequence[Objective], seed: int | None, other: int | None) -> Any:
    """Figures before and after the plan from one start; ``other`` gives how far neighbours differ by chance."""
    known = [run.fingerprint(o) for o in objectives]

    def untouched(at: int | None) -> dict[str, Any]:
        made = run if at == run.seed else run.retrain(seed=at)
        return _measured(run, made, objectives, None, at)

    def before(at: int | None) -> dict[str, Any]:
        stored: dict[str, Any] = run.store.get_or_make("retrains/before", known, at, make=lambda: untouched(at))
        return stored

    def corrected() -> dict[str, Any]:
        begun = time.perf_counter()
        made = plan.apply(run, seed=seed)
        seconds = time.perf_counter() - begun
        mine = before(seed)
        found = _measured(run, made, objectives, plan, seed)
        if "near" in mine:
            near = np.array(mine["near"])
            found["neighbours_kept"] = neighbours_kept(near, _vectors(made))
            chance = {"neighbours_kept": overlap(near, np.array(before(other)["near"]))}
        else:
            chance = {}
        figures_before = {name: value for name, value in mine.items() if name != "near"}
        found.pop("near", None)
        return {"before": figures_before | chance, "after": found, "seconds": seconds}

    key = (plan.method, known, plan.weights, plan.targets, plan.groups, plan.starts, seed, other)
    signed = None if plan.update is None else plan.update.signed(len(plan.weights))
    return run.store.get_or_make("retrains/after", *key, signed, make=corrected)


def _measured(
    run: Run, made: Run, objectives: Sequence[Objective], plan: Plan | None, seed: int | None
) -> dict[str, Any]:
    found: dict[str, Any] = dict(figures(made, objectives))
    if isinstance(run.model, SkipGram):
        held_in = held_in_samples(run, seed)
        if plan is None:
            again = run.retrain(run.weights * held_in, seed=seed)
        else:
            again = plan.apply(run, seed=seed, held_in=held_in)
        found["held_out_loss"] = held_out_loss(run.model, again.theta, held_in)
        if plan is None:
            found["near"] = neighbours(_vectors(made), NEIGHBOUR_WORDS).tolist()
    return found


def _vectors(run: Run) -> np.ndarray:
    return np.asarray(run.view.vectors.cpu().numpy())


def _held_out_words(
    plan: Plan, run: Run, objectives: Sequence[Objective]
) -> dict[str, tuple[float, float, float, float]]:
    """Fit to half of the words of each test and judge by the others, at the run's own start."""
    tests = [o for o in objectives if isinstance(o, Weat) and o.name in plan.targets]
    if len(tests) < len(plan.targets):
        return {}
    parts = {o.name: o.halves(run.model.word_index) for o in tests}
    goals = {fitted.name: plan.targets[name] for name, (fitted, _) in parts.items()}
    scores = compute_scores(run, [fitted for fitted, _ in parts.values()])
    made = compute_plan(scores, goals, method=plan.method, starts=plan.starts, groups=plan.groups or ("gender",))
    views = [run.view, made.apply(run).view]
    found = {}
    for name, (_, judged) in parts.items():
        both = [float(replace(judged, kind=kind)(view)) for kind in ("effect", "statistic") for view in views]
        found[name] = (both[0], both[1], both[2], both[3])
    return found
