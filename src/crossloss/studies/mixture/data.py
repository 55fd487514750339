"""Three Gaussians in the plane."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MEANS = ((0.0, 0.0), (5.0, 5.0), (5.0, -5.0))
STD = 1.25
"""Of both coordinates (paper Sec. 4.1)."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points with the Gaussian that each was drawn from.

    Attributes
    ----------
    x : (n, 2) float64 tensor
    y : (n,) int64 tensor
    """

    x: Tensor
    y: Tensor


def draw(seed: int, each: int = 50) -> tuple[Points, Points]:
    """Training and held-out points, ``each`` of every Gaussian in both."""
    generator = np.random.default_rng(seed)
    return _draw(generator, each), _draw(generator, each)


def _draw(generator: np.random.Generator, each: int) -> Points:
    y = np.repeat(np.arange(len(MEANS)), each)
    x = generator.normal(np.asarray(MEANS)[y], STD)
    return Points(torch.from_numpy(x), torch.from_numpy(y))
