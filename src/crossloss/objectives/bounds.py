"""The values that an objective can take at all, whatever the vectors: no plan may aim beyond them."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

from crossloss.core import UserError

Bounds = tuple[float, float]
"""Least and greatest value; infinite where there is none."""
UNBOUNDED: Bounds = (-math.inf, math.inf)


def bounds_of(objective: Any, index: Mapping[str, int]) -> Bounds:
    """Bounds of any objective for the words in ``index``; infinite where it has no ``bounds``."""
    return objective.bounds(index) if hasattr(objective, "bounds") else UNBOUNDED


def check_target(objective: Any, target: float, index: Mapping[str, int]) -> None:
    """Refuse a target that the objective can never take: UserError where it is not finite or outside ``bounds_of``."""
    if isinstance(target, bool) or not isinstance(target, numbers.Real) or not math.isfinite(target):
        raise UserError(f"The target of {objective.name} is {target!r}: give a finite number.")
    low, high = bounds_of(objective, index)
    if not low <= target <= high:
        where = described((low, high))
        raise UserError(f"{objective.name} lies {where}, so it cannot be brought to {target:g}: choose a target there.")


def described(bounds: Bounds) -> str:
    """In words: between -2 and 2, at 0 or above, at 0 or below, anywhere."""
    low, high = bounds
    if math.isfinite(low) and math.isfinite(high):
        return f"between {low:.4g} and {high:.4g}"
    if math.isfinite(low):
        return f"at {low:.4g} or above"
    return f"at {high:.4g} or below" if math.isfinite(high) else "anywhere"
