"""Unrolled: the exact derivative of the training run (Maclaurin et al. 2015; Hara et al. 2019; MAGIC 2025)."""

from collections.abc import Sequence
from dataclasses import dataclass

from crossloss.core import Accumulator, Checkpoint, Estimator, Objective, Progress, State, Trajectory, result_of
from crossloss.estimators.gradient import objective_gradients
from crossloss.estimators.resume import resume, save


@dataclass(frozen=True)
class Unrolled(Estimator):
    """The exact derivative of the run: I_i = d f(theta_T(w))/d w_i.

    The adjoint of every step, from the last to the first.

    Exact for the run as it was: no convergence, no convexity, no damping. (Replaces -grad f^T H^-1 grad l_i
    of paper Eqs. 1, 10, 13, printed there without the minus of Koh and Liang.)

    Examples
    --------
    >>> from crossloss.estimators import Unrolled
    >>> scores = cl.score(run, [weat], Unrolled())  # or "unrolled", which is what score takes by itself
    """

    name = "unrolled"
    overflow = "The derivative of this training run overflowed: train with a smaller lr or in float64."

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``, step by step."""
        start, bar = resume(checkpoint, into) or _end(trajectory, objectives)
        rule, field = trajectory.optimiser, trajectory.field
        for t, state in trajectory.backwards(start, gradient=False):
            at = field.at(state["theta"], trajectory.weights, t)
            if "gradient" in rule.needs:
                state["gradient"] = at.value
            bar, a = rule.adjoint(state, t, bar)
            del state
            bar["theta"].add_(at.pullback(a, into))
            del at, a
            progress(trajectory.steps - t, trajectory.steps)
            save(checkpoint, t, bar, into)


def _end(trajectory: Trajectory, objectives: Sequence[Objective]) -> tuple[int, State]:
    """Where the walk begins: after the last step, with the objectives' gradients."""
    final = objective_gradients(trajectory.field, trajectory.theta, objectives)
    state = trajectory.optimiser.init(trajectory.theta)
    zeros = {name: entry.new_zeros(len(final), *entry.shape) for name, entry in state.items()}
    return trajectory.steps, zeros | {result_of(trajectory.optimiser): final}
