"""Stochastic gradient descent, as ``torch.optim.SGD`` has it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crossloss.core import State, UserError
from crossloss.optimisers.rates import Rate, rate, within
from crossloss.optimisers.terms import with_decay


@dataclass(frozen=True, eq=False)
class SGD:
    """``torch.optim.SGD``: plain, with momentum, or Nesterov's (Sutskever et al. 2013).

    With G = g + weight_decay theta: b <- momentum b + (1 - dampening) G (the first step: b <- G), then
    theta <- theta - lr b, or theta - lr (G + momentum b) where ``nesterov``.

    Parameters
    ----------
    lr, momentum : float or function of the step
    dampening, weight_decay : float
    nesterov : bool

    Raises
    ------
    UserError
        Settings out of range.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.SGD(lr=0.1, momentum=0.9), steps=20)
    >>> scores = cl.score(run, [lambda m: F.cross_entropy(m(x), y)])
    """

    lr: Rate
    momentum: Rate = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not within(self.lr, 0) or not within(self.momentum, 0) or not self.weight_decay >= 0:
            raise UserError("SGD needs lr, momentum and weight_decay of at least 0.")
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise UserError("SGD with nesterov needs a momentum above 0 and no dampening.")

    def init(self, theta: Tensor) -> State:
        """Start at ``theta``, with no velocity where there is momentum."""
        return {"theta": theta} | ({"velocity": torch.zeros_like(theta)} if self.momentum else {})

    def _share(self, t: int) -> float:
        """What of G enters the velocity at step t: all of it at the first that has momentum."""
        return 1 - self.dampening if any(rate(self.momentum, s) for s in range(t)) else 1.0

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        theta, lr, momentum = state["theta"], rate(self.lr, t), rate(self.momentum, t)
        g = with_decay(g, state, self.weight_decay)
        if not momentum:
            return state | {"theta": torch.add(theta, g, alpha=-lr)}
        velocity = (state["velocity"] * momentum).add_(g, alpha=self._share(t))
        move = torch.add(g, velocity, alpha=momentum) if self.nesterov else velocity
        return {"theta": torch.add(theta, move, alpha=-lr), "velocity": velocity}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With l = theta and n = velocity of ``bar``: n <- n - lr l; a = (1 - dampening) n; n <- momentum n.

        Nesterov: n <- n - lr momentum l and a = n - lr l. Weight decay: l <- l + weight_decay a.
        """
        lr, momentum, back = rate(self.lr, t), rate(self.momentum, t), bar.copy()
        if not momentum:
            a = bar["theta"] * -lr
        else:
            inner = lr * momentum if self.nesterov else lr
            velocity = torch.add(bar["velocity"], bar["theta"], alpha=-inner)
            a = velocity * self._share(t)
            if self.nesterov:
                a.sub_(bar["theta"], alpha=lr)
            back["velocity"] = velocity.mul_(momentum)
        theta = torch.add(bar["theta"], a, alpha=self.weight_decay) if self.weight_decay else bar["theta"]
        return back | {"theta": theta}, a
