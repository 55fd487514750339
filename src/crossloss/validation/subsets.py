"""Which samples are left out: random subsets of one size."""

import numpy as np

from crossloss.core import UserError


def random_subsets(weights: np.ndarray, *, share: float, count: int, seed: int) -> list[np.ndarray]:
    """Draw ``count`` subsets of round(share x samples of positive weight), each sorted int64.

    Drawn without replacement within a subset and independently between subsets; the first ones stay the same
    when more are asked for.

    Raises
    ------
    UserError
        ``share`` is not between 0 and 1, or a subset would hold nothing or everything.
    """
    positive = np.flatnonzero(np.asarray(weights) > 0)
    if not 0 < share < 1:
        raise UserError(f"The share of sentences left out must lie between 0 and 1 (given: {share:g}).")
    size = round(share * len(positive))
    if not 0 < size < len(positive):
        raise UserError(f"{share:g} of {len(positive)} sentences is {size}: choose another share.")
    subsets = []
    for number in range(count):
        generator = np.random.default_rng([seed, round(share * 1_000_000), number])
        subsets.append(np.sort(generator.choice(positive, size, replace=False)))
    return subsets


def random_matching(size: int, weights: np.ndarray, eligible: np.ndarray, seed: int) -> np.ndarray:
    """Draw ``size`` samples of positive weight from those ``eligible`` (n,) bool, sorted int64.

    Raises
    ------
    UserError
        Fewer are eligible.
    """
    pool = np.flatnonzero((np.asarray(weights) > 0) & eligible)
    if size > len(pool):
        raise UserError(f"{size} samples were asked for and {len(pool)} are eligible.")
    return np.sort(np.random.default_rng(seed).choice(pool, size, replace=False))
