"""Adagrad, as ``torch.optim`` has it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crossloss.core import State, UserError
from crossloss.optimisers.rates import Rate, rate, within
from crossloss.optimisers.terms import over_root, with_decay


@dataclass(frozen=True, eq=False)
class Adagrad:
    """``torch.optim.Adagrad`` (Duchi et al. 2011).

    With G = g + weight_decay theta: v <- v + G^2; theta <- theta - lr/(1 + t lr_decay) G/(sqrt(v) + eps), t from 0.
    Where v is 0, nothing is sent back through it, as for ``Adam``.

    Parameters
    ----------
    lr : float or function of the step
    lr_decay, weight_decay : float
    initial_accumulator_value : float
        v before the first step.
    eps : float
        Above 0: without it a step has no derivative at a zero gradient.

    Raises
    ------
    UserError
        Settings out of range.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.Adagrad(lr=0.1, eps=1e-3), steps=20)
    """

    lr: Rate = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    needs: ClassVar[tuple[str, ...]] = ("gradient", "v")

    def __post_init__(self) -> None:
        if not within(self.lr, 0) or not all(
            x >= 0 for x in (self.lr_decay, self.weight_decay, self.initial_accumulator_value)
        ):
            raise UserError("Adagrad needs lr, lr_decay, weight_decay and initial_accumulator_value of at least 0.")
        if not self.eps > 0:
            raise UserError("Adagrad needs eps above 0.")

    def init(self, theta: Tensor) -> State:
        """Start at ``theta``."""
        return {"theta": theta, "v": torch.full_like(theta, self.initial_accumulator_value)}

    def _sums(self, state: State, g: Tensor) -> tuple[Tensor, Tensor]:
        """G, and v after it came in."""
        g = with_decay(g, state, self.weight_decay)
        return g, torch.addcmul(state["v"], g, g)

    def _size(self, t: int) -> float:
        return rate(self.lr, t) / (1 + t * self.lr_decay)

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        g, v = self._sums(state, g)
        return {"theta": torch.addcdiv(state["theta"], g, v.sqrt() + self.eps, value=-self._size(t)), "v": v}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With l, q = theta, v of ``bar``, r = sqrt(v) after the step and D = r + eps.

        n = -size l; q <- q - n G/(2 r D^2), nothing where r = 0; a = n/D + 2 G q; l <- l + weight_decay a.
        """
        g, v = self._sums(state, state["gradient"])
        root = v.sqrt()
        d = root + self.eps
        n = bar["theta"] * -self._size(t)
        through = over_root(g, root, d)
        q = torch.addcmul(bar["v"], n, through, value=-0.5)
        a = (n / d).addcmul_(q, g, value=2)
        theta = torch.add(bar["theta"], a, alpha=self.weight_decay) if self.weight_decay else bar["theta"]
        return {"theta": theta, "v": q}, a
