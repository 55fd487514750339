"""Inverse Hessian: the influence function of the final parameters (Koh and Liang 2017; paper Theorem 1)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from crossloss.core import (
    Accumulator,
    Cache,
    Checkpoint,
    Estimator,
    Field,
    Objective,
    PreparedEstimator,
    Progress,
    Trajectory,
    UserError,
)
from crossloss.estimators.curvature import Jacobian, Maker, curvature
from crossloss.estimators.gradient import objective_gradients
from crossloss.estimators.solvers import Direct, Solve, Solver, System
from crossloss.estimators.solvers.system import require_damping

USUAL = {("jacobian", "dense"), ("ggn", "cg")}
"""Solvers that the name of an estimator with such a curvature leaves out."""


@dataclass(frozen=True)
class InverseHessian(PreparedEstimator):
    """Influence functions: I_i = -grad f^T (H + damping)^-1 grad l_i, with H of the training loss whatever f is.

    Solves (C^T + damping) x = grad f once for each objective; then one weight gradient with a = -x at the final
    parameters scores every sample (paper Eqs. 1, 6, 7, 9, 10, 13, with Koh and Liang's minus, and Algorithm 1
    where the solver is LiSSA). Exact for a run that ended at a point where the field vanishes and C is regular.

    Parameters
    ----------
    curvature : str or function
        "jacobian" of the field (for a plain loss its Hessian), "absolute" (its eigenvalues' sizes), one that the
        field offers ("word-blocks", "ggn", "ekfac", "ekfac-mc", "ekfac-empirical"), or a function (theta, weights) ->
        ``core.Curvature``, such as ``models.torch.curvature.ekfac(...)``.
    solver : Solver, optional
        The curvature's own factorisation where it has one ("absolute", "word-blocks", EK-FAC), else ``Dense``.
    damping : float
        Added to the curvature, in its unit; none where it is not given.

    Examples
    --------
    >>> from crossloss.estimators import InverseHessian
    >>> scores = cl.score(run, [weat], InverseHessian("word-blocks", damping=0.1))
    """

    curvature: str | Maker = "jacobian"
    solver: Solver | None = None
    damping: float = 0.0
    overflow = "The inverse-Hessian scores overflowed: raise the damping or use float64."

    def __post_init__(self) -> None:
        require_damping(self.damping)
        if not (self.solver is None or isinstance(self.solver, Solver)):
            raise UserError(f"The solver is {self.solver!r}: give an object, such as ConjugateGradient().")

    @property
    def name(self) -> str:
        """inverse-hessian, the curvature and the solver where they are not the usual ones."""
        kind = self.curvature if isinstance(self.curvature, str) else "own-curvature"
        parts = ["inverse-hessian"] + [kind] * (kind != "jacobian")
        if self.solver is not None and (kind, self.solver.name) not in USUAL:
            parts.append(self.solver.name)
        return "-".join(parts)

    def left_out(self, field: Field) -> list[tuple[str, int]]:
        """Parameters that the curvature is not of: EK-FAC is of linear layers."""
        return field.left_out(self.curvature) if isinstance(self.curvature, str) else []

    def damped(self, damping: float) -> "InverseHessian":
        """The same with a damping; UserError where it has another."""
        if self.damping and self.damping != damping:
            raise UserError(f"{self.name} has damping {self.damping:g} of its own: give one damping, there or here.")
        return replace(self, damping=damping)

    def prepared(self, trajectory: Trajectory, cache: Cache | None = None) -> Estimator:
        """The estimator of one trajectory, which serves all calls."""
        return Influence(self, trajectory)


class Influence(Estimator):
    """An inverse Hessian at the end of one run: the first call makes its curvature and factorises it."""

    name = "inverse-hessian"
    overflow = InverseHessian.overflow

    def __init__(self, estimator: InverseHessian, trajectory: Trajectory) -> None:
        self.estimator, self.solver = estimator, estimator.solver or Direct()
        self.jacobian = Jacobian(trajectory.field, trajectory.theta, trajectory.weights, trajectory.steps)
        self._solve: Solve | None = None

    @cached_property
    def system(self) -> System:
        """The damped curvature; UserError where the field offers none of that name."""
        return System(curvature(self.estimator.curvature, self.jacobian), self.estimator.damping)

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``; UserError as ``InverseHessian.add``."""
        system = self.system  # refuses before the work
        b = objective_gradients(trajectory.field, self.jacobian.theta, objectives)
        if system.curvature.part is not None:
            b = b * system.curvature.part
        self._solve = self._solve or self.solver.init(system, progress)
        self.jacobian.weight_gradient(-self._solve(b, progress, checkpoint).x, into)
        progress(1, 1)

    def newton(self, dw: Tensor) -> Tensor:
        """-(C + damping)^-1 (dg/dw) dw, (p,): C itself, where the scores take its transpose; UserError as they."""
        theta, system = self.jacobian.theta, self.system
        right = -self.jacobian.point.pushforward(torch.zeros_like(theta), dw).unsqueeze(0)
        if system.curvature.part is not None:
            right = right * system.curvature.part
        if not system.symmetric():
            system = System(system.curvature.transposed(), system.damping)
        return self.solver.solve(system, right).x[0]
