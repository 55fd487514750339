"""What a solver is given, how it is asked, and what it gives back."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from crossloss.core import Curvature, Progress, UserError, silent
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

    def symmetric(self) -> bool:
        """Whether <C^T u, v> = <C^T v, u> for two random directions; costs one product of two rows."""
        theta = self.curvature.theta
        generator = torch.Generator(device=theta.device).manual_seed(0)
        u, v = drawn = torch.randn(2, len(theta), generator=generator, dtype=theta.dtype, device=theta.device)
        image_u, image_v = images = self.curvature.product(drawn)
        require_finite(images)
        size = image_u.norm() * v.norm() + image_v.norm() * u.norm()
        apart = (image_u @ v - image_v @ u).abs()
        return bool(apart <= symmetry_tolerance(theta.dtype) * size / math.sqrt(len(theta)))

    def require_symmetric(self, solver: str) -> None:
        """Refuse a curvature that is not symmetric with a UserError."""
        if not self.symmetric():
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

    def within(self, allowed: float, solver: str, asked: str, advice: str) -> "Solution":
        """Itself; UserError where a residual is larger than ``allowed``."""
        worst = float(self.residual.max())
        if not worst <= allowed:
            raise UserError(f"{solver} stands at a relative residual of {worst:.1e} after {asked}: {advice}.")
        return self


class Solver(ABC):
    """A way to solve a system: ``init`` once, then ``compute`` for any right-hand sides.

    Here it iterates: ``init`` refuses what it cannot take, and its state is the system itself.
    """

    name: ClassVar[str]

    def init(self, system: System, progress: Progress = silent) -> Any:
        """Check and factorise: the state that ``compute`` takes; UserError for a curvature that it cannot take."""
        return system

    @abstractmethod
    def compute(self, state: Any, b: Tensor, progress: Progress = silent) -> Solution:
        """Solve for the rows of ``b`` (k, p); UserError rather than a solution that is none."""

    def solve(self, system: System, b: Tensor, progress: Progress = silent) -> Solution:
        """Both, for right-hand sides that are all there are."""
        return self.compute(self.init(system, progress), b, progress)


@dataclass(frozen=True, eq=False)
class Factorised:
    """A system with b -> x for the rows of b, and the products with the curvature that it took."""

    system: System
    inverse: Callable[[Tensor], Tensor]
    products: int = 1


class DirectSolver(Solver):
    """One whose state is a factorisation."""

    @abstractmethod
    def init(self, system: System, progress: Progress = silent) -> Factorised:
        """Factorise; UserError where the damped curvature is singular or not for this solver."""

    def compute(self, state: Factorised, b: Tensor, progress: Progress = silent) -> Solution:
        """Solve for the rows of ``b`` (k, p); UserError where a solution overflows."""
        return state.system.solution(state.inverse(b), b, state.products)


def relative(residual: Tensor, b: Tensor) -> Tensor:
    """|residual| / |b| by row, (k,); 0 where b = 0."""
    size = b.norm(dim=1)
    sizes: Tensor = residual.norm(dim=1)
    return sizes / torch.where(size > 0, size, torch.ones_like(size))
