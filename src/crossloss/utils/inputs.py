"""What comes from Python: rows, weights and labels, or one sentence that says what was given instead."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from crossloss.core import UserError


def row_numbers(given: Any, n: int, what: str) -> np.ndarray:
    """Numbers of ``n`` rows in a list, array or tensor, (m,) int64, a copy; in the order given, and as often.

    ``what`` they are is for the sentence. Refused: a boolean mask, numbers that are not whole, not a flat list, rows
    that are not there.
    """
    array = _array(given, what)
    masks = isinstance(given, list | tuple) and any(isinstance(item, bool | np.bool_) for item in given)
    if array.dtype == bool or masks:
        raise UserError(f"{what} is a boolean mask: give the numbers of its rows, mask.nonzero().")
    if array.ndim != 1:
        raise UserError(f"{what} is {_shown(array)}: give a flat list of row numbers.")
    if not array.size:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise UserError(f"{what} holds {_kind(array)}: give whole numbers, the rows.")
    wrong = array[(array < 0) | (array >= n)]
    if wrong.size:
        raise UserError(f"{what} names row {wrong[0]}, which is not there: rows are 0 to {n - 1}.")
    return array.astype(np.int64)


def weight_numbers(given: Any, n: int, whose: str) -> np.ndarray:
    """Sample weights (n,) float64, a copy; ``whose`` has the samples, such as "the corpus", is for the sentence.

    Refused: a boolean mask, no numbers, another shape, a weight that is not finite.
    """
    if hasattr(given, "weights"):
        raise UserError(f"A {type(given).__name__} was given as weights: pass its .weights.")
    array = _array(given, "weights")
    if array.dtype == bool:
        raise UserError("weights is a boolean mask: give numbers, mask.astype(float) where 1 and 0 are meant.")
    if array.dtype.kind not in "iuf":
        raise UserError(f"weights holds {_kind(array)}: give one number for each sample.")
    if array.ndim != 1:
        raise UserError(f"weights is {_shown(array)}: give a flat list, one number for each of the {n} samples.")
    if len(array) != n:
        raise UserError(f"The weights are for {len(array)} samples and {whose} has {n} samples: give one for each.")
    if not np.isfinite(array).all():
        raise UserError(f"The weight of sample {np.flatnonzero(~np.isfinite(array))[0]} is not finite: give a number.")
    return array.astype(np.float64)


def not_negative(weights: np.ndarray) -> np.ndarray:
    """The weights; refused where one is negative or all are zero, with which nothing can be trained."""
    if (weights < 0).any():
        sample = np.flatnonzero(weights < 0)[0]
        raise UserError(f"The weight of sample {sample} is {weights[sample]:g}: sample weights must not be negative.")
    if not weights.any():
        raise UserError("All sample weights are zero, so there is nothing to train on: give some a weight.")
    return weights


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written to: what is handed out and still used."""
    view = array.view()
    view.flags.writeable = False
    return view


def _array(given: Any, what: str) -> np.ndarray:
    if isinstance(given, Tensor):
        return given.detach().cpu().double().numpy() if given.is_floating_point() else given.detach().cpu().numpy()
    if isinstance(given, str | bytes | dict) or given is None:
        raise UserError(f"{what} is a {type(given).__name__}: give a list of numbers.")
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{what} is no flat list of numbers ({' '.join(str(error).split())[:120]}).") from error


def _shown(array: np.ndarray) -> str:
    return f"the single value {array.item()!r}" if array.ndim == 0 else f"of the shape {array.shape}"


def _kind(array: np.ndarray) -> str:
    return {"f": "fractions", "c": "complex numbers", "U": "texts", "O": "objects"}.get(array.dtype.kind, "no numbers")


def grouped(labels: Iterable[str]) -> tuple[list[str], np.ndarray]:
    """Distinct labels, sorted, and the place of each label among them, int64; no more of them is held."""
    places: dict[str, int] = {}
    codes = np.fromiter((places.setdefault(label, len(places)) for label in labels), np.int64)
    names = sorted(places)
    rank = np.empty(len(names), dtype=np.int64)
    rank[[places[name] for name in names]] = np.arange(len(names))
    return names, rank[codes]
