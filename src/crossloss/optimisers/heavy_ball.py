"""Heavy ball with a scale per parameter."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crossloss.core import State
from crossloss.optimisers.rates import Rate, rate


@dataclass(frozen=True, eq=False)
class HeavyBall:
    """Heavy ball with a fixed scale per parameter: v <- momentum v + g; theta <- theta - scale v (Polyak 1964).

    Parameters
    ----------
    scale : float or (p,) tensor
        Learning rate over the preconditioner; a number is divided by a model's own preconditioner (skip-gram).
    momentum : float, or a function of the step

    Examples
    --------
    >>> run = cl.train(cl.SkipGram(corpus, keep_words=weat.words), cl.HeavyBall(4.0, momentum=0.8), steps=20)
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.HeavyBall(0.1), steps=20)
    """

    scale: float | Tensor
    momentum: Rate = 0.9
    needs: ClassVar[tuple[str, ...]] = ()

    def init(self, theta: Tensor) -> State:
        """Start at ``theta`` with no velocity."""
        return {"theta": theta, "velocity": torch.zeros_like(theta)}

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        velocity = torch.add(g, state["velocity"], alpha=rate(self.momentum, t))
        return {"theta": self._scaled(state["theta"], velocity), "velocity": velocity}

    def _scaled(self, at: Tensor, by: Tensor) -> Tensor:
        """``at - scale * by``."""
        if isinstance(self.scale, Tensor):
            return torch.addcmul(at, self.scale, by, value=-1)
        return torch.add(at, by, alpha=-self.scale)

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """N <- n - scale l; a = n; then n <- beta n. ``bar`` holds l = theta, n = velocity, each (k, p)."""
        a = self._scaled(bar["velocity"], bar["theta"])
        return {"theta": bar["theta"], "velocity": a * rate(self.momentum, t)}, a
