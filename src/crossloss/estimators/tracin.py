"""TracIn: what each step of the run did to the objective, summed (Pruthi et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from crossloss.core import FULL_BATCH, Accumulator, Checkpoint, Estimator, Objective, Progress, Trajectory, UserError
from crossloss.estimators.gradient import objective_gradients
from crossloss.estimators.resume import resume, save


@dataclass(frozen=True)
class TracIn(Estimator):
    """The unrolled score without curvature: I_i = - sum_t lr_t grad f(theta_t) . grad l_i(theta_t).

    To first order in each step f(theta_T) - f(theta_0) = sum_t grad f(theta_t) . (theta_{t+1} - theta_t); the score
    is the derivative of that sum by w_i with every theta_t held. The learning rate is therefore whatever the
    optimiser's own adjoint says that g_t moves: a scale per parameter (a preconditioner, Adam's denominator) enters
    as it entered the step, and under momentum g_t is credited with the later steps that it rides on, in all
    lr / (1 - beta). For plain SGD it is Pruthi's TracIn, in the unit of f.

    Parameters
    ----------
    every : int
        1: all steps, each with its own mini-batch. s > 1: the state at the end of each s steps stands for all s of
        them (TracInCP), with the training loss as a whole, for a cost of 1/s.

    Raises
    ------
    UserError
        ``every`` is no whole number of 1 or more.

    Examples
    --------
    >>> from crossloss.estimators import TracIn
    >>> scores = cl.score(run, [weat], TracIn(every=10))  # or "tracin", which is every=1
    """

    every: int = 1
    name = "tracin"
    overflow = "TracIn's sums over this training run overflowed: score it in float64."

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise UserError(f"TracIn counts every s-th state: s is 1 or more, and whole, not {self.every!r}.")

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``, state by state."""
        field, steps = trajectory.field, trajectory.steps
        state = trajectory.optimiser.init(trajectory.theta)
        fresh = {name: entry.new_zeros(len(objectives), *entry.shape) for name, entry in state.items()}
        start, bar = resume(checkpoint, into) or (steps, fresh)
        here, slope, credit = trajectory.theta, bar["theta"], torch.zeros_like(bar["theta"])
        for t, state in trajectory.backwards(start):
            if (steps - 1 - t) % self.every == 0:
                here, credit = state["theta"], torch.zeros_like(slope)
                slope = objective_gradients(field, here, objectives)
            # Only what the optimiser carries beside theta goes on to earlier steps.
            bar, a = trajectory.optimiser.adjoint(state, t, bar | {"theta": slope.clone()})
            credit += a
            if (steps - t) % self.every == 0 or t == 0:
                at = field.at(here, trajectory.weights, t if self.every == 1 else FULL_BATCH)
                at.weight_gradient(credit, into)
                save(checkpoint, t, bar, into)
            progress(steps - t, steps)
