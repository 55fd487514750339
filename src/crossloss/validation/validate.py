"""Validation of a run: scores against retraining, plans against other starts and against chance."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from crossloss.baselines import BASELINES, Baseline
from crossloss.core import Estimator, Objective, Progress, UserError
from crossloss.display import Result, Table, percent, spread, value
from crossloss.objectives import BaseObjective, Weat, as_objective
from crossloss.plans.plan import Plan
from crossloss.progress import track
from crossloss.run.retrainer import Retrainer, changes, without
from crossloss.run.run import Run
from crossloss.scores import UNROLLED, Scores
from crossloss.scoring import CO_OCCURRENCE, compute_scores
from crossloss.statistics import Fidelity, deviation, fidelity
from crossloss.validation.strongest import Strongest, check_strongest
from crossloss.validation.subsets import random_matching, random_subsets

COMPARED = ("gradient-dot", CO_OCCURRENCE, *BASELINES)
"""Estimators computed beside the given one: cheap, and with nothing to tune."""
OTHER_SEEDS = 5
RANDOM_REMOVALS = 3
CURVE_POINTS = (0.25, 0.5)
FILE = "validation.json"


@dataclass(frozen=True)
class Compared:
    """One estimator's predictions of the change of one objective, beside what retraining gave."""

    estimator: str
    share: float
    predicted: list[float]
    retrained: list[float]
    fidelity: Fidelity


@dataclass(frozen=True)
class PlanCheck:
    """A plan retrained: from its own start, from other starts, and beside random removals of its size.

    Attributes
    ----------
    retrained : float
    curve : list of (samples removed, value)
    other_seeds : list of (before, after)
    random_removal, random_with_test_word : list of float
    """

    retrained: float
    curve: list[tuple[int, float]] = field(default_factory=list)
    other_seeds: list[tuple[float, float]] = field(default_factory=list)
    random_removal: list[float] = field(default_factory=list)
    random_with_test_word: list[float] = field(default_factory=list)

    def summary(self, plan: Plan) -> list[str]:
        """What retraining with the plan gave, from its own start and from others, and beside random removals."""
        now, predicted = value(plan.value), value(plan.predicted)
        lines = [
            f"Retrained without the {plan.size:,} sentences of the plan, {plan.objective} is {value(self.retrained)} "
            f"(predicted {predicted}, before {now})."
        ]
        if self.other_seeds:
            before, after = ([pair[side] for pair in self.other_seeds] for side in (0, 1))
            lines.append(
                f"  From {len(after)} other starts, which it was not fitted to: {spread(before)} before, "
                f"{spread(after)} after."
            )
        for label, values in (
            ("as many random sentences", self.random_removal),
            ("as many random sentences with a test word", self.random_with_test_word),
        ):
            if values:
                lines.append(f"  Without {label}: {spread(values)}.")
        return lines


@dataclass(frozen=True)
class Validation(Result):
    """Fidelity of every estimator, the check of every plan, and of the strongest samples, by objective.

    Examples
    --------
    >>> validation = cl.validate(run, [weat], subsets=5, strongest=1)
    >>> for compared in validation.fidelity["weat7"]:
    ...     print(compared.estimator, compared.fidelity.pearson)
    """

    fidelity: dict[str, list[Compared]]
    plans: dict[str, PlanCheck]
    subsets: int
    share: float
    strongest: dict[str, Strongest] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Validation":
        """Inverse of ``to_json``."""
        return TypeAdapter(cls).validate_python(value)

    def metrics(self) -> dict[str, float]:
        """Flat figures: fidelity.NAME.ESTIMATOR.pearson (...), and plan.NAME.retrained, .other_seeds.mean (...).

        Subsets of another size than the last have it in the key: fidelity.NAME.ESTIMATOR.share5.pearson.
        """
        figures: dict[str, float] = {}
        for name, rows in self.fidelity.items():
            for row in rows:
                size = "" if row.share == self.share else f".share{100 * row.share:g}"
                start = f"fidelity.{name}.{row.estimator}{size}"
                figures |= {f"{start}.{figure}": float(value) for figure, value in asdict(row.fidelity).items()}
        for name, checked in self.strongest.items():
            figures |= checked.metrics(f"fidelity.{name}.{UNROLLED}")
        for name, check in self.plans.items():
            figures[f"plan.{name}.retrained"] = check.retrained
            for label, values in (
                ("other_seeds", [after for _, after in check.other_seeds]),
                ("other_seeds_before", [before for before, _ in check.other_seeds]),
                ("random_removal", check.random_removal),
                ("random_with_test_word", check.random_with_test_word),
            ):
                if values:
                    figures[f"plan.{name}.{label}.mean"] = float(np.mean(values))
                    figures[f"plan.{name}.{label}.sd"] = deviation(values)
        return figures

    def beside(self, earlier: "Validation") -> "Validation":
        """Add the rows of an earlier validation for subsets of other sizes, and samples checked where none are here."""
        table = {name: list(rows) for name, rows in self.fidelity.items()}
        for name, rows in earlier.fidelity.items():
            known = {row.share for row in table.get(name, [])}
            table.setdefault(name, []).extend(row for row in rows if row.share not in known)
        strongest = self.strongest or earlier.strongest
        return Validation(table, self.plans, self.subsets or earlier.subsets, self.share, strongest)

    def tables(self) -> list[Table]:
        """Fidelity of each estimator, with 95 % intervals; nothing where no subset was left out."""
        headings = ("test", "left out", "estimator", "Pearson", "Spearman (LDS)", "slope")
        rows = []
        for name, compared in self.fidelity.items():
            for row in compared:
                f = row.fidelity
                rows.append((
                    name, f"{f.subsets} x {percent(row.share)}", row.estimator,
                    f"{f.pearson:.3f} [{f.pearson_low:.3f}, {f.pearson_high:.3f}]",
                    f"{f.spearman:.3f} [{f.spearman_low:.3f}, {f.spearman_high:.3f}]",
                    f"{f.slope:.3g} [{f.slope_low:.3g}, {f.slope_high:.3g}]",
                ))  # fmt: skip
        return [Table("Fidelity over random subsets of one size (95 % intervals)", headings, rows)] if rows else []

    def __repr__(self) -> str:
        rows = [(name, row) for name, compared in self.fidelity.items() for row in compared]
        figures = ", ".join(f"{name} {row.estimator} r {row.fidelity.pearson:.2f}" for name, row in rows)
        return f"Validation({figures or f'{len(self.plans)} plans'})"


