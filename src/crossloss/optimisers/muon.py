"""Muon, as ``torch.optim`` has it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from crossloss.core import State, UserError
from crossloss.optimisers.rates import Rate, rate, within

ADJUSTED = (None, "original", "match_rms_adamw")


@dataclass(frozen=True, eq=False)
class Muon:
    """``torch.optim.Muon``: momentum, each matrix of it made nearly orthogonal (Jordan et al. 2024).

    b <- momentum b + (1 - momentum) g; O = Newton-Schulz of b, or of (1 - momentum) g + momentum b where ``nesterov``;
    theta <- (1 - lr weight_decay) theta - lr s O, s by the matrix's shape.
    torch iterates in bfloat16, whose rounding has no derivative: that of the same iteration without rounding, at the
    same momentum, is taken. ``rounded=False`` trains without it too; retraining then agrees with scores to all digits.

    Parameters
    ----------
    shapes : sequence of (rows, columns)
        Of the parameters, in their order; in ``ParameterGroups``, those of its part.
    lr, momentum : float or function of the step
    weight_decay : float
    nesterov : bool
    ns_coefficients : (float, float, float)
    eps : float
    ns_steps : int
        Newton-Schulz iterations.
    adjust_lr_fn : "original" or "match_rms_adamw", optional
        s: sqrt(max(1, rows/columns)) by default, or .2 sqrt(max(rows, columns)).
    rounded : bool
        In bfloat16, as torch; else in the parameters' own dtype.

    Raises
    ------
    UserError
        Settings out of range, shapes that are not of matrices or not of so many parameters.

    Examples
    --------
    >>> rule = cl.ParameterGroups([([(0, 9)], cl.Muon([(3, 3)], lr=0.02)), ([(9, 12)], cl.AdamW(lr=0.01))])
    >>> run = cl.train(cl.TorchField(model, loss, data), rule, steps=20)
    """

    shapes: tuple[tuple[int, int], ...]
    lr: Rate = 1e-3
    weight_decay: float = 0.1
    momentum: Rate = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None
    rounded: bool = True
    needs: ClassVar[tuple[str, ...]] = ("gradient", "velocity")

    def __post_init__(self) -> None:
        shapes = tuple(tuple(int(size) for size in shape) for shape in self.shapes)
        if not shapes or any(len(shape) != 2 or min(shape) < 1 for shape in shapes):
            raise UserError("Muon needs the shapes of matrices, (rows, columns) each: give other parameters AdamW.")
        if not within(self.lr, 0) or not within(self.momentum, 0) or not self.weight_decay >= 0:
            raise UserError("Muon needs lr, momentum and weight_decay of at least 0.")
        if not self.eps > 0 or not 0 <= self.ns_steps < 100 or len(self.ns_coefficients) != 3:
            raise UserError("Muon needs eps above 0, fewer than 100 ns_steps and three ns_coefficients.")
        if self.adjust_lr_fn not in ADJUSTED:
            raise UserError(f"Muon needs adjust_lr_fn original or match_rms_adamw, not {self.adjust_lr_fn!r}.")
        object.__setattr__(self, "shapes", shapes)

    def init(self, theta: Tensor) -> State:
        """Start at ``theta`` with no velocity."""
        if (size := sum(rows * columns for rows, columns in self.shapes)) != len(theta):
            raise UserError(f"Muon's shapes hold {size} parameters and there are {len(theta)}: give it its own.")
        return {"theta": theta, "velocity": torch.zeros_like(theta)}

    def _matrices(self) -> Iterator[tuple[int, int, tuple[int, int]]]:
        """(start, stop, shape) of each matrix."""
        at = 0
        for shape in self.shapes:
            yield at, at + shape[0] * shape[1], shape
            at += shape[0] * shape[1]

    def _adjusted(self, shape: tuple[int, int]) -> float:
        """What lr is multiplied by."""
        rows, columns = shape
        if self.adjust_lr_fn == "match_rms_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1.0, rows / columns))

    def orthogonal(self, x: Tensor) -> Tensor:
        """Newton-Schulz iterations on a matrix, in its dtype."""
        a, b, c = self.ns_coefficients
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / x.norm().clamp(min=self.eps)
        for _ in range(self.ns_steps):
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x.T if tall else x

    def _moved(self, state: State, g: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """The velocity after ``g`` came in, and what is made orthogonal."""
        momentum = rate(self.momentum, t)
        velocity = torch.lerp(state["velocity"], g, 1 - momentum)
        return velocity, torch.lerp(g, velocity, momentum) if self.nesterov else velocity

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step; the given state is left as it was."""
        lr = rate(self.lr, t)
        velocity, update = self._moved(state, g, t)
        theta = state["theta"] * (1 - lr * self.weight_decay)
        for start, stop, shape in self._matrices():
            x = update[start:stop].view(shape)
            found = self.orthogonal(x.bfloat16() if self.rounded else x)
            theta[start:stop].add_(found.reshape(-1), alpha=-lr * self._adjusted(shape))
        return {"theta": theta, "velocity": velocity}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With l, n = theta, velocity of ``bar`` and u = O'^T (-lr s l): n <- n + u, a = (1 - momentum) n.

        Nesterov: n <- n + momentum u, a = (1 - momentum) (n + u). Then n <- momentum n, l <- (1 - lr weight_decay) l.
        """
        lr, momentum = rate(self.lr, t), rate(self.momentum, t)
        _, update = self._moved(state, state["gradient"], t)
        parts = []
        for start, stop, shape in self._matrices():
            back: Callable[..., Any] = torch.func.vjp(self.orthogonal, update[start:stop].view(shape))[1]
            rows = bar["theta"][:, start:stop].reshape(-1, *shape) * (-lr * self._adjusted(shape))
            parts.append(torch.func.vmap(lambda row, back=back: back(row)[0])(rows).flatten(1))
        u = torch.cat(parts, 1)
        n = torch.add(bar["velocity"], u, alpha=momentum if self.nesterov else 1.0)
        a = (n + u if self.nesterov else n) * (1 - momentum)
        return {"theta": bar["theta"] * (1 - lr * self.weight_decay), "velocity": n * momentum}, a
