"""When a target counts as reached."""

from collections.abc import Mapping

import numpy as np

TOLERANCE = 0.01


def tolerances(aims: np.ndarray, values: np.ndarray, tolerance: float | None) -> np.ndarray:
    """Distance of each objective that counts as reached (k,), from the objectives (j, k) of the untouched run.

    Of several starts, half of the standard error of the mean: what is nearer is luck of those starts.
    """
    if tolerance is not None:
        return np.full(len(aims), tolerance)
    gaps = np.abs(aims - values.mean(axis=0))
    fine = np.full(len(aims), min(TOLERANCE, *(gaps[gaps > 0] / 10), TOLERANCE))
    if len(values) == 1:
        return fine
    return np.asarray(np.maximum(fine, values.std(axis=0, ddof=1) / np.sqrt(len(values)) / 2))


def targets_reached(
    targets: Mapping[str, float], before: Mapping[str, float], after: Mapping[str, float], tolerance: float | None
) -> bool:
    """Whether all targets were reached from one start."""
    aims, now, then = (np.array([values[name] for name in targets]) for values in (targets, before, after))
    return bool((np.abs(aims - then) <= tolerances(aims, now[None], tolerance)).all())
