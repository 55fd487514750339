"""Dense: the whole matrix, factorised; and Direct, which prefers the curvature's own way."""

from dataclasses import dataclass

import torch

from crossloss.core import Progress, silent
from crossloss.estimators.curvature import materialise, require_regular
from crossloss.estimators.solvers.system import Solve, Solver, System


@dataclass(frozen=True)
class Dense(Solver):
    """LU factorisation of the matrix, symmetric or not (Golub and Van Loan, Matrix Computations, 3.4).

    Takes negative curvature as it is: the solution is that of the linear system.

    Examples
    --------
    >>> from crossloss.estimators import Dense, InverseHessian
    >>> scores = cl.score(run, [weat], InverseHessian(solver=Dense(), damping=0.1))
    """

    name = "dense"

    def init(self, system: System, progress: Progress = silent) -> Solve:
        """Factorise; UserError for too many parameters, or a matrix that is singular to the dtype's precision."""
        matrix = materialise(system.curvature, progress).T
        matrix.diagonal().add_(system.damping)
        factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)
        unit = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        inverse = torch.linalg.lu_solve(factors, pivots, unit)
        condition = torch.linalg.matrix_norm(matrix, 1) * torch.linalg.matrix_norm(inverse, 1)
        require_regular(float(condition), matrix.dtype, system.damping)
        return system.by(lambda b: torch.linalg.lu_solve(factors, pivots, b.T).T.contiguous())


@dataclass(frozen=True)
class Direct(Solver):
    """The curvature's own factorisation where it has one ("absolute", "word-blocks", EK-FAC), else ``Dense``."""

    name = "direct"

    def init(self, system: System, progress: Progress = silent) -> Solve:
        """Factorise; UserError as the curvature's ``factorise`` and ``Dense``."""
        inverse = system.curvature.factorise(system.damping)
        return Dense().init(system, progress) if inverse is None else system.by(inverse)
