"""Inverse Hessian: the influence function of the final parameters (Koh and Liang 2017; paper Theorem 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from crossloss.core import WHOLE, Accumulator, Checkpoint, Invertible, Objective, Progress, Trajectory, UserError
from crossloss.estimators.curvature import JACOBIAN, Jacobian, Maker, curvature
from crossloss.estimators.gradient import objective_gradients, pair
from crossloss.estimators.solvers import Dense, Solution, Solver, System


@dataclass(frozen=True)
class InverseHessian:
    """I_i = -grad f^T (H + damping)^-1 grad l_i, with H of the training loss whatever f is.

    Solves (C^T + damping) x = grad f once for each objective; then one pairing with a = -x at the final
    parameters scores every sample (paper Eqs. 1, 6, 7, 9, 10, 13, with Koh and Liang's minus, and Algorithm 1
    where the solver is LiSSA). Exact for a run that ended at a point where the field vanishes and C is regular.

    Parameters
    ----------
    curvature : str or function
        "jacobian" of the field (for a plain loss its Hessian), "absolute" (its eigenvalues' sizes), one that the
        field offers ("word-blocks"), or a function (theta, weights) -> ``core.Curvature``, such as
        ``models.torch.curvature.ekfac(...)``.
    solver : Solver, optional
        The curvature's own where it has one ("absolute", "word-blocks", EK-FAC), else ``Dense``.
    damping : float
        Added to the curvature, in its unit; none where it is not given.
    """

    curvature: str | Maker = JACOBIAN
    solver: Solver | None = None
    damping: float = 0.0

    def system(self, trajectory: Trajectory) -> System:
        """The damped curvature at the final parameters; UserError where the field offers none of that name."""
        return System(curvature(self.curvature, trajectory), self.damping)

    def __call__(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        *,
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Accumulator:
        """Scores of every sample for every objective.

        Raises
        ------
        UserError
            The curvature is not offered or singular, the solver cannot take it, or the scores overflow.
        """
        system, field = self.system(trajectory), trajectory.field
        x = solve(system, self.solver, objective_gradients(field, trajectory.theta, objectives), progress).x
        into = field.accumulator(len(objectives))
        if isinstance(system.curvature, Jacobian):
            system.curvature.pairing(-x, into)
        else:
            pair(field, trajectory.theta, trajectory.weights, WHOLE, -x, into)
        if not all(bool(torch.isfinite(live).all()) for live in into.tensors().values()):
            raise UserError("The inverse-Hessian scores overflowed: raise the damping or use float64.")
        if progress:
            progress(1, 1)
        return into


def solve(system: System, solver: Solver | None, b: torch.Tensor, progress: Progress | None = None) -> Solution:
    """Solve with ``solver``; where None with the curvature's own, else ``Dense``."""
    if solver is None and isinstance(system.curvature, Invertible):
        return system.solution(system.curvature.solve(b, system.damping), b, 1)
    return (solver or Dense()).solve(system, b, progress)
