"""The strongest samples checked one at a time: the effect that was predicted, and what retraining without each gave."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from crossloss.run.retrainer import Retrainer, changes, without
from crossloss.scores import Scores
from crossloss.scores.reading import near_duplicates, select
from crossloss.utils.display import agreement
from crossloss.utils.progress import track
from crossloss.utils.statistics import Fidelity, fidelity


@dataclass(frozen=True)
class Strongest:
    """Samples that were left out one at a time.

    Attributes
    ----------
    samples : list of int
    predicted, retrained : list of float
        Change of the objective as each alone goes.
    fidelity : Fidelity or None
        None where there are fewer than three, or all alike.
    """

    samples: list[int]
    predicted: list[float]
    retrained: list[float]
    fidelity: Fidelity | None

    @property
    def changes(self) -> dict[int, float]:
        """Retrained change by sample."""
        return dict(zip(self.samples, self.retrained, strict=True))

    def summary(self, name: str) -> list[str]:
        """How well predictions of the strongest samples held, each left out alone."""
        if self.fidelity is None:
            return []
        r, slope = self.fidelity.pearson, self.fidelity.slope
        text = (
            f"Each of the {len(self.samples)} strongest of {name} was left out alone and the model trained again: "
            f"correlation of predicted with retrained effect {agreement(r)}, slope {agreement(slope)}."
        )
        if not 0.8 <= slope <= 1.25:
            text += f" Single effects are {'larger' if slope > 1 else 'smaller'} than predicted."
        return [text]

    def metrics(self, start: str) -> dict[str, float]:
        """Flat figures START.strongest.pearson, .slope, and the others of ``Fidelity``."""
        if self.fidelity is None:
            return {}
        return {f"{start}.strongest.{key}": float(value) for key, value in asdict(self.fidelity).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Strongest":
        """Inverse of ``dataclasses.asdict``."""
        agreement = value["fidelity"]
        return cls(**(dict(value) | {"fidelity": None if agreement is None else Fidelity(**agreement)}))


def shown_first(scores: Scores, name: str, count: int) -> list[int]:
    """Samples trained on that tables and report show first, ``count`` on either side, with and without duplicates."""
    chosen: dict[int, None] = {}
    for sign in (1, -1):
        ranked = select(scores, name, sign=sign)
        ranked = ranked[scores.run.weights[ranked] > 0]
        firsts = [alike[0] for alike in near_duplicates(scores, ranked, count)]
        chosen |= dict.fromkeys(int(i) for i in [*ranked[:count], *firsts])
    return list(chosen)


def check_strongest(retrainer: Retrainer, scores: Scores, count: int) -> dict[str, Strongest]:
    """Retrain without each of the strongest samples of each objective.

    Parameters
    ----------
    retrainer : Retrainer
        Of the objectives scored.
    count : int
        On either side: amplifiers and mitigators.

    Raises
    ------
    UserError
        A retraining that gives an objective no finite value.
    """
    weights = retrainer.run.weights
    chosen = {o.name: shown_first(scores, o.name, count) for o in scores.objectives}
    total, done = sum(map(len, chosen.values())), 0
    checked = {}
    with track("retraining without each of the strongest") as progress:
        progress(0, total)
        for name, samples in chosen.items():
            predicted, found = scores.effects(name)[samples], []
            for sample in samples:
                found.append(retrainer(without(weights, np.array([sample]))))
                done += 1
                progress(done, total)
            retrained = changes(found, name, scores.values[name])
            varied = len(samples) >= 3 and np.ptp(predicted) > 0 and np.ptp(retrained) > 0
            agreement = fidelity(predicted, retrained) if varied else None
            checked[name] = Strongest(samples, predicted.tolist(), retrained.tolist(), agreement)
    return checked
