"""Adam and AdamW, as ``torch.optim`` has them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crossloss.core import State, UserError
from crossloss.optimisers.rates import Rate, rate


@dataclass(frozen=True, eq=False)
class Adam:
    """``torch.optim.Adam`` (Kingma and Ba 2015), weight decay added to the gradient.

    With G = g + weight_decay theta: m <- b1 m + (1 - b1) G; v <- b2 v + (1 - b2) G^2;
    theta <- theta - lr/(1 - b1^(t+1)) m/D, D = sqrt(v/(1 - b2^(t+1))) + eps. Where v is 0, so is m, and v moves theta
    in second order only: nothing is sent back through it.
    A derivative of sign-like steps (eps far below the gradients) is exact and predicts little: prefer eps of
    1e-3 where scores are to be compared with retraining.

    Parameters
    ----------
    lr : float or function of the step
    betas : (float, float)
    eps : float
        Above 0: without it a step has no derivative at a zero gradient.
    weight_decay : float

    Raises
    ------
    UserError
        Settings out of range.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.Adam(lr=0.01, eps=1e-3), steps=20)
    >>> decaying = cl.Adam(lr=lambda step: 0.01 / (1 + step), eps=1e-3)
    """

    lr: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    needs: ClassVar[tuple[str, ...]] = ("gradient", "m", "v")
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (callable(self.lr) or self.lr >= 0) or not self.weight_decay >= 0:
            raise UserError(f"{type(self).__name__} needs lr and weight_decay of at least 0.")
        if not all(0 <= beta < 1 for beta in self.betas) or not self.eps > 0:
            raise UserError(f"{type(self).__name__} needs betas in [0, 1) and eps above 0.")

    def init(self, theta: Tensor) -> State:
        """Start at ``theta`` with both moments zero."""
        return {"theta": theta, "m": torch.zeros_like(theta), "v": torch.zeros_like(theta)}

    def _moments(self, state: State, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """G, and m and v after it came in."""
        if self.weight_decay and not self.decoupled:
            g = torch.add(g, state["theta"], alpha=self.weight_decay)
        m = torch.lerp(state["m"], g, 1 - self.betas[0])
        v = (state["v"] * self.betas[1]).addcmul_(g, g, value=1 - self.betas[1])
        return g, m, v

    def _scales(self, t: int) -> tuple[float, float]:
        """Step size over the first bias correction, and the root of the second."""
        return rate(self.lr, t) / (1 - self.betas[0] ** (t + 1)), (1 - self.betas[1] ** (t + 1)) ** 0.5

    def _decay(self, t: int) -> float:
        """What decoupled weight decay leaves of theta at step t."""
        return 1 - rate(self.lr, t) * self.weight_decay if self.decoupled else 1.0

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        _, m, v = self._moments(state, g)
        size, correction = self._scales(t)
        d = (v.sqrt() / correction).add_(self.eps)
        theta = state["theta"] * self._decay(t) if self.decoupled else state["theta"]
        return {"theta": torch.addcdiv(theta, m, d, value=-size), "m": m, "v": v}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With l, n, q = theta, m, v of ``bar`` and r = sqrt(v) after the step.

        n <- n - size l/D; q <- q + size l m/(2 correction r D^2), nothing where r = 0;
        a = (1 - b1) n + 2 (1 - b2) G q; then n <- b1 n, q <- b2 q, and l takes what weight decay did.
        """
        b1, b2 = self.betas
        g, m, v = self._moments(state, state["gradient"])
        size, correction = self._scales(t)
        root = v.sqrt()
        d = (root / correction).add_(self.eps)
        through_v = torch.where(root > 0, m / root, torch.zeros_like(m)).div_(d).div_(d).mul_(size / (2 * correction))
        n = torch.addcdiv(bar["m"], bar["theta"], d, value=-size)
        q = torch.addcmul(bar["v"], bar["theta"], through_v)
        a = (n * (1 - b1)).addcmul_(q, g, value=2 * (1 - b2))
        theta = bar["theta"]
        if self.weight_decay:
            theta = theta * self._decay(t) if self.decoupled else torch.add(theta, a, alpha=self.weight_decay)
        return {"theta": theta, "m": n.mul_(b1), "v": q.mul_(b2)}, a


@dataclass(frozen=True, eq=False)
class AdamW(Adam):
    """``torch.optim.AdamW`` (Loshchilov and Hutter 2019): theta <- (1 - lr weight_decay) theta, then Adam's step.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.AdamW(lr=0.01, eps=1e-3), steps=20)
    """

    weight_decay: float = 0.01
    decoupled: ClassVar[bool] = True
