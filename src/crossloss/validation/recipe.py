"""What of a training recipe makes a run hard to differentiate, and what to take instead."""

from collections.abc import Mapping, Sequence
from typing import Any

from crossloss import optimisers
from crossloss.run.run import Run
from crossloss.utils.display import several

SMALL_EPS, LARGER_EPS = 1e-5, 1e-3
SMALL_BATCH, FEW_STEPS = 0.1, 50


def advice(run: Run) -> list[str]:
    """What of the recipe makes runs rough, and what to take instead; the likeliest first."""
    rule = optimisers.to_dict(run.given_optimiser or run.optimiser, run.steps)
    eps, parts = _smallest(rule, "eps"), []
    if eps is not None and eps <= SMALL_EPS:
        parts.append(
            f"train with eps {LARGER_EPS:g} in place of {eps:g}, which makes steps of one size of any gradient"
        )
    if kinks := run.model.kinks():
        parts.append(f"take GELU, tanh or mean pooling in place of {' and '.join(kinks)}, whose slope jumps")
    if run.model.batch_size < SMALL_BATCH * run.model.samples:
        parts.append(f"take batches larger than {run.model.batch_size}")
    if not _rises(rule) and eps is not None:
        parts.append("let the learning rate rise in the first tenth of the steps")
    if run.steps < FEW_STEPS:
        parts.append(f"take more than {several(run.steps, 'step')}, with a smaller learning rate")
    return parts


def _smallest(plain: Any, name: str) -> float | None:
    """The smallest number of this name in nested plain values, or None."""
    if isinstance(plain, Mapping):
        parts = [float(plain[name])] if isinstance(plain.get(name), int | float) else []
        parts += [found for part in plain.values() if (found := _smallest(part, name)) is not None]
        return min(parts, default=None)
    if isinstance(plain, list | tuple):
        return min((found for part in plain if (found := _smallest(part, name)) is not None), default=None)
    return None


def _rises(plain: Any) -> bool:
    """Whether a learning rate by step begins below half of its largest."""
    if isinstance(plain, Mapping):
        rates = plain.get("by_step")
        rising = isinstance(rates, Sequence) and bool(rates) and rates[0] < max(rates) / 2
        return rising or any(map(_rises, plain.values()))
    return isinstance(plain, list | tuple) and any(map(_rises, plain))
