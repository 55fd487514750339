"""Scores of the samples of any run: by objective, as effects if removed, ranked, summed over groups, as tables."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from crossloss.core import Objective, UserError
from crossloss.objectives import as_objective
from crossloss.run.run import Run
from crossloss.scores.token_scores import token_scores
from crossloss.utils.display import Result, Table
from crossloss.utils.inputs import grouped, read_only, row_numbers

UNROLLED = "unrolled"
ROWS = 50_000
"""Samples of a part of a table."""

Named = str | Objective | Callable[[Any], Any] | None
"""An objective as it was scored, or its name; the first where None."""


@dataclass(frozen=True)
class Scored:
    """One sample with its score for one objective.

    ``score`` is d f/d w_i in f's unit; ``effect_if_removed`` is minus the score times the sample's weight (a
    candidate's: times 1), the predicted change of f. ``columns`` is what tables show of the sample.
    """

    sample: int
    score: float
    effect_if_removed: float
    rank: int
    share: float
    columns: Mapping[str, Any]

    @property
    def text(self) -> str:
        """What is shown of it: its text, or its row."""
        if "text" in self.columns or not self.columns:
            return str(self.columns.get("text", self.sample))
        return ", ".join(f"{name}: {value}" for name, value in self.columns.items())

    @property
    def id(self) -> str:
        """Its id, or its number."""
        return str(self.columns.get("id", self.sample))

    @property
    def document(self) -> str:
        """The document that it is of, or nothing."""
        return str(self.columns.get("document", ""))


class Scores(Result):
    """Scores of every sample of a run for k objectives.

    Attributes
    ----------
    run : Run
    estimator : str
    atoms : (k, m) array
        Derivative of each objective by the weight of each atom: of skip-gram the count of each word pair in both
        orders, else the samples themselves; read-only. UserError of baselines, which score samples as wholes.
    samples : (k, n) float64 array
        Derivative of each objective by the weight of each sample; read-only.
    left_out : list of (str, int)
        Parameters of the model, with their sizes, whose part of the influence is in no score.

    Examples
    --------
    >>> scores = cl.score(run, [weat])
    >>> for s in scores.amplifiers(3):
    ...     print(f"{s.effect_if_removed:+.4f}  {s.text}")
    >>> print(scores.group([0, 1, 2]), scores.explain("My sister teaches math.").pairs)
    """

    def __init__(
        self,
        run: Run,
        estimator: str,
        objectives: Sequence[Objective],
        atoms: np.ndarray | None,
        samples: np.ndarray | None = None,
        left_out: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.run, self.estimator, self.left_out = run, estimator, list(left_out)
        self._atoms = None if atoms is None else read_only(atoms)
        if samples is None:
            samples = run.model.project(self.atoms)
        self.samples = read_only(samples)
        self._objectives, self._values = tuple(objectives), run.values(objectives)
        weights = run.weights
        self.removable = np.where(run.model.candidates(weights), 1.0, weights)

    @property
    def has_parts(self) -> bool:
        """Whether a sample's score is a sum over its atoms."""
        return self._atoms is not None

    @property
    def atoms(self) -> np.ndarray:
        """As above."""
        if self._atoms is None:
            raise UserError(f"{self.estimator} scores each sample as a whole: take its parts from another estimator.")
        return self._atoms

    @property
    def objectives(self) -> list[Objective]:
        """The objectives, a list of its own."""
        return list(self._objectives)

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [o.name for o in self._objectives]

    @property
    def values(self) -> dict[str, float]:
        """The objectives' values by name, a dict of its own."""
        return dict(self._values)

    def index_of(self, objective: Named = None) -> int:
        """Index of an objective, given as it was scored or by its name; UserError where it was not scored."""
        if objective is None:
            return 0
        given = None if isinstance(objective, str) else as_objective(objective)
        name = objective if given is None else given.name
        if name not in self.names:
            raise UserError(f"{name} was not scored; scored are: {', '.join(self.names)}.")
        index = self.names.index(name)
        if given is not None and not self._same(given, self._objectives[index]):
            raise UserError(
                f"Another objective was scored under the name {name}: score this one, or name it otherwise."
            )
        return index

    def are_scores_of(self, objectives: Sequence[Objective]) -> bool:
        """Whether these are the objectives, in this order: of one name may be several."""
        named = self.names == [o.name for o in objectives]
        return named and all(map(self._same, objectives, self._objectives))

    def _same(self, one: Objective, other: Objective) -> bool:
        return one is other or self.run.fingerprint(one) == self.run.fingerprint(other)

    def of(self, objective: Named = None) -> np.ndarray:
        """Scores (n,) float64 for one objective, a copy."""
        return np.array(self.samples[self.index_of(objective)])

    def effects(self, objective: Named = None) -> np.ndarray:
        """Effects if removed, (n,): the predicted change of the objective."""
        return -self.of(objective) * self.removable

    def ranks(self, objective: Named = None) -> np.ndarray:
        """1 for the strongest amplifier, n for the strongest mitigator, (n,) int64."""
        order = np.argsort(-self.of(objective), kind="stable")
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(1, len(order) + 1)
        return ranks

    def shown(self, samples: Sequence[int] | np.ndarray, objective: Named = None) -> list[Scored]:
        """Samples by number, with their scores for one objective; UserError for a mask, or one that is not there."""
        scores, effects, ranks = self.of(objective), self.effects(objective), self.ranks(objective)
        value = abs(self._values[self.names[self.index_of(objective)]])
        model, columns = self.run.model, self.run.model.columns()

        def row(i: int) -> dict[str, Any]:
            if columns:
                return {name: values[i] for name, values in columns.items()}
            item = model.show(i)
            return {"text": item if isinstance(item, str) else f"{model.sample_noun} {i}"}

        return [
            Scored(i, s := float(scores[i]), float(effects[i]), int(ranks[i]), s / value if value else 0.0, row(i))
            for i in row_numbers(samples, len(scores), "samples").tolist()
        ]

    def _first(self, count: int, keys: np.ndarray, objective: Named) -> list[Scored]:
        """The samples of the smallest keys; UserError where ``count`` is no number of them."""
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise UserError(f"The number of samples to show is {count!r}: give a whole number, 0 or more.")
        return self.shown(np.argsort(keys, kind="stable")[:count], objective)

    def top(self, count: int = 10, objective: Named = None) -> list[Scored]:
        """Samples that move the objective most, either way."""
        return self._first(count, -np.abs(self.of(objective)), objective)

    def amplifiers(self, count: int = 10, objective: Named = None) -> list[Scored]:
        """Samples that pushed the objective up most: removing them is predicted to lower it."""
        return self._first(count, -self.of(objective), objective)

    def mitigators(self, count: int = 10, objective: Named = None) -> list[Scored]:
        """Samples that held the objective down most: removing them is predicted to raise it."""
        return self._first(count, self.of(objective), objective)

    def group(self, samples: Sequence[int] | np.ndarray, objective: Named = None) -> float:
        """Effect of removing a set of samples together, to first order: the sum."""
        effects = self.effects(objective)
        return float(effects[row_numbers(samples, len(effects), "samples")].sum())

    def totals(self, labels: Sequence[str], objective: Named = None) -> list[tuple[str, float, int]]:
        """(label, effect if all its samples are removed, samples), strongest first, of one label a sample.

        Raises
        ------
        UserError
            Another number of labels than of samples.
        """
        effects = self.effects(objective)
        if isinstance(labels, str) or not hasattr(labels, "__len__"):
            raise UserError(f"A {type(labels).__name__} was given as labels: give a list of one label for each sample.")
        if len(labels) != len(effects):
            raise UserError(f"{len(labels)} labels were given for {len(effects)} samples: give one for each.")
        names, inverse = grouped(map(str, labels))
        sums, sizes = np.bincount(inverse, effects), np.bincount(inverse)
        order = np.argsort(-np.abs(sums), kind="stable")
        return [(names[i], float(sums[i]), int(sizes[i])) for i in order]

    def documents(self, objective: Named = None) -> list[tuple[str, float, int]]:
        """(document, effect if removed, samples), strongest first; UserError where samples are of no documents."""
        columns = self.run.model.columns()
        if "document" not in columns:
            raise UserError("These samples name no documents: give labels, scores.totals(labels).")
        return self.totals(columns["document"], objective)

    def explain(self, sample: str | int, objective: Named = None) -> Any:
        """Take a sample apart, by its number or, of a corpus, by its text (which may be none of its sentences).

        Raises
        ------
        UserError
            No such sample; fewer than two words of the vocabulary; a model whose samples have no parts.
        """
        return self.run.model.explain(self.atoms[self.index_of(objective)], sample, self.run.weights)

    def tokens(self, rows: Sequence[int] | np.ndarray, objective: Named = None, *, length: int | None = None) -> Any:
        """Scores of the tokens of some rows, (m, T) float64, which add up to theirs: as ``cl.token_scores``.

        Raises
        ------
        UserError
            As there; scores of another estimator than unrolled.
        """
        if self.estimator != UNROLLED:
            raise UserError(f"These scores are of {self.estimator}: only unrolled scores are taken apart by token.")
        return token_scores(self.run, self._objectives[self.index_of(objective)], rows, length=length)

    def table(self, retrained: Mapping[str, Mapping[int, float]] | None = None) -> pa.Table:
        """Sample, what the model shows of it, weight; per objective score, effect_if_removed, rank and share.

        ``retrained`` gives, by objective, the change by sample after retraining without it: one more column, null for
        the other samples.
        """
        return pa.concat_tables(self._parts(retrained or {}))

    def _parts(self, retrained: Mapping[str, Mapping[int, float]]) -> Iterator[pa.Table]:
        """Yield the table, some samples at a time."""
        n, weights, shown = self.samples.shape[1], self.run.weights, self.run.model.columns()
        ranks = {name: self.ranks(name) for name in self.names}
        note = {"crossloss": json.dumps({"estimator": self.estimator, "values": self.values}, sort_keys=True)}
        for first in range(0, max(n, 1), ROWS):
            part = slice(first, min(first + ROWS, n))
            columns: dict[str, Any] = {"sample": np.arange(part.start, part.stop)}
            columns |= {name: pa.array(values[part], pa.string()) for name, values in shown.items()}
            columns["weight"] = weights[part]
            for scores, (name, value) in zip(self.samples, self._values.items(), strict=True):
                columns[f"{name}.score"] = mine = scores[part]
                columns[f"{name}.effect_if_removed"] = -mine * self.removable[part]
                columns[f"{name}.rank"] = ranks[name][part]
                columns[f"{name}.share"] = mine / abs(value) if value else np.zeros_like(mine)
                if name in retrained:
                    changes = [retrained[name].get(sample) for sample in range(part.start, part.stop)]
                    columns[f"{name}.retrained"] = pa.array(changes, pa.float64())
            yield pa.table(columns).replace_schema_metadata(note)

    def save(self) -> None:
        """Write scores.parquet (of another estimator than unrolled scores-ESTIMATOR.parquet) into the run's folder.

        Where samples were checked by retraining (``cl.validate``), with what it gave.
        """
        unrolled = self.estimator == UNROLLED
        stored = (self.run.store.load("validation.json") if unrolled else None) or {}
        checked, keys = stored.get("strongest", {}), stored.get("keys", {})
        retrained = {
            o.name: dict(zip(checked[o.name]["samples"], checked[o.name]["retrained"], strict=True))
            for o in self._objectives
            if o.name in checked and keys.get(o.name) == self.run.objective_key(o)
        }
        name = "scores.parquet" if unrolled else f"scores-{self.estimator}.parquet"
        self.run.store.save_tables(name, self._parts(retrained))

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame; UserError where pandas is not installed."""
        try:
            import pandas  # type: ignore[import-untyped]  # noqa: F401
        except ImportError:
            raise UserError("to_pandas needs pandas: run `pip install pandas`, or take scores.table().") from None
        return self.table().to_pandas()

    def tables(self, count: int = 10) -> list[Table]:
        """What moves each objective most, either way."""
        headings = ("effect if removed", "rank", "sample", self.run.model.sample_noun)
        return [
            Table(
                f"{name} {value:+.4g} ({self.estimator}): what moves it most",
                headings,
                [(s.effect_if_removed, s.rank, s.sample, s.text) for s in self.top(count, name)],
            )
            for name, value in self._values.items()
        ]

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:+.4g}" for name, value in self._values.items())
        return f"Scores({self.estimator}, {self.samples.shape[1]:,} {self.run.model.sample_noun}s: {values})"
