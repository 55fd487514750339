"""The smallest removal by first order."""

from typing import Any

import numpy as np

from crossloss.core import UserError
from crossloss.plans.curve import crossing, removal_curve
from crossloss.plans.plan import Plan
from crossloss.plans.settings import PlanSettings


def first_order_removal(
    scores: np.ndarray, /, *, value: float, targets: dict[str, float], before: np.ndarray, **more: Any
) -> Plan:
    """The smallest removal that is predicted to bring one objective to its target, from either side.

    Parameters
    ----------
    scores : (n,) array
        I_i = d f/d w_i.
    value : float
        The objective now.
    targets : dict
        Its target, by its name.
    before : (n,) array
        Weights the run was trained with; samples of weight 0 cannot be removed.
    **more
        Further attributes of the plan.

    Raises
    ------
    UserError
        A score or the target is not finite, or nothing would be left.
    """
    ((name, target),) = targets.items()
    if not (np.isfinite(scores).all() and np.isfinite([value, target]).all()):
        raise UserError(f"A plan for {name} needs finite scores and a finite target.")
    ranking, curve = removal_curve(scores, value, target, before)
    size = crossing(curve, target)
    weights = np.array(before, dtype=np.float64)
    weights[ranking[:size]] = 0.0
    if not weights.any():
        raise UserError(f"Bringing {name} to {target:g} would remove every sample: choose a nearer target.")
    reached = bool((curve[size] - target) * np.sign(target - value) >= -1e-12)
    known: dict[str, Any] = {"settings": PlanSettings(rounds=0), "scores": np.asarray(scores, dtype=np.float64)[None]}
    return Plan(
        **(known | more),
        targets={name: float(target)}, values={name: float(value)}, predictions={name: float(curve[size])},
        results={}, weights=weights, before=np.asarray(before, dtype=np.float64), path=[], reached=reached,
    )  # fmt: skip
