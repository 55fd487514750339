"""The smallest step that moves k linear functions of n weights by given amounts, within bounds: k small, n large."""

from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse

from crossloss.core import UserError

SLACK = 1e-8
"""Price of missing the amounts, relative to unit rows: so small that they are met wherever they can be."""
NEWTON_STEPS, HALVINGS = 200, 60


def smallest_step(
    current: np.ndarray, slopes: np.ndarray, amounts: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Weights x nearest to ``current`` in L2 with slopes (x - current) = amounts and low <= x <= high.

    In the dual there are k unknowns: x = clip(current + slopes^T y, low, high), and y maximises a concave,
    piecewise quadratic function, found by Newton's method on the weights that are not at a bound (a semismooth
    Newton method; Li, Sun, Toh 2020). Where the amounts are out of reach, the nearest reachable ones in the norm
    of the scaled rows are taken.

    Parameters
    ----------
    current, low, high : (n,) arrays
        ``current`` lies within the bounds.
    slopes : (k, n) array
    amounts : (k,) array

    Raises
    ------
    UserError
        Something is not finite.
    """
    if not (np.isfinite(slopes).all() and np.isfinite(amounts).all()):
        raise UserError("A plan needs finite scores and finite targets.")
    norms = np.linalg.norm(slopes, axis=1)
    rows = norms > 0
    if not rows.any():
        return np.array(current, dtype=np.float64)
    a, b = slopes[rows] / norms[rows, None], amounts[rows] / norms[rows]
    below, above = low - current, high - current

    def moved(y: np.ndarray) -> tuple[np.ndarray, float]:
        """Step (n,) and value of the dual at ``y``."""
        z = y @ a
        step = np.clip(z, below, above)
        return step, float(y @ b - z @ step + step @ step / 2 - SLACK / 2 * (y @ y))

    y = np.zeros(len(b))
    step, value = moved(y)
    for _ in range(NEWTON_STEPS):
        residual = b - a @ step - SLACK * y
        if np.linalg.norm(residual) <= 1e-12 * np.linalg.norm(b):
            break
        free = a[:, (step > below) & (step < above)]
        direction = np.linalg.solve(free @ free.T + SLACK * np.eye(len(b)), residual)
        length = 1.0
        for _ in range(HALVINGS):
            trial_step, trial = moved(y + length * direction)
            if trial >= value + 1e-4 * length * (residual @ direction):
                break
            length /= 2
        else:
            break
        y, step, value = y + length * direction, trial_step, trial
    return np.asarray(np.clip(current + step, low, high))


def fewest(
    effects: np.ndarray,
    amounts: np.ndarray,
    within: float = 0.0,
    costs: np.ndarray | None = None,
    budget: float = np.inf,
) -> np.ndarray:
    """Fewest items whose effects (k, n) add up to the amounts (k,), nearly: their indices, ascending.

    Their costs (n,), where they have any, add up to no more than the budget.

    The linear programme min sum z, effects z = amounts, 0 <= z <= 1 has a vertex with at most k fractions, so
    rounding it costs at most k items; for one amount it takes the largest effects first. What the rounding
    leaves is closed by single items in or out, one at a time, until every amount is met to ``within`` or nothing
    helps. Where the amounts are out of reach, the nearest reachable ones (in the sum of the scaled gaps) are taken.

    Raises
    ------
    UserError
        Something is not finite.
    """
    if not (np.isfinite(effects).all() and np.isfinite(amounts).all()):
        raise UserError("A plan needs finite scores and finite targets.")
    scale = np.abs(effects).max(axis=1, initial=0.0)
    rows = scale > 0
    k, n = int(rows.sum()), effects.shape[1]
    if not k:
        return np.empty(0, dtype=np.int64)
    a, b = effects[rows] / scale[rows, None], amounts[rows] / scale[rows]
    # Missing an amount is priced above any number of items.
    price = np.concatenate([np.ones(n), np.full(2 * k, 1e6)])
    equal = scipy.sparse.hstack([scipy.sparse.csc_matrix(a), scipy.sparse.eye(k), -scipy.sparse.eye(k)], format="csc")
    bounds = np.concatenate([np.tile([0.0, 1.0], (n, 1)), np.tile([0.0, np.inf], (2 * k, 1))])
    limit: dict[str, Any] = {}
    if costs is not None and np.isfinite(budget):
        limit = {"A_ub": scipy.sparse.csr_matrix(np.concatenate([costs, np.zeros(2 * k)])), "b_ub": [budget]}
    # Presolving compares parallel columns, which of one amount all are: minutes for 180,000 items, without it .3 s.
    found = scipy.optimize.linprog(
        price, A_eq=equal, b_eq=b, bounds=bounds, method="highs-ds", options={"presolve": False}, **limit
    )
    if found.x is None:
        raise UserError(f"The linear programme of the removal failed ({found.message}): choose a nearer target.")
    chosen = found.x[:n] >= 0.5
    sizes = np.square(effects).sum(axis=0)
    residual = amounts - effects @ chosen
    while np.abs(residual).max() > within:
        # Squared length of what is left after exchanging each item, less what it is now.
        sign = np.where(chosen, -1.0, 1.0)
        gain = sizes - 2 * sign * (residual @ effects)
        if costs is not None:
            gain = np.where(costs @ chosen + sign * costs > budget, np.inf, gain)
        best = int(np.argmin(gain))
        if gain[best] >= -1e-12 * (residual @ residual):
            break
        residual = residual - sign[best] * effects[:, best]
        chosen[best] = ~chosen[best]
    return np.flatnonzero(chosen)
