"""Undo, reinforce, both: correct a trained model by a few steps on a few samples (paper Sec. 4.4).

K passes over the set, one optimiser step a sample: the amplifiers A first, by gradient ascent on their loss, then
the mitigators M, by descent. A and M are the ends of the ranking by sign(f - target) I. A step is a plain one of the
run's own size and preconditioner, so K passes over A take back what K such steps of the training run put in.
(The published ``both`` never loads M; here it does.)
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.skipgram.model import require_skipgram
from crossloss.models.skipgram.sample_step import SampleSteps
from crossloss.optimisers import HeavyBall
from crossloss.run.run import Run

ARMS = ("undo", "reinforce", "both")
DIVERGED = "diverged"


@dataclass(frozen=True, eq=False)
class Update:
    """A correction by steps on single samples.

    Attributes
    ----------
    how : str
        undo, reinforce or both.
    undone, reinforced : int64 arrays
        A and M, strongest first.
    passes : int
        K.
    """

    how: str
    undone: np.ndarray
    reinforced: np.ndarray
    passes: int

    def walk(self, run: Run, theta: Tensor) -> Iterator[Tensor]:
        """Yield the parameters (p,) after each pass, starting from ``theta``; each is overwritten by the next.

        Raises
        ------
        UserError
            The parameters are no longer finite.
        """
        theta = theta.detach().clone()
        rate = base_rate(run)
        steps = SampleSteps(
            require_skipgram(run.model, self.how).build(), np.concatenate([self.undone, self.reinforced])
        )
        for number in range(1, self.passes + 1):
            for sample in self.undone.tolist():
                steps.step_(theta, sample, -rate)
            for sample in self.reinforced.tolist():
                steps.step_(theta, sample, rate)
            if not bool(torch.isfinite(theta.sum())):
                raise UserError(f"The {self.how} update {DIVERGED} in pass {number}: choose fewer passes or samples.")
            yield theta

    def apply(self, run: Run, theta: Tensor) -> Tensor:
        """Parameters (p,) after all passes."""
        (last,) = deque(self.walk(run, theta), maxlen=1)
        return last

    def held_in(self, kept: np.ndarray | None) -> "Update":
        """The same without samples of ``kept`` 0, (n,)."""
        if kept is None:
            return self
        undone, reinforced = (rows[kept[rows] > 0] for rows in (self.undone, self.reinforced))
        return Update(self.how, undone, reinforced, self.passes)

    def weights(self, before: np.ndarray) -> np.ndarray:
        """The nearest weights for training anew, (n,): A left out, M twice."""
        weights = before.copy()
        weights[self.undone] = 0.0
        weights[self.reinforced] *= 2
        return weights

    def to_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        undone, reinforced = self.undone.tolist(), self.reinforced.tolist()
        return {"how": self.how, "undone": undone, "reinforced": reinforced, "passes": self.passes}

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> "Update":
        """Inverse of ``to_json``."""
        undone, reinforced = (np.array(known[name], dtype=np.int64) for name in ("undone", "reinforced"))
        return cls(known["how"], undone, reinforced, known["passes"])

    def signed(self, samples: int) -> np.ndarray:
        """Passes by sample (n,) int64: -K for A, K for M, else 0."""
        passes = np.zeros(samples, dtype=np.int64)
        passes[self.undone], passes[self.reinforced] = -self.passes, self.passes
        return passes


def base_rate(run: Run) -> float:
    """Learning rate of the run before its preconditioner; UserError where it is no heavy ball with one rate."""
    rule = run.given_optimiser
    if not isinstance(rule, HeavyBall) or isinstance(rule.scale, Tensor):
        raise UserError("Undo, reinforce and both step on a skip-gram run trained by cl.HeavyBall(rate).")
    return float(rule.scale)


def update(
    scores: np.ndarray, weights: np.ndarray, *, value: float, target: float, how: str, size: int, passes: int
) -> Update:
    """Choose A and M for one objective; ``both`` takes ``size`` of each.

    A target beyond the value, seen from zero, turns the correction round (over-bias).

    Parameters
    ----------
    scores, weights : (n,) arrays
        I_i, and the weights the run was trained with: samples of weight 0 are in neither set.
    value, target : float
        The objective now, and where it should go.
    how : str
        One of ``ARMS``.
    size, passes : int
        Most samples in a set; K.

    Raises
    ------
    UserError
        Another way, a size or number of passes below 1, or scores that are not finite.
    """
    if how not in ARMS:
        raise UserError(f"There is no update {how!r}; there are: {', '.join(ARMS)}.")
    if size < 1 or passes < 1:
        raise UserError("An update needs at least one sample and one pass.")
    if not (np.isfinite(scores).all() and np.isfinite([value, target]).all()):
        raise UserError("An update needs finite scores and a finite target.")
    helpful = np.where(weights > 0, np.sign(value - target) * scores, 0.0)
    order = np.argsort(-helpful, kind="stable")
    amplifiers = order[:size][helpful[order[:size]] > 0]
    mitigators = order[::-1][:size][helpful[order[::-1][:size]] < 0]
    none = np.empty(0, dtype=np.int64)
    return Update(how, amplifiers if how != "reinforce" else none, mitigators if how != "undo" else none, passes)
