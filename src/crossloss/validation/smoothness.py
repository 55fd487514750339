"""Whether a training run can be differentiated: what was measured, and what it says."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from crossloss.run.run import Run
from crossloss.utils.display import Result, Table, agreement, percent, several
from crossloss.utils.statistics import Fidelity, deviation

FILE = "smoothness.json"
SMOOTH, ROUGH, HOLDS = 0.9, 0.5, 0.9
"""Metasmoothness from which on a run is smooth, and below which it is not; correlation with retraining that holds."""
SLOPES = (0.8, 1.25)


@dataclass(frozen=True)
class Response:
    """How one objective follows small changes of the weights.

    Attributes
    ----------
    first, second : list of float
        By draw, its change as the weights go from w to w + h v, and from there to w + 2 h v, in its own unit.
    predicted, retrained : list of float
        By subset, its change with those samples' weights lowered by h: scores @ dw, and found by retraining.
    fidelity : Fidelity or None
        Their agreement; None where nothing was predicted, or all are alike.
    """

    first: list[float]
    second: list[float]
    predicted: list[float] = field(default_factory=list)
    retrained: list[float] = field(default_factory=list)
    fidelity: Fidelity | None = None

    @property
    def bend(self) -> float:
        """Sum |second - first| / sum |second + first| over draws: 0 for a straight line, above 1 for noise."""
        first, second = np.array(self.first), np.array(self.second)
        along = float(np.abs(first + second).sum())
        apart = float(np.abs(second - first).sum())
        return apart / along if along else (float("inf") if apart else 0.0)


@dataclass(frozen=True)
class Smoothness(Result):
    """Whether scores of a run can hold: metasmoothness of its parameters, and how its objectives follow the weights.

    Attributes
    ----------
    values : list of float
        Metasmoothness by draw, -1 to 1.
    objectives : dict of str to Response
    step, share : float
        h, the part of a weight that is left out, and the part of the samples that are drawn.
    advice : list of str
        What of this run's recipe makes runs rough, and what to take instead; the likeliest first.

    Examples
    --------
    >>> smoothness = cl.smoothness(run, draws=2)
    >>> print(smoothness.mean, smoothness.sd)
    >>> print(smoothness.summary()[0])
    """

    values: list[float]
    objectives: dict[str, Response]
    step: float
    share: float
    advice: list[str]

    @property
    def mean(self) -> float:
        """Mean metasmoothness over draws."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Standard deviation between draws (n - 1); 0 of one."""
        return deviation(self.values)

    @property
    def holds(self) -> bool | None:
        """Whether small changes of the weights are predicted as retraining finds them; None where nobody has looked."""
        checked = [r.fidelity for r in self.objectives.values() if r.fidelity is not None]
        return all(f.pearson >= HOLDS and SLOPES[0] <= f.slope <= SLOPES[1] for f in checked) if checked else None

    @property
    def bent(self) -> list[str]:
        """Objectives that bend so that once whole samples are gone the square term is as large as the linear one.

        Of a h + c h^2 the bend is nearly c h/a, so that these have one of more than h.
        """
        return [name for name, response in self.objectives.items() if response.bend > self.step]

    def metrics(self) -> dict[str, float]:
        """Flat figures: smoothness.score, .score.sd, .draws, smoothness.NAME.bend, .pearson, .slope (...)."""
        figures = {"smoothness.score": self.mean, "smoothness.score.sd": self.sd, "smoothness.draws": len(self.values)}
        for name, response in self.objectives.items():
            if np.isfinite(response.bend):
                figures[f"smoothness.{name}.bend"] = response.bend
            checked = {} if response.fidelity is None else asdict(response.fidelity)
            figures |= {f"smoothness.{name}.{key}": float(value) for key, value in checked.items()}
        return figures

    def summary(self) -> list[str]:
        """Metasmoothness, then what became of the objectives, then whether scores can hold, with advice that fits."""
        sd = f" ± {self.sd:.2f}" if len(self.values) > 1 else ""
        lines = [
            f"Metasmoothness {agreement(self.mean)}{sd} over {several(len(self.values), 'draw')} of "
            f"{percent(self.share)} of the samples (1: the parameters follow the weights in straight lines; 0: at "
            "random)."
        ]
        for name, response in self.objectives.items():
            f = response.fidelity
            if f is None:
                lines.append(f"{name}: two equal changes of the weights differ in effect by {percent(response.bend)}.")
                continue
            lines.append(
                f"{name}: {several(f.subsets, 'retraining')} with {percent(self.step)} off the weights of a random "
                f"{percent(self.share)} of the samples, predicted with correlation {agreement(f.pearson)} "
                f"({agreement(f.pearson_low)} to {agreement(f.pearson_high)}), slope {agreement(f.slope)}."
            )
        return [*lines, self.verdict()]

    def verdict(self) -> str:
        """One sentence: whether scores of this run can hold, and what to change where they cannot."""
        advice = "; ".join(self.advice) or "take smaller steps, more of them, or larger batches"
        if self.holds is False:
            return f"Scores of this run will not hold, since not even small changes are predicted: {advice}."
        if self.holds is None and self.mean < SMOOTH:
            degree = "will not" if self.mean < ROUGH else "may not"
            return f"Scores of this run {degree} hold, since it is not smooth in the weights: {advice}."
        if self.bent:
            return (
                f"Scores hold for small changes of the weights, and {' and '.join(self.bent)} will bend before whole "
                f"samples are gone: plan with few samples at a time and retrain between, or {advice}."
            )
        return "Scores can hold: the run is smooth in the weights; cl.validate checks them with whole samples left out."

    def tables(self) -> list[Table]:
        """One row an objective, where there is any."""
        rows = [
            (name, r.bend, *(("", "") if r.fidelity is None else (r.fidelity.pearson, r.fidelity.slope)))
            for name, r in self.objectives.items()
        ]
        title = f"With {percent(self.step)} off the weights of a random {percent(self.share)} of the samples"
        return [Table(title, ("objective", "bend", "Pearson", "slope"), rows)] if rows else []

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Smoothness":
        """Inverse of ``to_json``."""
        return TypeAdapter(cls).validate_python(value)

    def __repr__(self) -> str:
        return f"Smoothness({agreement(self.mean)} over {several(len(self.values), 'draw')})"


def stored_smoothness(run: Run) -> Smoothness | None:
    """What was measured before, where anything was."""
    stored = run.store.load(FILE)
    return None if stored is None else Smoothness.from_json(stored)
