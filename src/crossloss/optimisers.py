"""Update rules, each with its exact adjoint: init, step, adjoint.

``needs`` names what the adjoint reads of the state beside ``theta``; the rest is not kept.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import State


@dataclass(frozen=True, eq=False)
class HeavyBall:
    """Heavy ball with a fixed scale per parameter: v <- beta v + g; theta <- theta - scale v (Polyak 1964).

    Parameters
    ----------
    scale : (p,) tensor
        Learning rate over the preconditioner, lr / D.
    momentum : float
        beta, no dampening.
    """

    scale: Tensor
    momentum: float = 0.9
    needs: tuple[str, ...] = ()

    def init(self, theta: Tensor) -> State:
        """Start at ``theta`` with no velocity."""
        return {"theta": theta, "velocity": torch.zeros_like(theta)}

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        velocity = torch.add(g, state["velocity"], alpha=self.momentum)
        return {"theta": torch.addcmul(state["theta"], self.scale, velocity, value=-1), "velocity": velocity}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """N <- n - scale l; a = n; then n <- beta n. ``bar`` holds l = theta, n = velocity, each (k, p)."""
        a = torch.addcmul(bar["velocity"], self.scale, bar["theta"], value=-1)
        return {"theta": bar["theta"], "velocity": a * self.momentum}, a
