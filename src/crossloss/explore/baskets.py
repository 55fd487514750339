"""A basket: samples with other weights; what they are predicted to do to every objective, and the same as a plan."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from crossloss.core import UserError
from crossloss.objectives.bounds import bounds_of
from crossloss.plans.curve import removal_curve
from crossloss.plans.files import plan_table
from crossloss.report.words import UNITLESS
from crossloss.run.store import content_key
from crossloss.scores import Scores

Basket = Sequence[tuple[float, Sequence[int]]]
"""Samples by the weight that they get."""
CURVE_POINTS = 160
UNCHECKED = 1e-12


def changed_weights(weights: np.ndarray, basket: Basket) -> np.ndarray:
    """Copy of sample weights (n,) with those of a basket; UserError for a sample that is not there."""
    changed = np.array(weights, dtype=np.float64)
    for weight, samples in basket:
        rows = np.asarray(samples, dtype=np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(changed)):
            raise UserError(f"The basket names samples that this run has not: it has {len(changed):,}.")
        changed[rows] = weight
    return changed


def totals(scores: Scores, weights: np.ndarray) -> list[dict[str, Any]]:
    """Each objective now and as predicted, to first order, with these weights (n,); ``beyond`` what it can ever be.

    Scores without a unit predict no value: None.
    """
    change = weights - scores.run.weights
    made: list[dict[str, Any]] = []
    for objective, row in zip(scores.objectives, scores.samples, strict=True):
        value = scores.values[objective.name]
        if scores.estimator in UNITLESS:
            made.append({"name": objective.name, "value": value, "predicted": None, "beyond": False})
            continue
        low, high = bounds_of(objective, scores.run.model.word_index)
        predicted = float(value + change @ row)
        beyond = not low - UNCHECKED <= predicted <= high + UNCHECKED
        made.append({"name": objective.name, "value": value, "predicted": predicted, "beyond": beyond})
    return made


def basket_key(weights: np.ndarray) -> str:
    """What tells baskets apart: by it the page finds what was retrained with the one it shows."""
    return content_key(weights)[:20]


def summary(scores: Scores, weights: np.ndarray) -> dict[str, Any]:
    """A basket in numbers: samples out, in, weighed otherwise; the share of the weight that moves; all totals."""
    before = scores.run.weights
    changed = weights != before
    return {
        "key": basket_key(weights),
        "out": int((changed & (weights == 0)).sum()),
        "in": int((changed & (before == 0)).sum()),
        "other": int((changed & (weights != 0) & (before != 0)).sum()),
        "moved": float(np.abs(weights - before).sum() / before.sum()),
        "totals": totals(scores, weights),
    }


def strongest(scores: Scores, name: str, up: bool, n: int) -> dict[str, Any]:
    """Leaving out the n samples that lower an objective most (or raise it): which, and the first-order curve."""
    value, before = scores.values[name], scores.run.weights
    ranking, curve = removal_curve(scores.of(name), value, value + (1.0 if up else -1.0), before)
    n, helpful = min(n, len(curve) - 1), len(curve) - 1
    end = min(helpful, max(2 * n, 20))
    counts = np.unique(np.linspace(0, end, CURVE_POINTS).round().astype(int))
    samples = ranking[:n]
    weights = changed_weights(before, [(0.0, samples.tolist())])
    return {
        "n": n,
        "most": helpful,
        "samples": samples.tolist(),
        "curve": [] if scores.estimator in UNITLESS else [[int(c), float(curve[c])] for c in counts],
        "totals": totals(scores, weights),
    }


def plan_of(scores: Scores, weights: np.ndarray) -> pa.Table:
    """The plan file of a basket, which ``crossloss train --weights`` takes for the run's corpus."""
    predicted = totals(scores, weights)
    what = {
        "values": {t["name"]: t["value"] for t in predicted},
        "predicted": {t["name"]: t["predicted"] for t in predicted if t["predicted"] is not None},
        "made by": "crossloss explore",
    }
    return plan_table(weights, what | scores.run.origin)
