"""GMRES, for Jacobians that are not symmetric and for negative curvature."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor

from crossloss.core import Checkpoint, Progress, silent
from crossloss.estimators.solvers.system import Solution, Solve, Solver, System


@dataclass(frozen=True)
class GMRES(Solver):
    """Generalised minimal residual, restarted (Saad and Schultz 1986), scipy's; right-hand sides one by one.

    Parameters
    ----------
    tolerance : float
        |residual| / |b| at which a right-hand side is done.
    iterations : int
        Products for each right-hand side, at most.
    restart : int
        Vectors of p numbers held, in float64.

    Examples
    --------
    >>> from crossloss.estimators import GMRES, InverseHessian
    >>> scores = cl.score(run, [weat], InverseHessian(solver=GMRES(tolerance=1e-3), damping=0.1))
    """

    name = "gmres"
    tolerance: float = 1e-5
    iterations: int = 1_000
    restart: int = 50

    def init(self, system: System, progress: Progress = silent) -> Solve:
        """What solves; UserError, then, where the tolerance is not reached."""
        return partial(self._solve, system)

    def _solve(self, system: System, b: Tensor, progress: Progress, checkpoint: Checkpoint | None = None) -> Solution:
        k, p = b.shape
        used = 0

        def product(v: np.ndarray) -> np.ndarray:
            nonlocal used
            used += 1
            progress(min(used, k * self.iterations), k * self.iterations)
            row = torch.from_numpy(v.reshape(1, p)).to(b)
            return np.asarray(system.product(row)[0].double().cpu().numpy())

        operator = LinearOperator((p, p), matvec=product, dtype=np.float64)
        restart = min(self.restart, self.iterations, p)
        cycles = -(-self.iterations // restart)
        rows = [
            gmres(operator, row, rtol=self.tolerance, atol=0, restart=restart, maxiter=cycles)[0]
            for row in b.double().cpu().numpy()
        ]
        solution = system.solution(torch.from_numpy(np.stack(rows)).to(b), b, used)
        progress(k * self.iterations, k * self.iterations)
        return solution.within(
            2 * self.tolerance,
            "GMRES",
            f"{used} products, not {self.tolerance:g}",
            "raise the damping, the iterations or restart, loosen the tolerance, or use float64",
        )
