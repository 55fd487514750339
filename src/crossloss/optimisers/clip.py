"""Clipped gradients: by their norm, or each entry."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossloss.core import Optimiser, State, UserError, result_of
from crossloss.optimisers.parts import slices, take


@dataclass(frozen=True, eq=False)
class GradientTransformation:
    """What changes the gradient before a rule sees it; the state is the rule's own."""

    rule: Optimiser

    @property
    def needs(self) -> tuple[str, ...]:
        """What the rule needs, and the gradient."""
        return tuple(dict.fromkeys(("gradient", *self.rule.needs)))

    @property
    def result(self) -> str:
        """The rule's."""
        return result_of(self.rule)

    def init(self, theta: Tensor) -> State:
        """As the rule starts."""
        return self.rule.init(theta)

    def step(self, state: State, g: Tensor, t: int) -> State:
        """The rule's step with the clipped gradient."""
        return self.rule.step(state, self.clipped(g), t)

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """The rule's adjoint, and that of clipping."""
        g = state["gradient"]
        bar, a = self.rule.adjoint(state | {"gradient": self.clipped(g)}, t, bar)
        return bar, self.back(g, a)

    def clipped(self, g: Tensor) -> Tensor:
        """What the rule sees of a gradient (p,)."""
        raise NotImplementedError

    def back(self, g: Tensor, a: Tensor) -> Tensor:
        """The adjoint of ``clipped`` at ``g``, of the rows of ``a`` (k, p)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class ClipNorm(GradientTransformation):
    """``torch.nn.utils.clip_grad_norm_`` before each step of a rule: g <- min(1, max_norm/(||g|| + 1e-6)) g.

    Its derivative is exact on both sides: where it clips, that of the norm too. At the kink it is torch's.

    Parameters
    ----------
    rule : SGD, AdamW, ParameterGroups, ...
    max_norm : float
        Above 0.
    norm_type : float
        2 by default; any above 0, and ``float("inf")``.
    parts : (start, stop) slices of the flat parameters, optional
        Whose gradient is measured and clipped; all by default. The norm is that of the slices' norms, as torch's is of
        the parameters': a slice for each parameter gives torch's own rounding.

    Raises
    ------
    UserError
        A norm that is not above 0; slices that are empty or overlap.

    Examples
    --------
    >>> rule = cl.ClipNorm(cl.AdamW(lr=0.01), max_norm=1.0)
    >>> run = cl.train(cl.TorchField(model, loss, data), rule, steps=20)
    """

    max_norm: float
    norm_type: float = 2.0
    parts: Iterable[Any] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.max_norm < math.inf or not float(self.norm_type) > 0:
            raise UserError("ClipNorm needs a finite max_norm above 0, and a norm_type above 0.")
        object.__setattr__(self, "norm_type", float(self.norm_type))
        if self.parts is not None:
            object.__setattr__(self, "parts", slices(self.parts))

    def init(self, theta: Tensor) -> State:
        """As the rule starts; UserError for slices that reach beyond the parameters."""
        if self.parts and (last := max(stop for _, stop in self.parts)) > len(theta):
            raise UserError(f"A slice of ClipNorm ends at {last}, and there are {len(theta)} parameters.")
        return super().init(theta)

    def _ratio(self, g: Tensor) -> Tensor:
        """What the gradient is multiplied by where it is below 1, shape ()."""
        parts: Any = self.parts or ((0, len(g)),)
        norms = torch.stack([torch.linalg.vector_norm(g[start:stop], self.norm_type) for start, stop in parts])
        norm = torch.linalg.vector_norm(norms, self.norm_type)
        ratio: Tensor = self.max_norm / (norm + 1e-6)
        return ratio

    def _factor(self, g: Tensor) -> Tensor:
        """What the gradient is multiplied by, shape ()."""
        return torch.clamp(self._ratio(g), max=1.0)

    def _joined(self, length: int) -> tuple[tuple[int, int], ...]:
        """The parts with those that touch as one."""
        joined: list[tuple[int, int]] = []
        parts: Any = self.parts or ((0, length),)
        for start, stop in sorted(parts):
            if joined and joined[-1][1] == start:
                start = joined.pop()[0]
            joined.append((start, stop))
        return tuple(joined)

    def _spread(self, factor: Tensor, like: Tensor) -> Tensor:
        """The factor at each parameter, 1 at those that are not clipped."""
        if self._joined(len(like)) == ((0, len(like)),):
            return factor
        at = torch.ones_like(like)
        for start, stop in self._joined(len(like)):
            at[start:stop] = factor
        return at

    def clipped(self, g: Tensor) -> Tensor:
        """The gradient times its factor."""
        return g * self._spread(self._factor(g), g)

    def back(self, g: Tensor, a: Tensor) -> Tensor:
        """With c the factor: c a + dc/dg <g, a>."""
        factor, parts = self._ratio(g), self._joined(len(g))
        if factor > 1:
            return a
        along = take(a, parts) @ take(g, parts)
        if self.norm_type == 2:  # factor = max_norm/(norm + 1e-6), of which the norm's slope is g/norm
            norm = torch.linalg.vector_norm(take(g, parts))
            scaled = a * self._spread(factor, g)
            by = along / norm.clamp(min=torch.finfo(g.dtype).tiny) * (-factor / (norm + 1e-6))
            for start, stop in parts:
                scaled[:, start:stop].addr_(by, g[start:stop])
            return scaled
        with torch.enable_grad():
            leaf = g.detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(self._factor(leaf), leaf)
        return torch.addcmul(a * self._spread(factor, g), along[:, None], slope)


@dataclass(frozen=True, eq=False)
class ClipValue(GradientTransformation):
    """``torch.nn.utils.clip_grad_value_`` before each step of a rule: every entry of g between -value and value.

    Parameters
    ----------
    rule : SGD, AdamW, ParameterGroups, ...
    value : float
        Above 0.

    Raises
    ------
    UserError
        A value that is not above 0.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.ClipValue(cl.SGD(lr=0.1), 0.5), steps=20)
    """

    value: float

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise UserError("ClipValue needs a value above 0.")

    def clipped(self, g: Tensor) -> Tensor:
        """The gradient between both values."""
        return g.clamp(-self.value, self.value)

    def back(self, g: Tensor, a: Tensor) -> Tensor:
        """Nothing through the entries that are clipped."""
        return a * (g.abs() <= self.value)
