"""First-order predictions of a removal that grows, one sample at a time."""

import numpy as np


def removal_curve(
    scores: np.ndarray, value: float, target: float, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Samples trained on, most helpful first (m,), and the first-order value as the helpful ones go one by one.

    Above the target amplifiers go, below it mitigators: removing sample i changes the objective by -w_i I_i, so taking
    the largest first needs the fewest.
    """
    effects = -np.asarray(scores, dtype=np.float64) * weights
    helpful = effects * np.sign(target - value)
    ranking = np.argsort(-helpful, kind="stable")
    ranking = ranking[weights[ranking] > 0]
    order = ranking[helpful[ranking] > 0]
    return ranking.astype(np.int64), value + np.concatenate([[0.0], np.cumsum(effects[order])])


def crossing(curve: np.ndarray, target: float) -> int:
    """The first place of a curve at or beyond the target, seen from its start; the last where there is none."""
    crossed = np.flatnonzero((curve - target) * np.sign(target - curve[0]) >= -1e-12)
    return int(crossed[0]) if len(crossed) else len(curve) - 1
