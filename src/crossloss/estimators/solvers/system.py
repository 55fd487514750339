"""What a solver is given, how it is asked, and what it gives back."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from crossloss.core import Checkpoint, Curvature, Progress, UserError, silent
from crossloss.estimators.curvature import require_finite, symmetry_tolerance


class Solve(Protocol):
    """Solutions for the rows of b (k, p); UserError rather than a solution that is none.

    One that takes many products goes on from a checkpoint of the same system and right-hand sides, and saves there.
    """

    def __call__(self, b: Tensor, progress: Progress, checkpoint: Checkpoint | None = None) -> "Solution":
        """Solve."""


def require_damping(damping: float) -> None:
    """Refuse what is negative or not finite."""
    if not (math.isfinite(damping) and damping >= 0):
        raise UserError(f"Damping is a number of 0 or more, not {damping}.")


@dataclass(frozen=True, eq=False)
class System:
    """(C^T + damping) x = b for a curvature C; UserError for a damping that is negative or not finite."""

    curvature: Curvature
    damping: float

    def __post_init__(self) -> None:
        require_damping(self.damping)

    def product(self, x: Tensor) -> Tensor:
        """(C^T + damping) x for the rows of ``x``, (k, p)."""
        return self.curvature.product(x).add_(x, alpha=self.damping)

    def solution(self, x: Tensor, b: Tensor, iterations: int) -> "Solution":
        """``x`` with its true residuals, for one product; UserError where it is not finite."""
        if not bool(torch.isfinite(x).all()):
            raise UserError(f"The solution overflowed {b.dtype}: raise the damping or use float64.")
        return Solution(x, relative(b - self.product(x), b), iterations)

    def by(self, inverse: Callable[[Tensor], Tensor], products: int = 1) -> Solve:
        """Solve by a factorisation that took ``products``: b -> x for the rows of b."""

        def solve(b: Tensor, progress: Progress, checkpoint: Checkpoint | None = None) -> "Solution":
            return self.solution(inverse(b), b, products)

        return solve

    def symmetric(self) -> bool:
        """Whether <C^T u, v> = <C^T v, u> for two random directions; costs one product of two rows."""
        theta = self.curvature.theta
        generator = torch.Generator(device=theta.device).manual_seed(0)
        u, v = drawn = torch.randn(2, len(theta), generator=generator, dtype=theta.dtype, device=theta.device)
        image_u, image_v = images = self.curvature.product(drawn)
        require_finite(images)
        size = image_u.norm() * v.norm() + image_v.norm() * u.norm()
        difference = (image_u @ v - image_v @ u).abs()
        return bool(difference <= symmetry_tolerance(theta.dtype) * size / math.sqrt(len(theta)))

    def require_symmetric(self, solver: str) -> None:
        """Refuse a curvature that is not symmetric with a UserError."""
        if not self.symmetric():
            raise UserError(f"The Jacobian of this field is not symmetric, which {solver} needs: use GMRES or Dense.")


@dataclass(frozen=True, eq=False)
class Solution:
    """Solutions ``x`` (k, p) by row, and their ``residual`` (k,), |b - (C^T + damping) x| / |b|, 0 where b = 0."""

    x: Tensor
    residual: Tensor
    iterations: int

    def within(self, allowed: float, solver: str, limit: str, advice: str) -> "Solution":
        """Itself; UserError where a residual is larger than ``allowed``."""
        worst = float(self.residual.max())
        if not worst <= allowed:
            raise UserError(f"{solver} stands at a relative residual of {worst:.1e} after {limit}: {advice}.")
        return self


class Solver(ABC):
    """A way to solve a system: ``init`` once, then for any right-hand sides."""

    name: ClassVar[str]

    @abstractmethod
    def init(self, system: System, progress: Progress = silent) -> Solve:
        """Check and factorise; UserError for a curvature that it cannot take."""

    def solve(self, system: System, b: Tensor, progress: Progress = silent) -> Solution:
        """Solutions for right-hand sides that are all there are."""
        return self.init(system, progress)(b, progress)


def relative(residual: Tensor, b: Tensor) -> Tensor:
    """|residual| / |b| by row, (k,); 0 where b = 0."""
    size = b.norm(dim=1)
    sizes: Tensor = residual.norm(dim=1)
    return sizes / torch.where(size > 0, size, torch.ones_like(size))
