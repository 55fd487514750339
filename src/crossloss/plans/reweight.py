"""Reweight: the smallest change of the weights that brings several objectives to their targets at once."""

from collections.abc import Mapping

import numpy as np

from crossloss.core import UserError
from crossloss.plans.fit import ROUNDS, Fit, fit
from crossloss.plans.smallest import smallest_step
from crossloss.plans.starts import Starts
from crossloss.run.store import Entry

BOUND = 2.0
PULL = 0.5
"""Part of the way back to the untouched weights that a step takes along directions that move no objective."""


def reweight(
    starts: Starts,
    targets: Mapping[str, float],
    *,
    bound: float = BOUND,
    tolerance: float = 0.01,
    rounds: int = ROUNDS,
    entry: Entry | None = None,
) -> Fit:
    """Fit weights between 0 and ``bound`` times what they were; candidates (weight 0) stay out.

    Each round finds the weights nearest in L2 to a centre whose prediction, to first order at the CURRENT weights, is
    on target. The centre lies half-way from the current to the untouched weights (a damped step of sequential
    quadratic programming): the current ones alone never give back what earlier, poorer derivatives moved in vain;
    the untouched ones alone step farther than first order holds.

    Parameters
    ----------
    starts : Starts
        Objectives, and the initial seeds over which their mean is brought to the target.
    targets : mapping
        Target of each objective by name; a target away from zero makes the model more biased.
    bound : float
        At least 1.
    tolerance, rounds, entry
        As for ``fit``.

    Raises
    ------
    UserError
        A bound below 1, or targets that do not fit.
    """
    if not bound >= 1 or not np.isfinite(bound):
        raise UserError(f"The bound of the weights must be a number of at least 1 (given: {bound:g}).")
    before = starts.run.weights
    low, high = np.zeros_like(before), bound * before

    def propose(weights: np.ndarray, slopes: np.ndarray, gaps: np.ndarray, fraction: float) -> np.ndarray:
        back = PULL * fraction * (before - weights)
        return smallest_step(weights + back, slopes, fraction * gaps - slopes @ back, low, high)

    return fit(starts, targets, propose, how="reweight", tolerance=tolerance, rounds=rounds, entry=entry)
