"""The training field: what the optimiser receives at each step, and products with its derivative."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from crossloss.core.curvature import Curvature
from crossloss.core.errors import UserError
from crossloss.core.gradients import Accumulator, SampleGradients

FULL_BATCH = -1
"""The step that stands for no step: the field of the whole training loss, whatever the mini-batches are."""


class Field(ABC):
    """What the optimiser receives at step t, g_t(theta, w), and its derivative.

    ``theta`` is one flat contiguous tensor (p,), one dtype, one device. ``w`` is (n,). ``step`` counts from 0;
    ``FULL_BATCH`` asks for the whole training loss, which gradient dot and curvature are of.
    """

    curvatures: ClassVar[tuple[str, ...]] = ("jacobian", "absolute")
    """What an inverse-Hessian estimator can invert: these, which any field has, and those that ``curvature`` makes."""

    @abstractmethod
    def gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """g_t(theta, w), shape (p,)."""

    @abstractmethod
    def at(self, theta: Tensor, w: Tensor, step: int) -> "Linearisation":
        """Linearise at one point; once for all products with the derivative there."""

    @abstractmethod
    def accumulator(self, k: int) -> Accumulator:
        """Return an accumulator of zeros for k directions."""

    @abstractmethod
    def view(self, theta: Tensor) -> Any:
        """Names and shapes: all that an objective sees of the parameters."""

    def sample_gradients(self, theta: Tensor) -> "SampleGradients":
        """Gradients of single samples at ``theta``, by blocks; UserError where the field has no way to them."""
        raise UserError(
            f"{type(self).__name__} has no gradients of single samples by layers: use gradient-dot, tracin or "
            "inverse-hessian-word-blocks."
        )

    def left_out(self, kind: str) -> list[tuple[str, int]]:
        """Names and sizes of the parameters that a curvature, or "sample-gradients", is not of."""
        return []

    def curvature(self, kind: str, theta: Tensor, w: Tensor) -> "Curvature":
        """The field's own curvature called ``kind`` at ``theta``; UserError that lists the kinds where it has none."""
        known = ", ".join(self.curvatures)
        raise UserError(f"{type(self).__name__} offers no curvature {kind!r}; there are: {known}.")


class Linearisation(ABC):
    """A field at one point, and products with its derivative: J = dg_t/dtheta, and dg_t/dw.

    Only ``pullback`` must be written; the others have defaults that a family of models may do better.
    """

    def __init__(self, field: Field, theta: Tensor, w: Tensor, step: int) -> None:
        self.field, self.theta, self.w, self.step = field, theta, w, step

    @cached_property
    def value(self) -> Tensor:
        """g_t(theta, w), shape (p,); computed when it is asked for, once."""
        return self.field.gradient(self.theta, self.w, self.step)

    @abstractmethod
    def pullback(self, a: Tensor, into: Accumulator) -> Tensor:
        """J^T a for the rows of ``a`` (k, p), and d<g, a>/d(atom weight) added to ``into``. Returns (k, p)."""

    def weight_gradient(self, a: Tensor, into: Accumulator) -> None:
        """Add to ``into`` what ``pullback`` adds, and no more."""
        self.pullback(a, into)

    def pushforward(self, dtheta: Tensor, dw: Tensor) -> Tensor:
        """J dtheta + (dg/dw) dw, (p,); here by central differences, accurate to about eps^(2/3): 4e-11 in float64."""
        theta, w = self.theta, self.w
        by_theta = float(dtheta.norm() / theta.norm().clamp(min=1))
        size = max(by_theta, float(dw.abs().max() / w.abs().max().clamp(min=1e-30)))
        if size == 0:
            return torch.zeros_like(theta)
        h = float(torch.finfo(theta.dtype).eps) ** (1 / 3) / size
        ahead, behind = (
            self.field.gradient(torch.add(theta, dtheta, alpha=s), torch.add(w, dw, alpha=s), self.step)
            for s in (h, -h)
        )
        return ahead.sub_(behind).div_(2 * h)
