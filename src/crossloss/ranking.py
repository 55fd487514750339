"""What scores of any model offer: by objective, as effects if removed, ranked, summed over groups."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from crossloss.core import Objective, UserError
from crossloss.inputs import read_only, row_numbers
from crossloss.objectives import as_objective

Named = str | Objective | Callable[[Any], Any] | None
S = TypeVar("S")


class Ranking(Generic[S]):
    """Scores of every sample for k objectives; a subclass says what is shown of a sample (``_shown``).

    Parameters
    ----------
    estimator : str
    objectives : sequence of Objective
    samples : (k, n) float64 array
        Derivative of each objective by the weight of each sample; read-only.
    weights : (n,) float64 array
        Weights of the run.
    present : (n,) bool array
        Samples that removal takes away with their weight; others are judged by what adding them once would do.
    values : dict of str to float
        The objectives, by name.
    """

    def __init__(
        self,
        estimator: str,
        objectives: Sequence[Objective],
        samples: np.ndarray,
        weights: np.ndarray,
        present: np.ndarray,
        values: dict[str, float],
    ) -> None:
        self.estimator = estimator
        self.samples = read_only(samples)
        self._objectives, self._values = tuple(objectives), dict(values)
        self._mass = np.where(present, weights, 1.0)

    @property
    def objectives(self) -> list[Objective]:
        """The objectives, a list of its own."""
        return list(self._objectives)

    @property
    def values(self) -> dict[str, float]:
        """The objectives' values by name, a dict of its own."""
        return dict(self._values)

    def row(self, objective: Named = None) -> int:
        """Index of an objective, given as it was scored or by its name; the first where None.

        Raises
        ------
        UserError
            No such objective was scored.
        """
        names = [o.name for o in self.objectives]
        if objective is None:
            return 0
        name = objective if isinstance(objective, str) else as_objective(objective).name
        if name not in names:
            raise UserError(f"{name} was not scored; scored are: {', '.join(names)}.")
        return names.index(name)

    def of(self, objective: Named = None) -> np.ndarray:
        """Scores (n,) float64 for one objective, a copy."""
        return np.array(self.samples[self.row(objective)])

    def effects(self, objective: Named = None) -> np.ndarray:
        """Effects if removed, (n,): the predicted change of the objective."""
        return -self.of(objective) * self._mass

    def ranks(self, objective: Named = None) -> np.ndarray:
        """1 for the strongest amplifier, n for the strongest mitigator, (n,) int64."""
        order = np.argsort(-self.of(objective), kind="stable")
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(1, len(order) + 1)
        return ranks

    def _shown(self, sample: int, score: float, effect: float, rank: int, objective: Named) -> S:
        raise NotImplementedError

    def shown(self, samples: Sequence[int] | np.ndarray, objective: Named = None) -> list[S]:
        """Samples by number, with their scores for one objective; UserError for a mask, or one that is not there."""
        scores, effects, ranks = self.of(objective), self.effects(objective), self.ranks(objective)
        rows = row_numbers(samples, len(scores), "samples").tolist()
        return [self._shown(i, float(scores[i]), float(effects[i]), int(ranks[i]), objective) for i in rows]

    def top(self, count: int = 10, objective: Named = None) -> list[S]:
        """Samples that move the objective most, either way."""
        return self.shown(np.argsort(-np.abs(self.of(objective)), kind="stable")[: _count(count)], objective)

    def amplifiers(self, count: int = 10, objective: Named = None) -> list[S]:
        """Samples that pushed the objective up most: removing them is predicted to lower it."""
        return self.shown(np.argsort(-self.of(objective), kind="stable")[: _count(count)], objective)

    def mitigators(self, count: int = 10, objective: Named = None) -> list[S]:
        """Samples that held the objective down most: removing them is predicted to raise it."""
        return self.shown(np.argsort(self.of(objective), kind="stable")[: _count(count)], objective)

    def group(self, samples: Sequence[int] | np.ndarray, objective: Named = None) -> float:
        """Effect of removing a set of samples together, to first order: the sum."""
        effects = self.effects(objective)
        return float(effects[row_numbers(samples, len(effects), "samples")].sum())

    def totals(self, labels: Sequence[str], objective: Named = None) -> list[tuple[str, float, int]]:
        """(label, effect if all its samples are removed, samples), strongest first, of one label a sample.

        Labels are documents, or any column of the corpus: ``cl.read(FILE, document="source").documents``.

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
        names, inverse = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
        sums, sizes = np.bincount(inverse, effects), np.bincount(inverse)
        order = np.argsort(-np.abs(sums), kind="stable")
        return [(str(names[i]), float(sums[i]), int(sizes[i])) for i in order]


def _count(count: int) -> int:
    """How many samples are shown; UserError where it is no number of them."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
        raise UserError(f"The number of samples to show is {count!r}: give a whole number, 0 or more.")
    return int(count)
