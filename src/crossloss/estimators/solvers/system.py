"""What a solver is given, and what it gives back."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from crossloss.core import Curvature, Progress, UserError
from crossloss.estimators.curvature import require_finite, symmetry_tolerance


@dataclass(frozen=True, eq=False)
class System:
    """(C^T + damping) x = b for a curvature C; nothing else in the package adds a damping.

    Raises
    ------
    UserError
        The damping is negative or not finite.
    """

    curvature: Curvature
    damping: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping >= 0):
            raise UserError(f"Damping is a number of 0 or more, not {self.damping}.")

    def product(self, x: Tensor) -> Tensor:
        """(C^T + damping) x for the rows of ``x``, (k, p)."""
        return self.curvature.product(x).add_(x, alpha=self.damping)

    def solution(self, x: Tensor, b: Tensor, iterations: int) -> "Solution":
        """``x`` with its true residuals; costs one product.

        Raises
        ------
        UserError
            ``x`` is not finite.
        """
        if not bool(torch.isfinite(x).all()):
            raise UserError(f"The solution overflowed {b.dtype}: raise the damping or use float64.")
        return Solution(x, relative(b - self.product(x), b), iterations)

    def symmetric(self, b: Tensor) -> bool:
        """Whether <C^T u, v> = <C^T v, u> for two random directions like ``b``; costs one product of two rows.

        Of as many rows as parameters where ``b`` has so many, which is when a Jacobian keeps its matrix.
        """
        generator = torch.Generator(device=b.device).manual_seed(0)
        k, p = b.shape
        drawn = torch.randn(max(2, p if k >= p else 0), p, generator=generator, dtype=b.dtype, device=b.device)
        images = self.curvature.product(drawn)[:2]
        (u, v), (image_u, image_v) = drawn[:2], images
        require_finite(images)
        size = image_u.norm() * v.norm() + image_v.norm() * u.norm()
        apart = (image_u @ v - image_v @ u).abs()
        return bool(apart <= symmetry_tolerance(b.dtype) * size / math.sqrt(b.shape[1]))

    def require_symmetric(self, b: Tensor, solver: str) -> None:
        """Refuse a curvature that is not symmetric.

        Raises
        ------
        UserError
            It is not.
        """
        if not self.symmetric(b):
            raise UserError(f"The Jacobian of this field is not symmetric, which {solver} needs: use GMRES or Dense.")


@dataclass(frozen=True, eq=False)
class Solution:
    """Solutions by row.

    Attributes
    ----------
    x : (k, p) tensor
    residual : (k,) tensor
        |b - (C^T + damping) x| / |b|, computed afresh from ``x``; 0 where b = 0.
    iterations : int
    """

    x: Tensor
    residual: Tensor
    iterations: int


class Solver(Protocol):
    """A way to solve a system."""

    def solve(self, system: System, b: Tensor, progress: Progress | None = None) -> Solution:
        """Solve for the rows of ``b`` (k, p); UserError rather than a solution that is none."""
        ...


def relative(residual: Tensor, b: Tensor) -> Tensor:
    """|residual| / |b| by row, (k,); 0 where b = 0."""
    size = b.norm(dim=1)
    sizes: Tensor = residual.norm(dim=1)
    return sizes / torch.where(size > 0, size, torch.ones_like(size))
