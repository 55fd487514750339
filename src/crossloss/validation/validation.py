"""What a validation found: fidelity by objective and estimator, plans retrained, the strongest samples."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from crossloss.plans.plan import Plan
from crossloss.run.run import Run
from crossloss.scores.scores import UNROLLED
from crossloss.utils.display import Result, Table, percent, spread, value
from crossloss.utils.statistics import Fidelity, deviation
from crossloss.validation.strongest import Strongest

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
        alone = plan.method == "remove"
        how = f"without the {plan.size:,} sentences of the plan" if alone else f"with the plan {plan.label}"
        lines = [f"Retrained {how}, {plan.objective} is {value(self.retrained)} (predicted {predicted}, before {now})."]
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
    keys: dict[str, str] = field(default_factory=dict)
    """Of each objective, by which another one of the same name is told from it."""

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
        """Add the rows of an earlier validation for subsets of other sizes, and samples checked where none are here.

        Not those of another objective of the same name.
        """

        def same(name: str) -> bool:
            return name not in self.keys or self.keys[name] == earlier.keys.get(name)

        table = {name: list(rows) for name, rows in self.fidelity.items()}
        for name, rows in earlier.fidelity.items():
            if not same(name):
                continue
            known = {row.share for row in table.get(name, [])}
            table.setdefault(name, []).extend(row for row in rows if row.share not in known)
        strongest = self.strongest or {name: one for name, one in earlier.strongest.items() if same(name)}
        keys = earlier.keys | self.keys
        return Validation(table, self.plans, self.subsets or earlier.subsets, self.share, strongest, keys)

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


def stored_validation(run: Run) -> Validation | None:
    """What was validated before, where anything was."""
    stored = run.store.load(FILE)
    return None if stored is None else Validation.from_json(stored)
