"""Settings that may change from step to step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Rate = float | Callable[[int], float]
"""A learning rate, momentum or beta, or a schedule of it: any function of the step, counted from 0."""


def rate(setting: Rate, t: int) -> float:
    """Learning rate or momentum of step t."""
    return float(setting(t)) if callable(setting) else float(setting)


def within(setting: Rate, low: float, below: float = math.inf) -> bool:
    """Whether a number is in [low, below); a function of the step is taken at its word."""
    return callable(setting) or low <= setting < below


@dataclass(frozen=True)
class MomentumWarmup:
    """Momentum that rises in a line from ``first`` to ``last`` over the first ``steps`` (why: docs/performance.md)."""

    last: float
    first: float = 0.5
    steps: int = 20

    def __call__(self, t: int) -> float:
        """Momentum of step t."""
        return self.last - max(self.last - self.first, 0.0) * max(1 - t / self.steps, 0.0)
