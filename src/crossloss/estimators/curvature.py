"""Curvatures of the training loss: what an inverse-Hessian estimator inverts."""

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from crossloss.core import FULL_BATCH, Accumulator, Curvature, Field, Linearisation, Progress, UserError, silent

Maker = Callable[[Tensor, Tensor], Curvature]
"""(theta (p,), weights (n,)) -> the curvature there."""

LARGEST = 8_000
"""Parameters beyond which no p x p matrix is made (512 MB in float64)."""
ROWS_AT_ONCE = 128


class Jacobian(Curvature):
    """J of the field, matrix-free, by pullbacks whose accumulators are thrown away.

    For a plain loss it is the Hessian; for a field that is no gradient it is not symmetric. Asked for p directions or
    more, it makes the matrix, which costs no more, and holds it, with that pass's sums by weight.
    """

    def __init__(self, field: Field, theta: Tensor, weights: Tensor, steps: int, step: int = FULL_BATCH) -> None:
        self.field, self.theta, self.weights = field, theta, weights
        self.steps, self.step = steps, step
        self._matrix: Tensor | None = None
        self._by_weight: Accumulator | None = None

    @cached_property
    def point(self) -> Linearisation:
        """The field there."""
        return self.field.at(self.theta, self.weights, self.step)

    def product(self, a: Tensor) -> Tensor:
        """J^T a for the rows of ``a``, (k, p)."""
        if self._matrix is not None:
            return a @ self._matrix
        k, p = a.shape
        into = self.field.accumulator(min(k, p))
        if k < p:
            return self.point.pullback(a, into)
        units = torch.eye(p, dtype=a.dtype, device=a.device)
        self._matrix, self._by_weight = self.point.pullback(units, into), into
        return a @ self._matrix

    def weight_gradient(self, a: Tensor, into: Accumulator) -> None:
        """Add d<g, a>/d(atom weight) to ``into``; from the matrix's own pass where there was one."""
        if self._by_weight is None:
            self.point.weight_gradient(a, into)
            return
        for name, live in into.tensors().items():  # linear in a, with its rows first
            live += torch.tensordot(a.to(live), self._by_weight.tensors()[name], 1)

    def transposed(self) -> "TransposedJacobian":
        """J a, by pushforwards."""
        return TransposedJacobian(self)

    def of_step(self, step: int) -> "Jacobian":
        """The same at a step of the run: of its mini-batch."""
        return Jacobian(self.field, self.theta, self.weights, self.steps, step)


class TransposedJacobian(Curvature):
    """J a for the rows of ``a``, where a system takes J^T."""

    def __init__(self, jacobian: Jacobian) -> None:
        self.point, self.theta = jacobian.point, jacobian.theta
        self._still = torch.zeros_like(jacobian.weights)

    def product(self, a: Tensor) -> Tensor:
        """J a, (k, p), by pushforwards."""
        return torch.stack([self.point.pushforward(row, self._still) for row in a])


class Absolute(Curvature):
    """|H|, dense: the Hessian with the size of each eigenvalue, so that saddles are left (Dauphin et al. 2014)."""

    def __init__(self, hessian: Curvature) -> None:
        self.hessian, self.theta = hessian, hessian.theta

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Sizes of the eigenvalues (p,) and the eigenvectors in columns (p, p)."""
        matrix = materialise(self.hessian)
        if bool((matrix - matrix.T).norm() > symmetry_tolerance(matrix.dtype) * matrix.norm()):
            raise UserError("The Jacobian of this field is not symmetric, so it has no absolute value: use jacobian.")
        values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
        return values.abs(), vectors

    def product(self, a: Tensor) -> Tensor:
        """|H| a for the rows of ``a``, (k, p)."""
        sizes, vectors = self.spectrum
        return ((a @ vectors) * sizes) @ vectors.T

    def factorise(self, damping: float) -> Callable[[Tensor], Tensor]:
        """Rows by (|H| + damping)^-1, in the eigenbasis; UserError where it is singular."""
        sizes, vectors = self.spectrum
        damped = sizes + damping
        require_regular(float(damped.max() / damped.min()), sizes.dtype, damping)
        return lambda b: ((b @ vectors) / damped) @ vectors.T


def curvature(kind: str | Maker, jacobian: Jacobian) -> Curvature:
    """The curvature of the training loss where ``jacobian`` is; UserError where there is none of that kind."""
    if callable(kind):
        made = kind(jacobian.theta, jacobian.weights)
        if not isinstance(made, Curvature):
            raise UserError(f"The function given as curvature= made a {type(made).__name__}: return a core.Curvature.")
        return made
    if kind == "jacobian":
        return jacobian
    if kind == "absolute":
        return Absolute(jacobian)
    return jacobian.field.curvature(kind, jacobian.theta, jacobian.weights)


def materialise(curvature: Curvature, progress: Progress = silent) -> Tensor:
    """C (p, p) from products with the rows of the identity; UserError for too many rows, or an entry not finite."""
    theta, p = curvature.theta, len(curvature.theta)
    if p > LARGEST:
        raise UserError(f"{p} parameters are too many for a dense matrix ({LARGEST} at most): use CG, GMRES or LiSSA.")
    matrix = theta.new_empty(p, p)
    for first in range(0, p, ROWS_AT_ONCE):
        rows = slice(first, min(first + ROWS_AT_ONCE, p))
        unit = theta.new_zeros(rows.stop - first, p)
        unit.diagonal(first).fill_(1)
        matrix[rows] = curvature.product(unit)
        progress(rows.stop, p)
    require_finite(matrix)
    return matrix


def require_finite(product: Tensor) -> None:
    """Refuse what a curvature returned if it is not finite, as a UserError."""
    if not bool(torch.isfinite(product).all()):
        raise UserError("The curvature at this model is not finite: train with a smaller lr or in float64.")


def require_regular(condition: float, dtype: torch.dtype, damping: float) -> None:
    """Refuse a condition number beyond .01/eps (float64: 4.5e13), where an inverse has less than two right digits."""
    if not condition < 0.01 / torch.finfo(dtype).eps:
        raise UserError(
            f"The curvature with damping {damping:g} is singular to the precision of {dtype} "
            f"(condition number {condition:.1e}): give a larger damping, or use float64."
        )


def symmetry_tolerance(dtype: torch.dtype) -> float:
    """How far from symmetric rounding may leave a symmetric matrix, relative: 1e-3 in float32, 1e-8 in float64."""
    return math.sqrt(torch.finfo(dtype).eps) * (1 if dtype == torch.float64 else 3)
