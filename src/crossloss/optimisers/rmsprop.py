"""RMSprop, as ``torch.optim`` has it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import State, UserError
from crossloss.optimisers.rates import Rate, rate, within
from crossloss.optimisers.terms import over_root, with_decay


@dataclass(frozen=True, eq=False)
class RMSprop:
    """``torch.optim.RMSprop`` (Hinton 2012; centered: Graves 2013).

    With G = g + weight_decay theta: v <- alpha v + (1 - alpha) G^2; D = sqrt(v) + eps, where ``centered``
    sqrt(v - mean^2) + eps with mean <- alpha mean + (1 - alpha) G; b <- momentum b + G/D; theta <- theta - lr b.
    Where the root is 0, nothing is sent back through it, as for ``Adam``.

    Parameters
    ----------
    lr, momentum : float or function of the step
    alpha : float
    eps : float
        Above 0: without it a step has no derivative at a zero gradient.
    weight_decay : float
    centered : bool

    Raises
    ------
    UserError
        Settings out of range.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.RMSprop(lr=0.01, eps=1e-3), steps=20)
    """

    lr: Rate = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: Rate = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        if not within(self.lr, 0) or not within(self.momentum, 0) or not self.weight_decay >= 0:
            raise UserError("RMSprop needs lr, momentum and weight_decay of at least 0.")
        if not 0 <= self.alpha < 1 or not self.eps > 0:
            raise UserError("RMSprop needs alpha in [0, 1) and eps above 0.")

    @property
    def needs(self) -> tuple[str, ...]:
        """The gradient and its averages."""
        return ("gradient", "v", "mean") if self.centered else ("gradient", "v")

    def init(self, theta: Tensor) -> State:
        """Start at ``theta``, with all averages and the velocity zero."""
        names = ("v", *(["mean"] if self.centered else []), *(["velocity"] if self.momentum else []))
        return {"theta": theta} | {name: torch.zeros_like(theta) for name in names}

    def _averages(self, state: State, g: Tensor) -> tuple[Tensor, State, Tensor]:
        """G, its averages after it came in, and the root of the second moment."""
        g = with_decay(g, state, self.weight_decay)
        v = (state["v"] * self.alpha).addcmul_(g, g, value=1 - self.alpha)
        if not self.centered:
            return g, {"v": v}, v.sqrt()
        mean = torch.lerp(state["mean"], g, 1 - self.alpha)
        return g, {"v": v, "mean": mean}, v.addcmul(mean, mean, value=-1).sqrt()

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        lr, momentum = rate(self.lr, t), rate(self.momentum, t)
        g, averages, root = self._averages(state, g)
        d = root + self.eps
        if not momentum:
            return state | averages | {"theta": torch.addcdiv(state["theta"], g, d, value=-lr)}
        velocity = (state["velocity"] * momentum).addcdiv_(g, d)
        return averages | {"theta": torch.add(state["theta"], velocity, alpha=-lr), "velocity": velocity}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With l, n, q, c = theta, velocity, v, mean of ``bar`` and r the root after the step.

        n <- n - lr l; q <- q - n G/(2 r D^2), c <- c + n G mean/(r D^2), nothing where r = 0;
        a = n/D + 2 (1 - alpha) G q + (1 - alpha) c; n <- momentum n, q <- alpha q, c <- alpha c, l takes weight decay.
        """
        lr, momentum, back = rate(self.lr, t), rate(self.momentum, t), bar.copy()
        g, averages, root = self._averages(state, state["gradient"])
        d = root + self.eps
        if momentum:
            n = torch.add(bar["velocity"], bar["theta"], alpha=-lr)
            back["velocity"] = n * momentum
        else:
            n = bar["theta"] * -lr
        through = over_root(g, root, d)
        q = torch.addcmul(bar["v"], n, through, value=-0.5)
        a = (n / d).addcmul_(q, g, value=2 * (1 - self.alpha))
        back["v"] = q * self.alpha
        if self.centered:
            c = torch.addcmul(bar["mean"], n, through * averages["mean"])
            a = torch.add(a, c, alpha=1 - self.alpha)
            back["mean"] = c * self.alpha
        if self.weight_decay:
            back["theta"] = torch.add(bar["theta"], a, alpha=self.weight_decay)
        return back, a
