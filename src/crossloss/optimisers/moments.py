"""What Adam, wherever it stands in a rule, would do with another gradient at a state of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import Optimiser, State, UserError
from crossloss.optimisers.adam import Adam
from crossloss.optimisers.averaged import Averaged
from crossloss.optimisers.clip import GradientTransformation
from crossloss.optimisers.groups import Frozen, ParameterGroups
from crossloss.optimisers.parts import Slices, put_, take
from crossloss.optimisers.rates import rate


@dataclass(frozen=True, eq=False)
class Moments:
    """Both moments before a step and what goes with them, (p,) each; ``share`` of the largest learning rate ``lr``."""

    lr: float
    share: Tensor
    m: Tensor
    v: Tensor
    largest: Tensor
    b1: Tensor
    b2: Tensor
    eps: Tensor
    shift: Tensor
    t: int

    def direction(self, g: Tensor, start: int, stop: int) -> Tensor:
        """What the step subtracts of some parameters, over lr, after a gradient g (b, stop - start): share m'/D.

        D = sqrt(v') + eps; m' and v' are without bias, v' of the largest so far with ``amsgrad``.
        """
        m, v, largest, b1, b2, eps, shift, share = (
            x[start:stop] for x in (self.m, self.v, self.largest, self.b1, self.b2, self.eps, self.shift, self.share)
        )
        g = g + shift
        top = torch.lerp(m, g, 1 - b1) / (1 - b1 ** (self.t + 1))
        second = torch.maximum(b2 * v + (1 - b2) * g * g, largest)
        return share * top / ((second / (1 - b2 ** (self.t + 1))).sqrt() + eps)


def adam_moments(optimiser: Optimiser, state: State, t: int, steps: Sequence[int]) -> Moments:
    """Of the state before step t; ``lr`` and ``share`` are of the mean rate over ``steps``.

    Parameters that are passed over have share 0. UserError where a rule is not Adam or AdamW.
    """
    theta = state["theta"]
    flat = {name: torch.zeros_like(theta) for name in ("share", "m", "v", "largest", "b1", "b2", "shift")}
    flat["eps"] = torch.ones_like(theta)
    for where, rule, prefix in _rules(optimiser, ((0, len(theta)),), ""):
        if isinstance(rule, Frozen):
            continue
        if not isinstance(rule, Adam):
            raise UserError(
                f"LESS takes Adam's moments, and this run was trained by {type(rule).__name__}: use tracin, which "
                "takes any rule."
            )
        b1, b2 = rule._betas(t)
        own = take(theta, where)
        found = {
            "share": torch.full_like(own, sum(rate(rule.lr, s) for s in steps) / len(steps)),
            "m": state[f"{prefix}m"], "v": state[f"{prefix}v"], "b1": torch.full_like(own, b1),
            "b2": torch.full_like(own, b2), "eps": torch.full_like(own, rule.eps),
            "shift": torch.zeros_like(own) if rule.decoupled else rule.weight_decay * own,
        }  # fmt: skip
        if rule.amsgrad:
            found["largest"] = state[f"{prefix}v_max"]
        for name, part in found.items():
            put_(flat[name], where, part)
    lr = float(flat["share"].max())
    if lr > 0:
        flat["share"] /= lr
    return Moments(lr=lr, t=t, **flat)


def _rules(optimiser: Optimiser, where: Slices, prefix: str) -> Iterator[tuple[Slices, Optimiser, str]]:
    """Each rule with its part of the parameters, and what its entries in the state begin with."""
    while isinstance(optimiser, GradientTransformation | Averaged):
        optimiser = optimiser.rule
    if isinstance(optimiser, ParameterGroups):
        for i, (part, rule) in enumerate(optimiser.parts):
            inner = rule
            while isinstance(inner, GradientTransformation):
                inner = inner.rule
            if isinstance(inner, ParameterGroups):
                raise UserError("LESS takes groups of Adam, not groups in groups: use tracin.")
            yield part, inner, f"{prefix}{i}."
    else:
        yield where, optimiser, prefix
