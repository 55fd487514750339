"""Agreement of predicted changes with those of retraining, with bootstrap intervals over subsets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossloss.core import UserError

RESAMPLES, LEVEL = 10_000, 0.95


@dataclass(frozen=True)
class Fidelity:
    """How well scores predicted retraining, over subsets of one size; each figure with a 95 % percentile interval.

    Pearson correlation, Spearman correlation (the linear datamodeling score, LDS; Park et al. 2023) and the
    least-squares slope of retrained on predicted.
    """

    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    slope: float
    slope_low: float
    slope_high: float
    subsets: int


LEAST = 3
"""Subsets that a correlation can be of."""


def deviation(values: Sequence[float]) -> float:
    """Standard deviation between starts (n - 1); 0 of one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def fidelity(predicted: np.ndarray, retrained: np.ndarray, *, seed: int = 0) -> Fidelity:
    """Compare predicted changes with those of retraining, (m,) each; both must vary, over three subsets or more."""
    from scipy.stats import rankdata  # imported late, as it takes a third of a command's start

    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(retrained, dtype=np.float64)
    if len(x) < LEAST or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise UserError("Fidelity needs at least three subsets whose predicted and found changes vary.")
    rows = np.random.default_rng(seed).integers(0, len(x), (RESAMPLES, len(x)))
    bx, by = x[rows], y[rows]
    varied = (np.ptp(bx, axis=1) > 0) & (np.ptp(by, axis=1) > 0)
    bx, by = bx[varied], by[varied]
    figures: dict[str, float] = {}

    def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))

    for statistic in (pearson, spearman, slope):
        low, high = np.quantile(statistic(bx, by), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        name, whole = statistic.__name__, statistic(x[None], y[None])[0]
        figures |= {name: float(whole), f"{name}_low": float(low), f"{name}_high": float(high)}
    return Fidelity(**figures, subsets=len(x))


def _centred(values: np.ndarray) -> np.ndarray:
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation of each row of ``x`` (m, n) with that of ``y``, (m,); both must vary."""
    x, y = _centred(x), _centred(y)
    return np.asarray((x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1)))


def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares slope of each row of ``y`` (m, n) on that of ``x``, (m,)."""
    x, y = _centred(x), _centred(y)
    return np.asarray((x * y).sum(1) / (x**2).sum(1))
