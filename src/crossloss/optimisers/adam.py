"""Adam and AdamW, as ``torch.optim`` has them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crossloss.core import State, UserError
from crossloss.optimisers.rates import Rate, rate, within
from crossloss.optimisers.terms import over_root, with_decay


@dataclass(frozen=True, eq=False)
class Adam:
    """``torch.optim.Adam`` (Kingma and Ba 2015), weight decay added to the gradient.

    With G = g + weight_decay theta: m <- b1 m + (1 - b1) G; v <- b2 v + (1 - b2) G^2;
    theta <- theta - lr/(1 - b1^(t+1)) m/D, D = sqrt(v/(1 - b2^(t+1))) + eps. Where v is 0, so is m, and v moves theta
    in second order only: nothing is sent back through it. With ``amsgrad`` D is of the largest v so far.
    A derivative of sign-like steps (eps far below the gradients) is exact and predicts little: prefer eps of
    1e-3 where scores are to be compared with retraining.

    Parameters
    ----------
    lr : float or function of the step
    betas : (float, float), or functions of the step
    eps : float
        Above 0: without it a step has no derivative at a zero gradient.
    weight_decay : float
    amsgrad : bool

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
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not within(self.lr, 0) or not self.weight_decay >= 0:
            raise UserError(f"{type(self).__name__} needs lr and weight_decay of at least 0.")
        if not all(within(beta, 0, 1) for beta in self.betas) or not self.eps > 0:
            raise UserError(f"{type(self).__name__} needs betas in [0, 1) and eps above 0.")

    @property
    def _moments_kept(self) -> tuple[str, ...]:
        return ("m", "v", "v_max") if self.amsgrad else ("m", "v")

    @property
    def needs(self) -> tuple[str, ...]:
        """The gradient and all moments."""
        return ("gradient", *self._moments_kept)

    def init(self, theta: Tensor) -> State:
        """Start at ``theta`` with all moments zero."""
        return {"theta": theta} | {name: torch.zeros_like(theta) for name in self._moments_kept}

    def _betas(self, t: int) -> tuple[float, float]:
        return rate(self.betas[0], t), rate(self.betas[1], t)

    def _moments(self, state: State, g: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
        """G, and m and v after it came in."""
        if not self.decoupled:
            g = with_decay(g, state, self.weight_decay)
        b1, b2 = self._betas(t)
        m = torch.lerp(state["m"], g, 1 - b1)
        v = (state["v"] * b2).addcmul_(g, g, value=1 - b2)
        return g, m, v

    def _scales(self, t: int) -> tuple[float, float]:
        """Step size over the first bias correction, and the root of the second."""
        b1, b2 = self._betas(t)
        return rate(self.lr, t) / (1 - b1 ** (t + 1)), (1 - b2 ** (t + 1)) ** 0.5

    def _decay(self, t: int) -> float:
        """What decoupled weight decay leaves of theta at step t."""
        return 1 - rate(self.lr, t) * self.weight_decay if self.decoupled else 1.0

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        _, m, v = self._moments(state, g, t)
        after = {"m": m, "v": v}
        if self.amsgrad:
            after["v_max"] = torch.maximum(state["v_max"], v)
        size, correction = self._scales(t)
        d = (after[self._moments_kept[-1]].sqrt() / correction).add_(self.eps)
        theta = state["theta"] * self._decay(t) if self.decoupled else state["theta"]
        return {"theta": torch.addcdiv(theta, m, d, value=-size)} | after

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With l, n, q = theta, m, v of ``bar`` and r = sqrt(v) after the step.

        n <- n - size l/D; q <- q + size l m/(2 correction r D^2), nothing where r = 0;
        a = (1 - b1) n + 2 (1 - b2) G q; then n <- b1 n, q <- b2 q, and l takes what weight decay did.
        With ``amsgrad`` r is of the largest v, and what goes back through it goes to the v that was largest.
        """
        b1, b2 = self._betas(t)
        g, m, v = self._moments(state, state["gradient"], t)
        size, correction = self._scales(t)
        root = torch.maximum(state["v_max"], v).sqrt_() if self.amsgrad else v.sqrt_()
        d = (root / correction).add_(self.eps)
        through_v = over_root(m, root, d).mul_(size / (2 * correction))
        del m, root  # of a large model every vector counts
        n = bar["m"].addcdiv_(bar["theta"], d, value=-size)
        q, back = bar[self._moments_kept[-1]].addcmul_(bar["theta"], through_v), {}
        del d, through_v
        if self.amsgrad:
            back["v_max"] = q * (v < state["v_max"])
            q = bar["v"] + q * (v >= state["v_max"])
        a = (n * (1 - b1)).addcmul_(q, g, value=2 * (1 - b2))
        theta = bar["theta"]
        if self.weight_decay:
            theta = theta.mul_(self._decay(t)) if self.decoupled else theta.add_(a, alpha=self.weight_decay)
        return {"theta": theta, "m": n.mul_(b1), "v": q.mul_(b2)} | back, a


@dataclass(frozen=True, eq=False)
class AdamW(Adam):
    """``torch.optim.AdamW`` (Loshchilov and Hutter 2019): theta <- (1 - lr weight_decay) theta, then Adam's step.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.AdamW(lr=0.01, eps=1e-3), steps=20)
    """

    weight_decay: float = 0.01
    decoupled: ClassVar[bool] = True
