"""A way to compute scores."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, ClassVar

import torch

from crossloss.core.errors import UserError
from crossloss.core.field import Field
from crossloss.core.gradients import Accumulator
from crossloss.core.objective import Objective
from crossloss.core.trajectory import Cache, Checkpoint, Trajectory

Progress = Callable[[int, int], None]
"""Called with (done, total) as work proceeds."""


def silent(done: int, total: int) -> None:
    """Show no progress."""


class Estimator(ABC):
    """A way to compute scores, I_i = d f / d w_i; a frozen dataclass of its settings."""

    overflow: ClassVar[str] = "The scores overflowed: use float64."
    """The sentence of the UserError where a sum is not finite."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in tables and files, in lower case and hyphens."""

    @abstractmethod
    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores of every sample for every objective to ``into``."""

    def __call__(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        *,
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Accumulator:
        """Scores of every sample for every objective, by the ``samples`` of what it returns.

        UserError: an objective has no finite gradient, the scores overflow, or the estimator cannot take this run.
        """
        into = trajectory.field.accumulator(len(objectives))
        self.add(trajectory, objectives, into, progress or silent, checkpoint)
        if not all(bool(torch.isfinite(live).all()) for live in into.tensors().values()):
            raise UserError(self.overflow)
        return into

    def at(self, trajectory: Trajectory, cache: Cache | None = None) -> Callable[..., Accumulator]:
        """Return the estimator of one trajectory: what all its calls need is computed once, in the first.

        ``cache`` is where it may lie from one process to the next.
        """
        return partial(self, trajectory)

    def left_out(self, field: Field) -> list[tuple[str, int]]:
        """Names and sizes of the parameters whose part of the influence is not in the scores."""
        return []

    def damped(self, damping: float) -> "Estimator":
        """The same with a damping; UserError where there is none to give."""
        raise UserError(f"{self.name} takes no damping: it is for the inverse-Hessian estimators.")

    def settings(self) -> dict[str, Any] | None:
        """Plain values that identify it in any process; None where a function is among them, which nothing does."""
        try:
            return {"estimator": self.name, **_plain(self)}
        except TypeError:
            return None


class PreparedEstimator(Estimator):
    """One whose calls on a trajectory share work, such as a factorisation, which the first of them does."""

    @abstractmethod
    def prepared(self, trajectory: Trajectory, cache: Cache | None = None) -> Estimator:
        """The estimator of one trajectory, which does the work in its first call."""

    def at(self, trajectory: Trajectory, cache: Cache | None = None) -> Callable[..., Accumulator]:
        """Return the estimator of one trajectory, whose work serves all calls."""
        return partial(self.prepared(trajectory, cache), trajectory)

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``."""
        self.prepared(trajectory).add(trajectory, objectives, into, progress, checkpoint)


def _plain(value: Any) -> Any:
    """A dataclass as a dict of its fields, and plain values as they are; TypeError for others."""
    if is_dataclass(value):
        return {"type": type(value).__name__} | {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError
