"""Unrolled: the exact derivative of the training run (Maclaurin et al. 2015; Hara et al. 2019; MAGIC 2025)."""

from collections.abc import Sequence

import torch

from crossloss.core import Accumulator, Checkpoint, Objective, Progress, Trajectory, UserError
from crossloss.estimators.gradient import objective_gradients
from crossloss.estimators.resume import resume, save


def unrolled(
    trajectory: Trajectory,
    objectives: Sequence[Objective],
    *,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Accumulator:
    """I_i = d f(theta_T(w))/d w_i: the adjoint of every step, from the last to the first.

    Exact for the run as it was: no convergence, no convexity, no damping. (Replaces -grad f^T H^-1 grad l_i
    of paper Eqs. 1, 10, 13, printed there without the minus of Koh and Liang.)

    Raises
    ------
    UserError
        An objective has no finite gradient, or the adjoint grew beyond the dtype.
    """
    field = trajectory.field
    into = field.accumulator(len(objectives))
    resumed = resume(checkpoint, into)
    if resumed is not None:
        start, bar = resumed
    else:
        start, final = trajectory.steps, objective_gradients(field, trajectory.theta, objectives)
        names = trajectory.optimiser.init(trajectory.theta)
        bar = {name: torch.zeros_like(final) for name in names} | {"theta": final}
    for t, state in trajectory.backwards(start):
        bar, a = trajectory.optimiser.adjoint(state, t, bar)
        bar["theta"].add_(field.pullback(state["theta"], trajectory.weights, t, a, into))
        if progress:
            progress(trajectory.steps - t, trajectory.steps)
        save(checkpoint, t, bar, into)
    if not all(torch.isfinite(live).all() for live in into.tensors().values()):
        raise UserError("The derivative of this training run overflowed: train with a smaller lr or in float64.")
    return into