def validate(
    run: Run,
    objectives: Sequence[Any] | None = None,
    *,
    subsets: int = 30,
    share: float = 0.1,
    plans: Mapping[str, Plan] | None = None,
    strongest: int = 5,
    seeds: int = OTHER_SEEDS,
    removals: int = RANDOM_REMOVALS,
    estimators: Sequence[str | Estimator | Baseline] = (),
) -> Validation:
    """Retrain without random subsets, without single samples, and with plans, to see how well scores predicted it.

    No retraining is done twice. In a run folder the result is validation.json, and beside the scores in scores.parquet.

    Parameters
    ----------
    run : Run
    objectives : sequence, optional
        Those scored last where None.
    subsets, share : int, float
        How many random subsets of one size, and the part of the samples that each leaves out; 0 subsets for none.
    plans : mapping of str to Plan, optional
        By objective; those made last where None.
    strongest : int
        Strongest samples on either side that are left out one at a time.
    seeds, removals : int
        Other starts, and random removals of the same size, that a plan is tried with.
    estimators : sequence
        Further ones to compare, by name or as objects, beside unrolled and those that cost next to nothing.

    Raises
    ------
    UserError
        A model that was trained elsewhere; nothing scored; a subset of nothing or of everything; an estimator that
        cannot score the run.

    Examples
    --------
    >>> print(cl.validate(run, [weat], subsets=5, strongest=1))
    """
    if not run.steps:
        run.retrain()  # refuses
    last = run.results.scores
    if objectives is None and last is None:
        raise UserError("Say which objectives to validate: cl.validate(run, [objective]).")
    chosen = last.objectives if objectives is None else [as_objective(o) for o in objectives]
    kept = last is not None and last.estimator == UNROLLED and last.names == [o.name for o in chosen]
    scores = last if kept else compute_scores(run, chosen)
    retrainer = Retrainer(run, chosen)
    if plans is None:
        made = run.results.plans.values()
        plans = {p.objective: p for p in made if len(p.targets) == 1 and p.objective in scores.names}
    if not run.has_starts:
        seeds = 0
    checked = check_strongest(retrainer, scores, strongest) if strongest else {}
    checks = {name: _check_plan(retrainer, name, plan, seeds, removals) for name, plan in plans.items()}
    table = compare(retrainer, scores, subsets=subsets, share=share, estimators=estimators) if subsets else {}
    validation = Validation(table, checks, subsets, share, checked)
    earlier = stored_validation(run)
    if earlier is not None:
        validation = validation.beside(earlier)
    run.store.save(FILE, validation.to_json())
    run.store.log_metrics(validation.metrics())
    run.results.scores, run.results.validation = scores, validation
    return validation


def stored_validation(run: Run) -> Validation | None:
    """What was validated before, where anything was."""
    stored = run.store.load(FILE)
    return None if stored is None else Validation.from_json(stored)


