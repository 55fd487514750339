"""Arnoldi: the inverse on the largest eigenvalues only."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from crossloss.core import Progress, UserError, silent
from crossloss.estimators.solvers.system import Solve, Solver, System


@dataclass(frozen=True)
class Arnoldi(Solver):
    """The eigenvalues of largest size alone (Schioppa et al. 2022).

    x = sum_i q_i <q_i, b> / (lambda_i + damping).

    What of b lies outside those directions is left out, and shows in the solution's residual. The eigenvectors
    are ARPACK's (restarted, so that none is spurious), from a fixed start.

    Parameters
    ----------
    rank : int
        Eigenvalues computed.
    iterations : int
        Restarts, at most.

    Examples
    --------
    >>> from crossloss.estimators import Arnoldi, InverseHessian
    >>> scores = cl.score(run, [weat], InverseHessian(solver=Arnoldi(rank=20), damping=0.1))
    """

    name = "arnoldi"
    rank: int = 20
    iterations: int = 300

    def init(self, system: System, progress: Progress = silent) -> Solve:
        """Compute eigenvalues and eigenvectors.

        Raises
        ------
        UserError
            The curvature is not symmetric, the rank is not between 1 and p - 1, the eigenvalues do not converge, or
            one of them with the damping is zero.
        """
        theta, p = system.curvature.theta, len(system.curvature.theta)
        if not 0 < self.rank < p:
            raise UserError(f"Arnoldi's rank is 1 to {p - 1} for {p} parameters, not {self.rank}: use Dense for all.")
        system.require_symmetric("Arnoldi")
        used = 0

        def product(v: np.ndarray) -> np.ndarray:
            nonlocal used
            used += 1
            row = torch.from_numpy(v.reshape(1, p)).to(theta)
            return np.asarray(system.curvature.product(row)[0].double().cpu().numpy())

        operator = LinearOperator((p, p), matvec=product, dtype=np.float64)
        start = np.random.default_rng(0).normal(size=p)
        precision = torch.finfo(theta.dtype).eps
        try:
            values, vectors = eigsh(operator, k=self.rank, which="LM", v0=start, maxiter=self.iterations, tol=precision)
        except ArpackError as error:
            what = f"found no {self.rank} eigenvalues in {self.iterations} restarts"
            raise UserError(f"Arnoldi {what}: lower the rank.") from error
        damped = torch.from_numpy(values + system.damping)
        if bool((damped.abs() <= p * precision * damped.abs().max()).any()):
            raise UserError(
                f"One of the {self.rank} largest eigenvalues is 0 with damping {system.damping:g}: give a larger "
                "damping or a lower rank."
            )
        basis = torch.from_numpy(np.ascontiguousarray(vectors))
        return system.by(lambda b: (((b.double().cpu() @ basis) / damped) @ basis.T).to(b), used)
