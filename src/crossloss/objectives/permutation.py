"""Significance of an association test: the permutation test over splits of its target words."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any, NamedTuple

import numpy as np

from crossloss.core import Objective, UserError
from crossloss.objectives.association_test import TargetTest, effect

EXACT_SPLITS = 10**6
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class PermutationResult:
    """Outcome of a permutation test.

    Attributes
    ----------
    statistic : float
        sum_X s - sum_Y s.
    effect : float
    p_value : float
        One-sided (Caliskan et al. 2017): share of splits whose difference of means is at least that observed, the
        observed one and ties counted.
    p_value_two_sided : float
        The same for the size of the difference.
    splits : int
        Splits looked at, the observed one included.
    exact : bool
        Whether these are all.
    difference : float
        mean_X s - mean_Y s. An effect size can also rise because its denominator fell; this cannot.

    Examples
    --------
    >>> result = cl.permutation_test(weat, run.view)
    >>> print(result.effect, result.p_value, result.exact)
    """

    statistic: float
    effect: float
    p_value: float
    p_value_two_sided: float
    splits: int
    exact: bool
    difference: float


class Measured(NamedTuple):
    """Value of an objective, and its permutation test where it is an association test.

    Examples
    --------
    >>> measured = cl.objectives.measured(weat, run.view)
    >>> print(measured.value, measured.tested.p_value)
    """

    value: float
    tested: PermutationResult | None


def measured(objective: Objective, view: Any, *, seed: int = 0) -> Measured:
    """Value and significance of an objective; UserError as the objective itself.

    Examples
    --------
    >>> print(cl.objectives.measured(weat, run.view).value)
    """
    if not isinstance(objective, TargetTest):
        return Measured(float(objective(view)), None)
    tested = permutation_test(objective, view, seed=seed)
    return Measured(getattr(tested, objective.kind), tested)


def permutation_test(weat: TargetTest, view: Any, *, seed: int = 0, samples: int = 100_000) -> PermutationResult:
    """Test the null hypothesis that X and Y are exchangeable.

    Exact up to 10^6 splits of X and Y together, or where ``samples`` asks for all there are; beyond, ``samples``
    different splits drawn by ``seed`` without replacement, the observed one counted beside them, so that p is
    never 0.
    UserError as the test itself, and for less than one sample.

    Examples
    --------
    >>> print(cl.permutation_test(weat, run.view).p_value)
    """
    if samples < 1:
        raise UserError(f"samples is {samples}: a permutation test needs at least one split.")
    x, y = weat.associations(view)
    size = effect(weat.name, x, y, weat.ddof)
    values = np.concatenate([x.detach().cpu().double().numpy(), y.detach().cpu().double().numpy()])
    first, total = len(x), len(values)
    observed = values[:first].mean() - values[first:].mean()
    tolerance = 1e-9 * float(np.ptp(values))
    number = math.comb(total, first)
    exact = number <= max(EXACT_SPLITS, samples + 1)
    blocks = _all(total, first) if exact else [_drawn(total, first, samples, seed)]
    one = two = splits = 0
    for chosen in blocks:
        inside = values[chosen].sum(axis=1)
        difference = inside / first - (values.sum() - inside) / (total - first)
        one += int((difference >= observed - tolerance).sum())
        two += int((np.abs(difference) >= abs(observed) - tolerance).sum())
        splits += len(chosen)
    statistic, difference = float(x.sum() - y.sum()), float(x.mean() - y.mean())
    return PermutationResult(statistic, float(size), one / splits, two / splits, splits, exact, difference)


def _all(total: int, first: int) -> Iterator[np.ndarray]:
    """Every choice of ``first`` out of ``total``, in blocks (b, first)."""
    every = combinations(range(total), first)
    while block := list(islice(every, ROWS_AT_ONCE)):
        yield np.array(block)


def _drawn(total: int, first: int, samples: int, seed: int) -> np.ndarray:
    """The observed choice and ``samples`` others, all different, (samples + 1, first)."""
    generator = np.random.default_rng(seed)
    rows = dict.fromkeys([np.arange(first, dtype=np.int16).tobytes()])
    while len(rows) <= samples:
        drawn = np.argsort(generator.random((ROWS_AT_ONCE, total)), axis=1)[:, :first].astype(np.int16)
        rows.update(dict.fromkeys(map(bytes, np.sort(drawn, axis=1))))
    return np.frombuffer(b"".join(islice(rows, samples + 1)), np.int16).reshape(-1, first)
