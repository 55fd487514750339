"""Scores of the samples of a torch field: rankings and a table, by sample number."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crossloss.core import Objective
from crossloss.estimators.gradient import objective_values
from crossloss.ranking import Named, Ranking
from crossloss.run.fields import FieldRun


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


class FieldScores(Ranking[ScoredSample]):
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
        self.run = run
        found = objective_values(run.view, objectives).tolist()
        values = {o.name: value for o, value in zip(objectives, found, strict=True)}
        weights = run.weights.cpu().numpy()
        super().__init__(estimator, objectives, samples, weights, weights != 0, values)

    def _shown(self, sample: int, score: float, effect: float, rank: int, objective: Named) -> ScoredSample:
        return ScoredSample(sample, score, effect, rank)

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
