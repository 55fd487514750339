"""NAdam, as ``torch.optim`` has it."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from crossloss.core import State, UserError
from crossloss.optimisers.rates import Rate, rate, within
from crossloss.optimisers.terms import over_root, with_decay


@dataclass(frozen=True, eq=False)
class NAdam:
    """``torch.optim.NAdam`` (Dozat 2016).

    With G = g + weight_decay theta: m <- b1 m + (1 - b1) G; v <- b2 v + (1 - b2) G^2; D = sqrt(v/(1 - b2^t)) + eps,
    t from 1; theta <- theta - lr ((1 - mu_t)/(1 - mu_1 ... mu_t) G + mu_(t+1)/(1 - mu_1 ... mu_(t+1)) m)/D with
    mu_t = b1 (1 - .96^(t momentum_decay)/2). Where v is 0, nothing is sent back through it, as for ``Adam``.

    Parameters
    ----------
    lr : float or function of the step
    betas : (float, float), or functions of the step
    eps : float
        Above 0: without it a step has no derivative at a zero gradient.
    weight_decay, momentum_decay : float
    decoupled_weight_decay : bool
        theta <- (1 - lr weight_decay) theta first, and nothing added to g.

    Raises
    ------
    UserError
        Settings out of range.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.NAdam(lr=0.01, eps=1e-3), steps=20)
    """

    lr: Rate = 2e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False
    needs: ClassVar[tuple[str, ...]] = ("gradient", "m", "v")
    _products: list[Tensor] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if not within(self.lr, 0) or not self.weight_decay >= 0 or not self.momentum_decay >= 0:
            raise UserError("NAdam needs lr, weight_decay and momentum_decay of at least 0.")
        if not all(within(beta, 0, 1) for beta in self.betas) or not self.eps > 0:
            raise UserError("NAdam needs betas in [0, 1) and eps above 0.")

    def init(self, theta: Tensor) -> State:
        """Start at ``theta`` with both moments zero."""
        return {"theta": theta, "m": torch.zeros_like(theta), "v": torch.zeros_like(theta)}

    def _mu(self, t: int, number: int) -> float:
        """Mu of the step of that number, counted from 1, with the beta of step t."""
        return rate(self.betas[0], t) * (1.0 - 0.5 * math.pow(0.96, number * self.momentum_decay))

    def _product(self, t: int) -> float:
        """Product of mu up to step t, rounded at each as torch rounds it."""
        dtype = torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
        if self._products and self._products[0].dtype != dtype:
            self._products.clear()
        while len(self._products) <= t:
            s = len(self._products)
            before = self._products[-1] if s else torch.ones((), dtype=dtype)
            self._products.append(before * self._mu(s, s + 1))
        return float(self._products[t])

    def _sizes(self, t: int) -> tuple[float, float]:
        """What G/D and m/D are multiplied by."""
        lr, mu, ahead, product = rate(self.lr, t), self._mu(t, t + 1), self._mu(t, t + 2), self._product(t)
        return -lr * (1.0 - mu) / (1.0 - product), -lr * ahead / (1.0 - product * ahead)

    def _moments(self, state: State, g: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """G, m and v after it came in, and the root of v without bias."""
        if not self.decoupled_weight_decay:
            g = with_decay(g, state, self.weight_decay)
        b1, b2 = rate(self.betas[0], t), rate(self.betas[1], t)
        m = torch.lerp(state["m"], g, 1 - b1)
        v = (state["v"] * b2).addcmul_(g, g, value=1 - b2)
        return g, m, v, (v / (1 - b2 ** (t + 1))).sqrt_()

    def _decay(self, t: int) -> float:
        """What decoupled weight decay leaves of theta at step t."""
        return 1 - rate(self.lr, t) * self.weight_decay if self.decoupled_weight_decay else 1.0

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        g, m, v, root = self._moments(state, g, t)
        of_g, of_m = self._sizes(t)
        d = root.add(self.eps)
        theta = state["theta"] * self._decay(t) if self.decoupled_weight_decay else state["theta"]
        return {"theta": torch.addcdiv(theta, g, d, value=of_g).addcdiv_(m, d, value=of_m), "m": m, "v": v}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With l, n, q = theta, m, v of ``bar``, r = sqrt(v/c) after the step, c the bias correction; x, y the sizes.

        n <- n + y l/D; q <- q - l (x G + y m)/(2 c r D^2), nothing where r = 0;
        a = x l/D + (1 - b1) n + 2 (1 - b2) G q; then n <- b1 n, q <- b2 q, and l takes what weight decay did.
        """
        b1, b2 = rate(self.betas[0], t), rate(self.betas[1], t)
        g, m, _, root = self._moments(state, state["gradient"], t)
        of_g, of_m = self._sizes(t)
        d = root.add(self.eps)
        move = (g * of_g).add_(m, alpha=of_m)
        through = over_root(move, root, d)
        n = torch.addcdiv(bar["m"], bar["theta"], d, value=of_m)
        q = torch.addcmul(bar["v"], bar["theta"], through, value=-0.5 / (1 - b2 ** (t + 1)))
        a = (n * (1 - b1)).addcmul_(q, g, value=2 * (1 - b2)).addcdiv_(bar["theta"], d, value=of_g)
        theta = bar["theta"]
        if self.weight_decay:
            decoupled = self.decoupled_weight_decay
            theta = theta * self._decay(t) if decoupled else torch.add(theta, a, alpha=self.weight_decay)
        return {"theta": theta, "m": n.mul_(b1), "v": q.mul_(b2)}, a
