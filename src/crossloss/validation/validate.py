"""Validation of a run: scores against retraining, plans against other starts and against chance."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from crossloss.core import Objective, Progress
from crossloss.objectives import BaseObjective, Weat
from crossloss.plans.remove import Plan
from crossloss.progress import track
from crossloss.run.run import Run
from crossloss.scores import CO_OCCURRENCE, UNROLLED, Scores, score
from crossloss.validation.retrain import Retrainer, changes, without
from crossloss.validation.statistics import Fidelity, deviation, fidelity
from crossloss.validation.strongest import Strongest
from crossloss.validation.subsets import random_matching, random_subsets

COMPARED = ("gradient-dot", CO_OCCURRENCE)
"""Estimators computed beside the given one: cheap, and with nothing to tune."""
OTHER_SEEDS = 5
RANDOM_REMOVALS = 3
CURVE_POINTS = (0.25, 0.5)


@dataclass(frozen=True)
class Compared:
    """One estimator's predictions of the change of one objective, beside what retraining gave."""

    estimator: str
    share: float
    predicted: list[float]
    found: list[float]
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


@dataclass(frozen=True)
class Validation:
    """Fidelity of every estimator, the check of every plan, and of the strongest samples, by objective."""

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
        compared = {
            name: [Compared(**(row | {"fidelity": Fidelity(**row["fidelity"])})) for row in rows]
            for name, rows in value["fidelity"].items()
        }
        plans = {
            name: PlanCheck(**{key: _pairs(item) for key, item in check.items()})
            for name, check in value["plans"].items()
        }
        strongest = {name: Strongest.from_json(row) for name, row in value["strongest"].items()}
        return cls(compared, plans, value["subsets"], value["share"], strongest)

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


def _pairs(item: Any) -> Any:
    """JSON knows no tuples: pairs come back as lists."""
    if isinstance(item, list):
        return [tuple(entry) if isinstance(entry, list) else entry for entry in item]
    return item


def check_plans(
    retrainer: Retrainer,
    plans: Mapping[str, Plan],
    *,
    seeds: int = 0,
    removals: int = 0,
) -> dict[str, PlanCheck]:
    """Retrain each plan: from the run's start, from other starts, and against chance.

    A plan that was not retrained on its way is retrained with parts of it too, as points on its curve.

    Parameters
    ----------
    seeds : int
        Other seeds of the initial vectors; the corpus as it was is trained from each too.
    removals : int
        Random sets of the plan's size, and as many of sentences that contain a test word.
    """
    checked = {}
    for name, plan in plans.items():
        with track(f"retraining plan {name}") as progress:
            checked[name] = _check_plan(retrainer, name, plan, seeds, removals, progress)
    return checked


def _check_plan(
    retrainer: Retrainer, name: str, plan: Plan, seeds: int, removals: int, progress: Progress
) -> PlanCheck:
    if not plan.size:
        return PlanCheck(retrained=plan.value)
    run = retrainer.run
    parts = () if plan.path else CURVE_POINTS
    sizes = sorted({max(1, round(part * plan.size)) for part in parts} - {plan.size})
    total, done = len(sizes) + 1 + 2 * seeds + 2 * removals, 0

    def value(weights: np.ndarray, seed: int | None = None) -> float:
        nonlocal done
        found = retrainer(weights, seed=seed)[name]
        done += 1
        progress(done, total)
        return found

    progress(0, total)
    retrained = value(plan.weights)
    curve = [(size, value(without(run.weights, plan.removed[:size]))) for size in sizes]
    curve += [(step.size, step.retrained) for step in plan.path] or [(plan.size, retrained)]
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


def compare(
    retrainer: Retrainer,
    scores: Scores,
    *,
    subsets: int,
    share: float = 0.1,
    seed: int = 0,
) -> dict[str, list[Compared]]:
    """Fidelity of the given and the ``COMPARED`` estimators over random subsets of ONE size; sizes are never pooled.

    Parameters
    ----------
    scores : Scores
        The unrolled scores; the other estimators are computed here.
    subsets, share : int, float
        How many subsets, and the part of the sentences that each leaves out.
    """
    run, objectives = retrainer.run, retrainer.objectives
    drawn = random_subsets(run.weights, share=share, count=subsets, seed=seed)
    retrained = []
    with track(f"retraining without {share:.0%}") as progress:
        for done, removed in enumerate(drawn):
            progress(done, subsets)
            retrained.append(retrainer(without(run.weights, removed)))
        progress(subsets, subsets)
    by_estimator = {scores.estimator: scores}
    for name in COMPARED:
        able = [o for o in objectives if name != CO_OCCURRENCE or (isinstance(o, Weat) and run.model.word_index)]
        if name not in by_estimator and able:
            by_estimator[name] = score(run, able, name)
    table: dict[str, list[Compared]] = {}
    for o in objectives:
        found = changes(retrained, o.name, scores.values[o.name])
        table[o.name] = []
        for name, estimated in by_estimator.items():
            if o.name not in estimated.values:
                continue
            predicted = np.array([estimated.group(removed, o) for removed in drawn])
            if np.ptp(predicted) == 0:
                continue
            row = Compared(name, share, predicted.tolist(), found.tolist(), fidelity(predicted, found))
            table[o.name].append(row)
    return table
