"""What became of a correction: the targets, starts it was not fitted to, words it was not fitted to, and the cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from crossloss.core import Objective
from crossloss.models.skipgram.hard_debias import cluster_purity, hard_debias, most_biased
from crossloss.objectives.permutation import permutation_test
from crossloss.objectives.weat import Weat
from crossloss.plans.cost import FIGURES, Cost, Yardstick
from crossloss.plans.debias import FITTED, HARD, Corrected, correct, held_out_words
from crossloss.run.run import Run
from crossloss.validation.statistics import deviation


@dataclass(frozen=True)
class Outcome:
    """A correction, judged.

    Attributes
    ----------
    how : str
        The way; ``-one-start`` behind it where it was fitted to one start only.
    targets : dict
    effects : dict of name -> (before, after)
        From the run's own start.
    p_values : dict of name -> (before, after)
        One-sided.
    held_out_words : dict of name -> four floats
        See ``held_out_words``; empty where nothing was fitted or it was not asked for.
    moved, removed : float, int
        Share of the weight that was moved; samples out.
    reached : bool or None
        As in ``Corrected``.
    seconds : float
        To make the correction.
    cost : Cost
        On starts it was not fitted to.
    chosen : dict
        Of undo, reinforce and both: the chosen cell of the sweep.
    purity : dict of group -> (before, after)
        Where hard debias is in it: ``cluster_purity`` of the words most biased before.
    """

    how: str
    targets: dict[str, float]
    effects: dict[str, tuple[float, float]]
    p_values: dict[str, tuple[float, float]]
    held_out_words: dict[str, tuple[float, float, float, float]]
    moved: float
    removed: int
    reached: bool | None
    seconds: float
    cost: Cost
    chosen: dict[str, Any] = field(default_factory=dict)
    purity: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its files are called: the way, and of undo, reinforce and both the objective."""
        return "-".join([self.how, *self.targets]) if self.chosen else self.how

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Outcome":
        """Inverse of ``to_json``."""
        tuples = {
            name: {key: tuple(item) for key, item in value[name].items()}
            for name in ("effects", "p_values", "held_out_words", "purity")
        }
        return cls(**(dict(value) | tuples | {"cost": Cost.from_json(value["cost"])}))

    def metrics(self) -> dict[str, float]:
        """Flat figures debias.HOW.NAME.effect, .other_seeds.mean, ..., and debias.original.* beside them.

        Of undo, reinforce and both, which correct one objective each, the costs are debias.HOW.NAME.wordsim353, ...
        """
        start = f"debias.{self.how}"
        found: dict[str, float] = {}
        for name, (before, after) in self.effects.items():
            row = self.cost.row(name)
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
                found |= {
                    f"{start}.{name}.heldout_words": effect_after,
                    f"{start}.{name}.heldout_words_before": effect_before,
                }
        one = f".{next(iter(self.targets))}" if self.chosen else ""
        for row in self.cost.rows:
            if row.figure not in self.effects:
                found |= {
                    f"{start}{one}.{row.figure}": float(np.mean(row.after)),
                    f"debias.original.{row.figure}": float(np.mean(row.before)),
                }
        for group, (before, after) in self.purity.items():
            found |= {f"{start}.purity.{group}": after, f"debias.original.purity.{group}": before}
        return found | {f"{start}{one}.seconds": self.seconds, f"{start}{one}.moved": self.moved}


def metrics_of(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Figures of all outcomes of one way; where each corrects one objective, debias.HOW.wordsim353, ... are means."""
    found: dict[str, float] = {}
    costs: dict[str, list[float]] = {}
    for outcome in outcomes:
        found |= outcome.metrics()
        if outcome.chosen:
            costs.setdefault("seconds", []).append(outcome.seconds)
            for row in outcome.cost.rows:
                if row.figure in FIGURES:
                    costs.setdefault(row.figure, []).append(float(np.mean(row.after)))
    return found | {f"debias.{outcomes[0].how}.{figure}": float(np.mean(each)) for figure, each in costs.items()}


def label(how: str, starts: int) -> str:
    """Name of a way with the number of its starts in it, where that is one."""
    fitted = how.rpartition("+")[2] in FITTED
    return f"{how}-one-start" if fitted and starts == 1 else how


def judge(
    run: Run,
    objectives: Sequence[Weat],
    targets: Mapping[str, float],
    how: str,
    yardstick: Yardstick,
    *,
    starts: int = 1,
    groups: Sequence[str] = ("gender",),
    tolerance: float = 0.01,
    words: bool = True,
    also: Sequence[Objective] = (),
    **more: Any,
) -> tuple[Outcome, Corrected]:
    """Make a correction and judge it.

    Parameters
    ----------
    yardstick : Yardstick
        With starts that the correction is not fitted to; it may measure more objectives than are corrected.
    words : bool
        Whether a second correction is fitted to half of the words and judged by the others.
    how, starts, groups, tolerance, also, **more
        As for ``correct``.

    Raises
    ------
    UserError
        As ``correct`` and ``held_out_words``.
    """
    made = correct(
        run, objectives, targets, how, starts=starts, groups=groups, tolerance=tolerance, also=also, **more
    )  # fmt: skip
    measured = [*objectives, *yardstick.objectives]
    inputs = (dict(targets), starts, yardstick.seeds, sorted(groups), tolerance, more)
    entry = run.store.entry("cost", how, [run.fingerprint(o) for o in measured], *inputs)
    cost = yardstick.cost(made.correction, entry)
    theta = made.correction(run, run.seed)
    results = [{o.name: permutation_test(o, run.field.view(t)) for o in objectives} for t in (run.theta, theta)]
    before, after = results
    held: dict[str, tuple[float, float, float, float]] = {}
    if words and how.rpartition("+")[2] in FITTED:
        held = held_out_words(run, objectives, targets, how, groups=groups, starts=starts, tolerance=tolerance)
    purity = {}
    for debias in (hard_debias(group) for group in groups) if HARD in how.split("+") else ():
        sides = most_biased(debias, run.view)
        purity[debias.name] = (
            cluster_purity(run.view, *sides), cluster_purity(run.field.view(theta), *sides)
        )  # fmt: skip
    weights = run.weights if made.table is None else made.table["weight"].to_numpy()
    outcome = Outcome(
        how=label(how, starts),
        targets=dict(targets),
        effects={name: (before[name].effect, after[name].effect) for name in before},
        p_values={name: (before[name].p_value, after[name].p_value) for name in before},
        held_out_words=held,
        moved=float(np.abs(weights - run.weights).sum() / run.weights.sum()),
        removed=int(((weights == 0) & (run.weights > 0)).sum()),
        reached=made.reached,
        seconds=made.seconds,
        cost=cost,
        chosen={} if made.chosen is None else asdict(made.chosen),
        purity=purity,
    )
    return outcome, made