def _check_plan(retrainer: Retrainer, name: str, plan: Plan, seeds: int, removals: int) -> PlanCheck:
    """Retrain a plan from the run's start, from other starts, and against chance.

    A plan that was not retrained on its way is retrained with parts of it too, as points on its curve.
    """
    with track(f"retraining plan {name}") as progress:
        return _checked(retrainer, name, plan, seeds, removals, progress)


def _checked(retrainer: Retrainer, name: str, plan: Plan, seeds: int, removals: int, progress: Progress) -> PlanCheck:
    if not plan.size:
        return PlanCheck(retrained=plan.values[name] if not plan.results else plan.results[name])
    run = retrainer.run
    parts = () if plan.path else CURVE_POINTS
    sizes = sorted({max(1, round(part * plan.size)) for part in parts} - {plan.size})
    total, done = len(sizes) + 1 + 2 * seeds + 2 * removals, 0

    def value(weights: np.ndarray, seed: int | None = None) -> float:
        nonlocal done
        retrained = retrainer(weights, seed=seed)[name]
        done += 1
        progress(done, total)
        return retrained

    progress(0, total)
    retrained = value(plan.weights)
    curve = [(size, value(without(run.weights, plan.removed[:size]))) for size in sizes]
    curve += [(step.size, step.retrained[name]) for step in plan.path] or [(plan.size, retrained)]
    starts = run.seeds(seeds, 1) if seeds else []
    other = [(value(run.weights, seed), value(plan.weights, seed)) for seed in starts]
    chance: list[list[float]] = []
    for eligible in (run.weights > 0, _with_test_word(run, retrainer.objectives, name)):
        size = min(plan.size, int((eligible & (run.weights > 0)).sum()))
        # Seeded by name and draw, so that one more objective changes no other's sets.
        draws = [zlib.crc32(f"{name}/{draw}".encode()) for draw in range(removals)]
        sets = [random_matching(size, run.weights, eligible, seed) for seed in draws]
        chance.append([value(without(run.weights, removed)) for removed in sets])
    return PlanCheck(retrained, curve, other, chance[0], chance[1])


def _with_test_word(run: Run, objectives: Sequence[Objective], name: str) -> np.ndarray:
    """Samples (n,) that contain a word of the objective; all where it names no words."""
    objective = next(o for o in objectives if o.name == name)
    words = objective.words if isinstance(objective, BaseObjective) else ()
    return run.model.with_words(words) if words else np.ones(run.model.samples, dtype=bool)


def _able(run: Run, name: str, objective: Objective) -> bool:
    """Whether an estimator beside the given one can score an objective."""
    if name == CO_OCCURRENCE:
        return isinstance(objective, Weat) and bool(run.model.word_index)
    return name not in BASELINES or BASELINES[name].able(run, objective)


def compare(
    retrainer: Retrainer,
    scores: Scores,
    *,
    subsets: int,
    share: float = 0.1,
    seed: int = 0,
    estimators: Sequence[str | Estimator | Baseline] = (),
) -> dict[str, list[Compared]]:
    """Fidelity of the given, the ``COMPARED`` and further estimators over random subsets of ONE size, never pooled.

    Parameters
    ----------
    scores : Scores
        The unrolled scores; the other estimators are computed here.
    subsets, share : int, float
        How many subsets, and the part of the samples that each leaves out.
    """
    run, objectives = retrainer.run, retrainer.objectives
    drawn = random_subsets(run.weights, share=share, count=subsets, seed=seed)
    by_estimator = {scores.estimator: scores}
    for name in COMPARED:
        able = [o for o in objectives if _able(run, name, o)]
        if name not in by_estimator and able:
            by_estimator[name] = compute_scores(run, able, name)
    for further in estimators:
        name = further if isinstance(further, str) else further.name
        if not isinstance(further, str) or name not in by_estimator:
            able = [o for o in objectives if not isinstance(further, Baseline) or further.able(run, o)]
            by_estimator[name] = compute_scores(run, able, further)
    retrained = []
    with track(f"retraining without {share:.0%}") as progress:
        for done, removed in enumerate(drawn):
            progress(done, subsets)
            retrained.append(retrainer(without(run.weights, removed)))
        progress(subsets, subsets)
    table: dict[str, list[Compared]] = {}
    for o in objectives:
        changed = changes(retrained, o.name, scores.values[o.name])
        table[o.name] = []
        for name, estimated in by_estimator.items():
            if o.name not in estimated.values:
                continue
            predicted = np.array([estimated.group(removed, o) for removed in drawn])
            if np.ptp(predicted) == 0 or np.ptp(changed) == 0:
                continue
            row = Compared(name, share, predicted.tolist(), changed.tolist(), fidelity(predicted, changed))
            table[o.name].append(row)
    return table
