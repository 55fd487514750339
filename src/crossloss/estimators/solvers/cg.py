"""Conjugate gradient for many right-hand sides at once."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.linalg import vecdot, vector_norm

from crossloss.core import Checkpoint, Progress, UserError, silent
from crossloss.estimators.curvature import require_finite
from crossloss.estimators.solvers.system import Solution, Solve, Solver, System


@dataclass(frozen=True)
class ConjugateGradient(Solver):
    """Conjugate gradient (Hestenes and Stiefel 1952), each right-hand side with its own steps, in shared products.

    Parameters
    ----------
    tolerance : float
        |residual| / |b| at which a right-hand side is done.
    iterations : int
        At most.

    Examples
    --------
    >>> from crossloss.estimators import ConjugateGradient, InverseHessian
    >>> scores = cl.score(run, [weat], InverseHessian(solver=ConjugateGradient(tolerance=1e-3), damping=0.1))
    """

    name = "cg"
    tolerance: float = 1e-5
    iterations: int = 1_000

    def init(self, system: System, progress: Progress = silent) -> Solve:
        """What solves; UserError for a curvature that is not symmetric and positive definite, or no convergence."""
        system.require_symmetric("CG")
        return partial(self._solve, system)

    def _solve(self, system: System, b: Tensor, progress: Progress, checkpoint: Checkpoint | None = None) -> Solution:
        sizes = b.norm(dim=1, keepdim=True)
        saved = checkpoint.load() if checkpoint else None
        if saved is None:
            x, rows, used = torch.zeros_like(b), sizes.flatten().nonzero().flatten(), 0
            # What is still to be solved, a row each, in units of its own |b|.
            r = b[rows] / sizes[rows]
            at, d, square = torch.zeros_like(r), r.clone(), vecdot(r, r)
        else:
            used = int(saved["step"])
            x, rows, at, r, d, square = (saved[name] for name in ("x", "rows", "at", "r", "d", "square"))
        while used < self.iterations and len(rows):
            image = system.product(d)
            curved = vecdot(d, image)
            _require_positive(system, d, image, curved)
            step = (square / curved)[:, None]
            at.addcmul_(step, d)
            r.addcmul_(step, image, value=-1)
            before, square = square, vecdot(r, r)
            d = torch.addcmul(r, (square / before)[:, None], d)
            used += 1
            going = square > self.tolerance**2
            if not bool(going.all()):
                x[rows[~going]] = at[~going]
                rows, at, r, d, square = (part[going] for part in (rows, at, r, d, square))
            progress(used, self.iterations)
            if checkpoint and checkpoint.due(used):
                vectors = {"x": x, "rows": rows, "at": at, "r": r, "d": d, "square": square}
                checkpoint.save({"step": torch.tensor(used)} | vectors)
        x[rows] = at
        x *= sizes
        solution = system.solution(x, b, used)
        progress(self.iterations, self.iterations)
        # The recursion drifts from the true residual by rounding; that much is allowed, more is not.
        return solution.within(
            2 * self.tolerance,
            "CG",
            f"{used} iterations, not {self.tolerance:g}",
            "raise the damping or the iterations, loosen the tolerance, or use float64",
        )


def _require_positive(system: System, d: Tensor, image: Tensor, curved: Tensor) -> None:
    """Refuse a direction without curvature, naming a damping that would bend it up."""
    bent = curved > torch.finfo(d.dtype).eps * vector_norm(d, dim=1) * vector_norm(image, dim=1)
    if not bool(bent.all()):
        require_finite(curved)
        lowest = float((curved / (d * d).sum(1))[~bent].min()) - system.damping
        raise UserError(
            f"The curvature has a direction of {lowest:.1e}, so that with damping {system.damping:g} it is not "
            f"positive definite, which CG needs: give a damping above {max(-lowest, 0):.1e}, or use GMRES or the "
            "absolute Hessian."
        )
