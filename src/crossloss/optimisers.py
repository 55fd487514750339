"""Update rules, each with its exact adjoint; SGD, Adam and AdamW take the same steps as ``torch.optim``."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from crossloss.core import Optimiser, State, UserError

Rate = float | Callable[[int], float]
"""A learning rate, or a schedule: any function of the step, counted from 0."""


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


def rate(setting: Rate, t: int) -> float:
    """Learning rate or momentum of step t."""
    return float(setting(t)) if callable(setting) else float(setting)


@dataclass(frozen=True)
class Rising:
    """Momentum that rises in a line from ``first`` to ``last`` over the first ``steps`` (why: docs/performance.md)."""

    last: float
    first: float = 0.5
    steps: int = 20

    def __call__(self, t: int) -> float:
        """Momentum of step t."""
        return self.last - max(self.last - self.first, 0.0) * max(1 - t / self.steps, 0.0)


@dataclass(frozen=True, eq=False)
class SGD:
    """``torch.optim.SGD``: plain, with momentum, or Nesterov's (Sutskever et al. 2013).

    With G = g + weight_decay theta: b <- momentum b + (1 - dampening) G (the first step: b <- G), then
    theta <- theta - lr b, or theta - lr (G + momentum b) where ``nesterov``.

    Parameters
    ----------
    lr : float or function of the step
    momentum, dampening, weight_decay : float
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
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not self.momentum >= 0 or not self.weight_decay >= 0 or not (callable(self.lr) or self.lr >= 0):
            raise UserError("SGD needs lr, momentum and weight_decay of at least 0.")
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise UserError("SGD with nesterov needs a momentum above 0 and no dampening.")

    def init(self, theta: Tensor) -> State:
        """Start at ``theta``, with no velocity where there is momentum."""
        return {"theta": theta} | ({"velocity": torch.zeros_like(theta)} if self.momentum else {})

    def _share(self, t: int) -> float:
        """What of G enters the velocity at step t."""
        return 1 - self.dampening if t else 1.0

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        theta, lr = state["theta"], rate(self.lr, t)
        if self.weight_decay:
            g = torch.add(g, theta, alpha=self.weight_decay)
        if not self.momentum:
            return {"theta": torch.add(theta, g, alpha=-lr)}
        velocity = (state["velocity"] * self.momentum).add_(g, alpha=self._share(t))
        move = torch.add(g, velocity, alpha=self.momentum) if self.nesterov else velocity
        return {"theta": torch.add(theta, move, alpha=-lr), "velocity": velocity}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With l = theta and n = velocity of ``bar``: n <- n - lr l; a = (1 - dampening) n; n <- momentum n.

        Nesterov: n <- n - lr momentum l and a = n - lr l. Weight decay: l <- l + weight_decay a.
        """
        lr, back = rate(self.lr, t), {}
        if not self.momentum:
            a = bar["theta"] * -lr
        else:
            inner = lr * self.momentum if self.nesterov else lr
            velocity = torch.add(bar["velocity"], bar["theta"], alpha=-inner)
            a = velocity * self._share(t)
            if self.nesterov:
                a.sub_(bar["theta"], alpha=lr)
            back["velocity"] = velocity.mul_(self.momentum)
        theta = torch.add(bar["theta"], a, alpha=self.weight_decay) if self.weight_decay else bar["theta"]
        return {"theta": theta} | back, a


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


RULES: Mapping[str, type] = {rule.__name__: rule for rule in (HeavyBall, Rising, SGD, Adam, AdamW)}
"""Those that a manifest can name."""


def to_dict(optimiser: Optimiser, steps: int) -> dict[str, Any]:
    """Plain values that fix the first ``steps`` steps: schedules by their value at each of them, tensors by a hash."""

    def plain(value: Any) -> Any:
        if type(value).__name__ in RULES:
            return to_dict(value, steps)
        if callable(value):
            return {"by_step": [float(value(t)) for t in range(steps)]}
        if isinstance(value, Tensor):
            return {"sha256": hashlib.sha256(value.cpu().contiguous().numpy().tobytes()).hexdigest()}
        return list(value) if isinstance(value, tuple) else value

    if is_dataclass(optimiser):
        given = {f.name: plain(getattr(optimiser, f.name)) for f in fields(optimiser) if f.init and f.name != "needs"}
        return {"type": type(optimiser).__name__} | given
    values = {name: plain(value) for name, value in sorted(vars(optimiser).items())}  # of a rule of the user's own
    storable = {name: v for name, v in values.items() if v is None or isinstance(v, str | int | float | list | dict)}
    return {"type": type(optimiser).__qualname__} | storable


def from_dict(value: Mapping[str, Any]) -> Optimiser:
    """Inverse of ``to_dict``; a rule of the user's own, or one with a tensor, is refused: it is not stored."""
    known = RULES.get(value["type"])
    settings = {name: _setting(item) for name, item in value.items() if name != "type"}
    if known is None or any(isinstance(item, dict) for item in settings.values()):
        raise UserError(
            f"The run's optimiser ({value['type']}) is not stored: pass it, cl.load(folder, field, optimiser)."
        )
    optimiser: Optimiser = known(**settings)
    return optimiser


def _setting(item: Any) -> Any:
    if isinstance(item, Mapping) and "by_step" in item:
        values = list(item["by_step"])
        return lambda t: values[t]
    if isinstance(item, Mapping) and item.get("type") in RULES:
        return from_dict(item)
    return tuple(item) if isinstance(item, list) else item
