"""Scores of the samples of a torch field: rankings and a table, by sample number."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.objectives import as_objective
from crossloss.run.fields import FieldRun
from crossloss.torchmodel import ModelView

Named = str | Objective | Callable[[ModelView], Tensor] | None


@dataclass(frozen=True)
class ScoredSample:
    """One sample with its score for one objective.

    ``score`` is d f/d w_i in f's unit; ``effect_if_removed`` is minus the score times the sample's weight (a
    candidate's: times 1), the predicted change of f.
    """

    sample: int
    score: float
    effect_if_removed: float
    rank: int


class FieldScores:
    """Scores of every sample of a field's run for k objectives.

    Parameters
    ----------
    run : FieldRun
    estimator : str
    objectives : sequence of Objective
    samples : (k, n) float64 array
        Derivative of each objective by the weight of each sample.
    """

    def __init__(self, run: FieldRun, estimator: str, objectives: Sequence[Objective], samples: np.ndarray) -> None:
        self.run, self.estimator, self.objectives, self.samples = run, estimator, list(objectives), samples
        with torch.no_grad():
            self.values = {o.name: float(o(run.view)) for o in self.objectives}
        weights = run.weights.cpu().numpy()
        self._mass = np.where(weights != 0, weights, 1.0)

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
        """Scores (n,) float64 for one objective."""
        return np.asarray(self.samples[self.row(objective)])

    def effects(self, objective: Named = None) -> np.ndarray:
        """Effects if removed, (n,): the predicted change of the objective."""
        return -self.of(objective) * self._mass

    def ranks(self, objective: Named = None) -> np.ndarray:
        """1 for the strongest amplifier, n for the strongest mitigator, (n,) int64."""
        order = np.argsort(-self.of(objective), kind="stable")
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(1, len(order) + 1)
        return ranks

    def _pick(self, order: np.ndarray, objective: Named) -> list[ScoredSample]:
        scores, effects, ranks = self.of(objective), self.effects(objective), self.ranks(objective)
        return [ScoredSample(int(i), float(scores[i]), float(effects[i]), int(ranks[i])) for i in order]

    def top(self, count: int = 10, objective: Named = None) -> list[ScoredSample]:
        """Samples that move the objective most, either way."""
        return self._pick(np.argsort(-np.abs(self.of(objective)), kind="stable")[:count], objective)

    def amplifiers(self, count: int = 10, objective: Named = None) -> list[ScoredSample]:
        """Samples that pushed the objective up most: removing them is predicted to lower it."""
        return self._pick(np.argsort(-self.of(objective), kind="stable")[:count], objective)

    def mitigators(self, count: int = 10, objective: Named = None) -> list[ScoredSample]:
        """Samples that held the objective down most: removing them is predicted to raise it."""
        return self._pick(np.argsort(self.of(objective), kind="stable")[:count], objective)

    def group(self, samples: Sequence[int] | np.ndarray, objective: Named = None) -> float:
        """Effect of removing a set of samples together, to first order: the sum."""
        return float(self.effects(objective)[np.asarray(samples, dtype=np.int64)].sum())

    def table(self) -> pa.Table:
        """Sample, weight, and per objective score, effect_if_removed and rank."""
        columns: dict[str, np.ndarray] = {
            "sample": np.arange(self.samples.shape[1]),
            "weight": self.run.weights.cpu().numpy(),
        }
        for o in self.objectives:
            columns[f"{o.name}.score"] = self.of(o)
            columns[f"{o.name}.effect_if_removed"] = self.effects(o)
            columns[f"{o.name}.rank"] = self.ranks(o)
        return pa.table(columns).replace_schema_metadata(
            {"crossloss": json.dumps({"estimator": self.estimator, "values": self.values}, sort_keys=True)}
        )
