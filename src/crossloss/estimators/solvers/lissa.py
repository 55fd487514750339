"""LiSSA: the inverse as a power series, as in the paper's Algorithm 1."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from crossloss.core import Checkpoint, Progress, UserError, silent
from crossloss.estimators.solvers.system import Solution, Solve, Solver, System, relative


@dataclass(frozen=True)
class LiSSA(Solver):
    """Truncated Neumann series (Agarwal, Bullins, Hazan 2017, Sec. 4).

    h_j = b + (I - (C^T + damping)/scale) h_{j-1}; x = h_depth / scale.

    Koh and Liang's code, and the paper's, write (1 - d) h - C h / scale, where d is ours over the scale: their
    d = .01 at scale 25 is damping .25 here. The division by the scale at the end, which the paper's code leaves
    out, makes x a solution.

    Parameters
    ----------
    scale : float
        Above half the largest eigenvalue of C + damping, or the series diverges.
    depth : int
        Terms of the series.
    sampled : bool
        Draw the curvature of one step of the run (its mini-batch) for each term; where all steps see all samples
        that changes nothing.
    repeats : int
        Series averaged, each with its own draws; used where ``sampled``.
    tolerance : float
        |residual| / |b| that the result must reach, on the training loss as a whole; draws leave noise, so give
        as much as they need.
    seed : int
        Of the draws.

    Examples
    --------
    >>> from crossloss.estimators import InverseHessian, LiSSA
    >>> scores = cl.score(run, [weat], InverseHessian(solver=LiSSA(scale=5.0), damping=0.1))
    """

    name = "lissa"
    scale: float
    depth: int = 1_000
    sampled: bool = False
    repeats: int = 1
    tolerance: float = 1e-2
    seed: int = 0

    def init(self, system: System, progress: Progress = silent) -> Solve:
        """What solves; UserError for settings out of range, no steps to draw from, or a series without convergence."""
        if not (self.scale > 0 and self.depth > 0 and self.repeats > 0):
            raise UserError("LiSSA needs a scale, a depth and repeats above 0.")
        if self.sampled and not system.curvature.steps:
            raise UserError("LiSSA draws steps of a training run's Jacobian, which is not here: use sampled=False.")
        return partial(self._solve, system)

    def _solve(self, system: System, b: Tensor, progress: Progress, checkpoint: Checkpoint | None = None) -> Solution:
        repeats = self.repeats if self.sampled else 1
        generator = torch.Generator().manual_seed(self.seed)
        saved = checkpoint.load() if checkpoint else None
        done, total, h = 0, torch.zeros_like(b), b
        if saved is not None:
            done, total, h = int(saved["step"]), saved["total"], saved["h"]
        for number in range(repeats * self.depth):
            term = system
            if self.sampled:  # drawn for terms that are done as well, so that the draws stay the same
                step = int(torch.randint(system.curvature.steps, (), generator=generator))
                term = System(system.curvature.of_step(step), system.damping)
            if number < done:
                continue
            if number % self.depth == 0:
                h = b
            h = b + h - term.product(h) / self.scale
            if (number + 1) % self.depth == 0:
                total = total + h
            progress(number + 1, repeats * self.depth)
            if checkpoint and checkpoint.due(number + 1):
                checkpoint.save({"step": torch.tensor(number + 1), "total": total, "h": h})
        x = total / (repeats * self.scale)
        solution = Solution(x, relative(b - system.product(x), b).nan_to_num(math.inf), repeats * self.depth)
        worst = float(solution.residual.max())
        if not worst < max(1.0, self.tolerance):
            raise UserError(
                f"LiSSA diverged (relative residual {worst:.1e}): raise the scale above {self.scale:g}, or the damping "
                "where the curvature is negative."
            )
        limit = f"{self.depth} terms, not {self.tolerance:g}"
        return solution.within(self.tolerance, "LiSSA", limit, "raise depth or damping, or loosen the tolerance")
