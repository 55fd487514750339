"""Dense: the whole matrix, factorised."""

from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import Progress
from crossloss.estimators.curvature import materialise, require_regular
from crossloss.estimators.solvers.system import Solution, System


@dataclass(frozen=True)
class Dense:
    """LU factorisation of the matrix, symmetric or not (Golub and Van Loan, Matrix Computations, 3.4).

    Takes negative curvature as it is: the solution is that of the linear system.
    """

    def solve(self, system: System, b: Tensor, progress: Progress | None = None) -> Solution:
        """Solve for the rows of ``b`` (k, p).

        Raises
        ------
        UserError
            Too many parameters, or the matrix is singular to the dtype's precision.
        """
        matrix = materialise(system.curvature, b, progress).T
        matrix.diagonal().add_(system.damping)
        factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)
        unit = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        inverse = torch.linalg.lu_solve(factors, pivots, unit)
        condition = torch.linalg.matrix_norm(matrix, 1) * torch.linalg.matrix_norm(inverse, 1)
        require_regular(float(condition), matrix.dtype, system.damping)
        return system.solution(torch.linalg.lu_solve(factors, pivots, b.T).T.contiguous(), b, 1)
