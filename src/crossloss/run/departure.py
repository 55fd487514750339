"""Where a replay departs from the loop that was recorded, by how much, and why."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Field, Optimiser, UserError
from crossloss.models.torch.view import Layout
from crossloss.run.loop import Loop

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-9}
NOISE = 100.0
"""A gradient is rounding noise below this many units of rounding of the model's typical gradient."""
SAME = 1e-4
"""How far two gradients' norms may be apart, relatively, and count as equal."""
ADVICE = "use a larger eps such as 1e-6, or accept it, recorder.finish(accept=...)"
OF_A_STEP = 1e-2
"""A departure by less than this part of the step itself is rounding that the optimizer enlarged."""


class ReplayMismatch(UserError):
    """A replay that departs from its loop; ``acceptable`` where rounding is the cause."""

    def __init__(self, sentence: str, acceptable: bool) -> None:
        super().__init__(sentence)
        self.acceptable = acceptable


@dataclass(frozen=True)
class Departure:
    """The parameter that is farthest from what was recorded, relative to its norm (or one of typical entries)."""

    name: str
    position: int
    relative: float
    entry: int
    """Its entry in theta that is farthest."""


class OnlyNoise:
    """Parameters whose gradient is rounding noise at every step, by position: what they do moves nothing.

    Such as the key's bias in attention, of which Adam makes steps as long as of any other.
    """

    def __init__(self, norms: Sequence[Sequence[float]], sizes: Sequence[int], eps: float) -> None:
        self._norms, self._number, self._eps = norms, np.asarray(sizes, dtype=np.float64), eps
        self._found, self._seen = np.ones(len(self._number), dtype=bool), 0

    def until(self, t: int) -> frozenset[int]:
        """In the steps before t, which grows from call to call."""
        for at in self._norms[self._seen : t]:
            g = np.nan_to_num(np.asarray(at, dtype=np.float64))
            typical = np.sqrt(np.square(g).sum() / self._number.sum())
            self._found &= (g > 0) & (g / np.sqrt(self._number) <= NOISE * self._eps * typical)
        self._seen = max(self._seen, t)
        return frozenset(np.flatnonzero(self._found).tolist())


def departure(layout: Layout, theta: Tensor, recorded: Tensor, left_out: Collection[int] = ()) -> Departure:
    """How far parameters (p,) are from those recorded; ``left_out`` by position."""
    typical = float(recorded.square().mean().sqrt())
    ours, theirs = layout.split(theta), layout.split(recorded)
    worst, before = Departure("", 0, -1.0, 0), 0
    for position, name in enumerate(layout.names):
        apart = ours[name] - theirs[name]
        scale = max(float(theirs[name].norm()), typical * theirs[name].numel() ** 0.5)
        relative = float(apart.norm()) / scale if scale else float(apart.norm())
        if position not in left_out and (relative > worst.relative or relative != relative):
            entry = before + int(apart.abs().argmax())
            worst = Departure(name, position, relative, entry)
        before += apart.numel()
    return worst


@dataclass(frozen=True)
class Facts:
    """What was recorded of the loop and is read where its replay departs."""

    norms: Sequence[Sequence[float]]
    """Of every parameter's gradient at each step, as the optimizer had it."""
    sizes: Sequence[Sequence[int]]
    """Of the micro-batches of each step."""
    threads: int
    fused: bool
    optimizer: str
    eps: float | None
    """The smallest eps of its groups, where it has one."""


def reason(
    facts: Facts,
    field: Field,
    layout: Layout,
    rule: Optimiser,
    found: Departure,
    t: int,
    at: Tensor,
    w: Tensor,
    of_step: float,
) -> tuple[str, bool]:
    """What made step t, from parameters ``at``, differ, and whether it is rounding that can be accepted.

    ``of_step`` is the departure relative to the length of the step.
    """
    g = field.gradient(at, w, t)
    for clip in _clips(rule):
        g = clip(g)
    ours, theirs = float(layout.split(g)[found.name].norm()), facts.norms[t][found.position]
    if (noise := _noise(facts, g, layout.split(g)[found.name], theirs, found)) is not None:
        return noise, True
    if abs(ours - theirs) <= SAME * max(ours, theirs):
        if facts.eps is None or of_step > OF_A_STEP:
            return "the gradients agree, so something but the optimizer changes the parameters", False
        causes = [f"the gradients agree and {facts.optimizer} with eps {facts.eps:g} enlarges rounding differences"]
        if facts.threads != torch.get_num_threads():
            causes.append(f"your loop had {facts.threads} threads and the replay has {torch.get_num_threads()}")
        if facts.fused:
            causes.append("its fused kernel rounds differently")
        return f"{', and '.join(causes)}: {ADVICE}", True
    for size, what, advice in (
        (sum(facts.sizes[t]), "the size of the batch", "take the mean of the losses"),
        (len(facts.sizes[t]), "the number of its micro-batches", "divide the loss of each by it"),
    ):
        if size > 1 and theirs and ours and abs(theirs / ours - size) < 1e-3 * size:
            return f"your gradient is {size} times the field's, {what}: {advice}", False
    ratio = theirs / ours if ours else float("inf")
    return (
        f"your gradient is {ratio:.5g} times the field's in norm: other rows than recorded, another loss, "
        "random numbers drawn elsewhere, layers in another mode, or parameters changed by hand"
    ), False


def _noise(facts: Facts, g: Tensor, own: Tensor, theirs: float, found: Departure) -> str | None:
    """The sentence where the gradient, or that of the entry that departs, is rounding around 0, of which Adam steps."""
    limit = NOISE * torch.finfo(g.dtype).eps * float(g.square().mean().sqrt())
    if facts.eps is None or not limit:
        return None
    whole = max(float(own.norm()), theirs) <= limit * own.numel() ** 0.5
    size = abs(float(g[found.entry]))
    if not whole and size > limit:
        return None
    what, freeze = f"some entries of the gradient of {found.name!r} are", ""
    if whole:
        what, freeze = f"the gradient of {found.name!r} is", "set requires_grad_(False) on it, "
    return (
        f"{what} rounding noise around 0 (as of a key's bias in attention), of which {facts.optimizer} with eps "
        f"{facts.eps:g} makes steps that no replay repeats: {freeze}{ADVICE}"
    )


def _clips(rule: Any) -> list[Any]:
    """What clips the gradient before the innermost rule, in order."""
    found = []
    while hasattr(rule, "rule"):
        if hasattr(rule, "clipped"):
            found.append(rule.clipped)
        rule = rule.rule
    return found


def facts_of(loop: Loop, threads: int) -> Facts:
    """What a loop has that may explain a departure; its threads are those of its forward passes."""
    groups = [group for optimizer in loop.optimizers.optimizers for group in optimizer.param_groups]
    eps = [float(group["eps"]) for group in groups if group.get("eps") is not None]
    names = " and ".join(type(optimizer).__name__ for optimizer in loop.optimizers.optimizers)
    sizes = [[len(part.rows) for part in parts] for parts in loop.steps]
    fused = any(group.get("fused") for group in groups)
    return Facts(loop.norms, sizes, threads, fused, names, min(eps) if eps else None)
