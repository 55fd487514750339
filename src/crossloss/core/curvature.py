"""What an inverse-Hessian estimator inverts."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from crossloss.core.errors import UserError


class Curvature(ABC):
    """A linear map of parameter space that stands for the Jacobian C of the field of the training loss."""

    theta: Tensor
    """Where it is, (p,); directions are of its size, dtype and device."""
    steps: int = 0
    """Steps of the run whose own curvature ``of_step`` gives; 0 where it is of the training loss only."""
    part: Tensor | None = None
    """Parameters (p,) bool that it is of, zero elsewhere; all where None."""

    @abstractmethod
    def product(self, a: Tensor) -> Tensor:
        """C^T a for the rows of ``a``: (k, p) -> (k, p)."""

    def factorise(self, damping: float) -> Callable[[Tensor], Tensor] | None:
        """(k, p) -> (k, p), the rows by (C + damping)^-1, where a symmetric C has a way of its own; None where not."""
        return None

    def transposed(self) -> "Curvature":
        """The curvature whose ``product`` is C a, asked for where C is not symmetric; UserError where there is none."""
        raise UserError(f"{type(self).__name__} is not symmetric and has no product with its transpose: use jacobian.")

    def of_step(self, step: int) -> "Curvature":
        """The same of the mini-batch of a step; for those with ``steps``."""
        raise NotImplementedError
