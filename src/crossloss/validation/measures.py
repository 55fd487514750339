"""What a trained model is: its objectives with their p-values, benchmarks, their spread over starts, rare words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.quality import Quality, quality
from crossloss.objectives import BaseObjective, Measured, RareWords, Weat, as_objective, measured, rare_words
from crossloss.run.run import Run
from crossloss.utils.display import Result, Table, probability, spread, value
from crossloss.validation.spread import STARTS, Spread, over_starts


@dataclass(frozen=True)
class Measures(Result):
    """Objectives and benchmarks of a run, with their spread over starts, and rare words.

    Attributes
    ----------
    objectives : list of Objective
    values : dict of str to Measured
        By objective; tests with their p-values.
    quality : Quality or None
        Benchmarks of word vectors; None of a model without words.
    spreads : dict of str to Spread
        By objective or benchmark.
    rare : dict of str to RareWords

    Examples
    --------
    >>> measures = cl.measure(run, [weat], starts=2)
    >>> print(measures.values["weat7"].value, measures.spreads["weat7"].sd)
    """

    objectives: list[Any]
    values: dict[str, Measured]
    quality: Quality | None
    spreads: dict[str, Spread]
    rare: dict[str, RareWords]

    def metrics(self) -> dict[str, float | None]:
        """Flat figures weat.NAME.effect, .p_value, .starts.mean (...), objective.NAME.value, quality.wordsim353, ..."""
        figures: dict[str, float | None] = {}
        kinds = {o.name: o.kind for o in self.objectives if isinstance(o, Weat)}
        for name, (number, result) in self.values.items():
            if result is None:
                figures[f"objective.{name}.value"] = number
                continue
            for key in ("effect", "statistic", "difference", "p_value", "p_value_two_sided"):
                figures[f"weat.{name}.{key}"] = getattr(result, key)
        for _, key, figure, pairs in self._quality():
            figures |= {f"quality.{key}": figure, f"quality.{key}.pairs": pairs}
        for name, over in self.spreads.items():
            tested = name in self.values and self.values[name].tested is not None
            kind = "weat" if tested else "objective" if name in self.values else "quality"
            figures |= over.metrics(f"{kind}.{name}")
        for name, words in self.rare.items():
            for key, figure in ((kinds.get(name, "effect"), words.value), ("p_value", words.p_value)):
                figures[f"weat.{name}.without_rare.{key}"] = figure
        return figures

    def tables(self) -> list[Table]:
        """Association tests, and the other objectives, where there are any."""
        starts = max((len(over.values) for over in self.spreads.values()), default=1)
        over = [f"over {starts} starts"] if starts > 1 else []
        tests, others = [], []
        for objective in self.objectives:
            number, r = self.values[objective.name]
            row = [objective.name, value(number if r is None else r.effect)]
            kind = getattr(objective, "kind", "effect")  # what the objective is, which the spread is of
            row += [f"{kind} " * (kind != "effect") + spread(self.spreads[objective.name].values)] if over else []
            if r is None:
                others.append([*row, getattr(objective, "quantity", "value")])
            else:
                splits = f"{r.splits:,} {'all' if r.exact else 'drawn'}"
                p_values = map(probability, (r.p_value, r.p_value_two_sided))
                tests.append([*row, value(r.difference), value(r.statistic), *p_values, splits])
        columns = ("difference of means", "statistic", "p one-sided", "p two-sided", "splits")
        tables = [
            Table("Association tests", ("test", "effect size", *over, *columns), tests),
            Table("Objectives", ("objective", "value", *over, "what it is"), others),
        ]
        return [table for table in tables if table.rows]

    def summary(self) -> list[str]:
        """What the sign of each objective means, what its starts and its rare words say of it; then the benchmarks."""
        lines = []
        for objective in self.objectives:
            name, over = objective.name, self.spreads.get(objective.name)
            parts = [objective.interpretation()] if isinstance(objective, BaseObjective) else []
            parts += [over.sentence(name)] if over and over.exceeds_value else []
            parts += [self.rare[name].sentence(name)] if name in self.rare else []
            if parts:
                lines.append(f"{name}. {' '.join(parts)}")
        benchmarks = self._quality()
        return lines + [f"{name}: Spearman {rho:.3f} on {pairs} pairs" for name, _, rho, pairs in benchmarks if rho]

    def _quality(self) -> list[tuple[str, str, float | None, int]]:
        q = self.quality
        return [] if q is None else [
            ("WordSim-353", "wordsim353", q.wordsim353, q.wordsim353_pairs),
            ("SimLex-999", "simlex999", q.simlex999, q.simlex999_pairs),
        ]  # fmt: skip

    def __repr__(self) -> str:
        return f"Measures({', '.join(f'{name} {m.value:+.4g}' for name, m in self.values.items())})"


def measure(run: Run, objectives: Sequence[Any], *, starts: int = STARTS) -> Measures:
    """Measure objectives, tests with their p-values, and benchmarks, all over ``starts``, into the run's metrics.

    Trains ``starts - 1`` times; in a run folder nothing is trained twice.

    Parameters
    ----------
    run : Run
    objectives : sequence
        Objectives, or functions of ``run.view``.
    starts : int
        Initial seeds, the run's own first; 1: no training.

    Raises
    ------
    UserError
        As ``over_starts``.

    Examples
    --------
    >>> measures = cl.measure(run, [weat], starts=2)
    >>> print(measures.values["weat7"].tested.p_value)
    """
    view, model, chosen = run.view, run.model, [as_objective(o) for o in objectives]
    counts = model.vocabulary.occurrences if isinstance(model, SkipGram) else None
    made = Measures(
        chosen,
        {o.name: measured(o, view) for o in chosen},
        None if counts is None else quality(view.words, view.vectors.cpu().numpy()),
        over_starts(run, chosen, starts),
        {o.name: rare for o in chosen if counts is not None and (rare := rare_words(o, counts, view))},
    )
    run.store.log_metrics(made.metrics())
    run.store.set_meta(starts=starts)
    return made
