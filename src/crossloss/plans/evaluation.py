"""What became of a plan: its targets, on starts and words that it was not fitted to, and what it cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from crossloss.core import UserError
from crossloss.plans.sweep import LOST
from crossloss.plans.transfer import Transfer
from crossloss.run.run import Run
from crossloss.utils.display import Result, Table, effect, percent, several, spread, value
from crossloss.utils.statistics import deviation

FIGURES = ("wordsim353", "simlex999", "analogies", "loss", "held_out_loss", "neighbours_kept")
"""What is measured beside objectives."""
GROUPS = ("evaluate", "debias")
"""What the names of figures begin with."""


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
class HeldOutWords:
    """The half of a test's words that a further plan was not fitted to, by draw of the halves; means over the starts.

    An effect size can fall by noise in its denominator alone; the statistic has none.
    """

    before: list[float]
    after: list[float]
    statistic_before: list[float]
    statistic_after: list[float]

    @property
    def carries_over(self) -> bool:
        """Whether the mean comes at least half-way to 0, by more than twice the standard error of the change."""
        change = np.array(self.after) - np.array(self.before)
        error = deviation(change.tolist()) / np.sqrt(len(change)) if len(change) > 1 else 0.0
        half = abs(np.mean(self.after)) <= abs(np.mean(self.before)) / 2
        return bool(half and abs(change.mean()) > 2 * error)


@dataclass(frozen=True)
class Evaluation(Result):
    """What a plan does and costs, on starts and on test words that it was not fitted to.

    Attributes
    ----------
    method : str
        ``-one-start`` behind it where it was fitted to one start only.
    targets : dict
    effects, p_values : dict of name -> (before, after)
        From the run's own start; p-values one-sided, of tests.
    held_out_words : dict of name -> HeldOutWords
        Empty where nothing was fitted or it was not asked for.
    moved, changed_share, removed : float, float, int
        Sum of the changes of the weights over their sum; part of the training weight that goes out or comes in,
        whichever is more; samples out.
    reached, quality_kept : bool
        As of the plan.
    seconds, apply_seconds : float
        To make the plan, and to make a corrected model by it.
    seeds : list of int or None
        Starts that it was not fitted to, which ``rows`` are of; of a model with one start, that one.
    rows : list of Row
        Objectives by name, and ``FIGURES``; what cannot be measured here is left out.
    chosen : dict
        Of undo, reinforce and both: the chosen cell of the sweep.
    purity : dict of group -> (before, after)
        ``cluster_purity`` of the words most biased before, from the run's own start: by gender, and by the groups of
        hard debias, where the vocabulary has their words.
    transfer : dict of name -> Transfer
        The objectives in gensim's models of the corpus before and after, where that was asked for.

    Examples
    --------
    >>> evaluation = cl.evaluate(cl.plan(scores, 0.5), run, scores.objectives, seeds=2, halves=0)
    >>> before, after = evaluation.effects["weat7"]
    >>> for line in evaluation.summary():
    ...     print(line)
    """

    method: str
    targets: dict[str, float]
    effects: dict[str, tuple[float, float]]
    p_values: dict[str, tuple[float, float]]
    held_out_words: dict[str, HeldOutWords]
    moved: float
    changed_share: float
    removed: int
    reached: bool
    seconds: float
    apply_seconds: float
    seeds: list[int | None]
    rows: list[Row]
    chosen: dict[str, Any] = field(default_factory=dict)
    quality_kept: bool = True
    purity: dict[str, tuple[float, float]] = field(default_factory=dict)
    transfer: dict[str, Transfer] = field(default_factory=dict)

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
        """Flat figures, of the corrected runs and, as METHOD original, of the run as it was.

        evaluate.METHOD.NAME.fitted (own start), .unseen_starts.mean, .sd, .held_out_words, .gensim.mean, and
        evaluate.METHOD.wordsim353, .changed_share, ... ; the same as debias.METHOD.NAME.effect, .other_seeds.mean, .sd,
        .mean_size, .farthest, .heldout_words, and debias.METHOD.wordsim353, ... Of undo, reinforce and both, which
        correct one objective each, the costs are debias.METHOD.NAME.wordsim353, ...
        """
        one = f".{next(iter(self.targets))}" if self.chosen else ""
        made: dict[str, float] = {}

        def add(method: str, name: str, figures: Mapping[str, float]) -> None:
            made.update({f"{group}.{method}{name}.{figure}": v for figure, v in figures.items() for group in GROUPS})

        for name, own in self.effects.items():
            row, held, other = self.row(name), self.held_out_words.get(name), self.transfer.get(name)
            for end, method in enumerate(("original", self.method)):
                figures = {"fitted": own[end], "effect": own[end]}
                for label in ("unseen_starts", "other_seeds"):
                    figures |= _spread(label, (row.before, row.after)[end])
                if other is not None:
                    figures |= _spread("gensim", (other.before, other.after)[end])
                if held is not None and end:
                    figures |= {
                        "held_out_words": float(np.mean(held.after)),
                        "held_out_words_sd": deviation(held.after),
                    }
                    figures |= {"heldout_words": figures["held_out_words"]}
                    figures |= {
                        f"{label}_before": float(np.mean(held.before)) for label in ("held_out_words", "heldout_words")
                    }
                add(method, f".{name}", figures)
        costs = {row.figure: row for row in self.rows if row.figure not in self.effects}
        purity = {f"purity.{group}": both for group, both in self.purity.items()}
        add(
            "original",
            "",
            {n: float(np.mean(row.before)) for n, row in costs.items()} | {n: v[0] for n, v in purity.items()},
        )
        add(
            self.method,
            one,
            {n: float(np.mean(row.after)) for n, row in costs.items()} | {n: v[1] for n, v in purity.items()},
        )
        add(self.method, one, {"seconds": self.seconds, "moved": self.moved, "changed_share": self.changed_share})
        return made

    def summary(self) -> list[str]:
        """What it did to each objective from the run's own start, and to words it was not fitted to; a line each."""
        lines = []
        for name, (before, after) in self.effects.items():
            lines.append(f"{self.method}: {name} goes from {value(before)} to {value(after)} (own start, retrained).")
            lines += [f"  {sentence}" for sentence in self.sentences(name)]
        if not self.quality_kept:
            lines.append(LOST)
        if not self.reached:
            lines.append("The targets were not reached; this is the nearest that was tried.")
        lines += [
            f"Two clusters tell the words most biased by {group} apart: "
            f"{percent(first)} right before, {percent(then)} after."
            for group, (first, then) in self.purity.items()
        ]
        if self.chosen:
            lines.append(f"Chosen of the sweep: {self.chosen['size']} samples, {self.chosen['passes']} passes.")
        return lines

    def sentences(self, name: str) -> list[str]:
        """Whether what it does to an objective carries over to words, and to another trainer, that it has not seen."""
        made = []
        if held := self.held_out_words.get(name):
            verdict = "It carries over" if held.carries_over else "It does not carry over"
            made.append(
                f"{verdict} to words that it was not fitted to: {spread(held.before)} to {spread(held.after)} "
                f"({several(len(held.before), 'draw')} of half of the words, sd between draws)."
            )
        if each := self.transfer.get(name):
            made.append(f"In gensim's Word2Vec: {spread(each.before)} to {spread(each.after)} ({each.verdict}).")
        return made

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
        """Write evaluation-NAME.json into the run's folder, and its figures."""
        run.store.save(f"evaluation-{self.name}.json", self.to_json())
        run.store.log_metrics(self.metrics())

    @property
    def _judged_by(self) -> str:
        """The starts, in words."""
        return f"{len(self.seeds)} starts not fitted to" if len(self.seeds) > 1 else "its one start"

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {before:+.3g} -> {after:+.3g}" for name, (before, after) in self.effects.items())
        return f"Evaluation({self.method}: {told}; {self._judged_by})"


def _spread(label: str, values: Sequence[float]) -> dict[str, float]:
    sizes = np.abs(values)
    return {
        f"{label}.mean": float(np.mean(values)),
        f"{label}.sd": deviation(values),
        f"{label}.mean_size": float(sizes.mean()),
        f"{label}.farthest": float(sizes.max()),
    }


def metrics_of(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Figures of all evaluations of one method; of one objective each, evaluate.METHOD.wordsim353, ... is a mean."""
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
    means = {figure: float(np.mean(each)) for figure, each in costs.items()}
    return found | {f"{group}.{method}.{figure}": mean for figure, mean in means.items() for group in GROUPS}
