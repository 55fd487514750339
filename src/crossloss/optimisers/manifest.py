"""Optimisers as plain values in a manifest, and back."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from crossloss.core import Optimiser, UserError
from crossloss.optimisers.adagrad import Adagrad
from crossloss.optimisers.adam import Adam, AdamW
from crossloss.optimisers.averaged import Averaged
from crossloss.optimisers.clip import ClipNorm, ClipValue
from crossloss.optimisers.groups import Frozen, ParameterGroups
from crossloss.optimisers.heavy_ball import HeavyBall
from crossloss.optimisers.muon import Muon
from crossloss.optimisers.nadam import NAdam
from crossloss.optimisers.rates import MomentumWarmup
from crossloss.optimisers.rmsprop import RMSprop
from crossloss.optimisers.sgd import SGD

RULES: Mapping[str, type] = {
    rule.__name__: rule
    for rule in (
        *(HeavyBall, MomentumWarmup, SGD, Adam, AdamW, NAdam, RMSprop, Adagrad, Muon),
        *(ParameterGroups, Frozen, ClipNorm, ClipValue, Averaged),
    )
}
"""Those that a manifest can name."""


def to_dict(optimiser: Optimiser, steps: int) -> dict[str, Any]:
    """Plain values that fix the first ``steps`` steps: schedules by their value at each of them, tensors by a hash."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        if type(value).__name__ in RULES or callable(getattr(value, "adjoint", None)):
            return to_dict(value, steps)
        if callable(value):
            return {"by_step": [float(value(t)) for t in range(steps)]}
        if isinstance(value, float) and math.isinf(value):
            return str(value)  # JSON has no infinity
        if isinstance(value, Tensor):
            return {"sha256": hashlib.sha256(value.cpu().contiguous().numpy().tobytes()).hexdigest()}
        return value

    if is_dataclass(optimiser):
        given = {f.name: plain(getattr(optimiser, f.name)) for f in fields(optimiser) if f.init and f.name != "needs"}
        return {"type": type(optimiser).__name__} | given
    values = {name: plain(value) for name, value in sorted(vars(optimiser).items())}  # of a rule of the user's own
    storable = {name: v for name, v in values.items() if v is None or isinstance(v, str | int | float | list | dict)}
    return {"type": type(optimiser).__qualname__} | storable


def from_dict(value: Mapping[str, Any]) -> Optimiser:
    """Inverse of ``to_dict``; a rule of the user's own, or one with a tensor, is refused: it is not stored."""
    if (missing := next(_not_stored(value), None)) is not None:
        raise UserError(f"The run's optimiser ({missing}) is not stored: pass it, cl.load(folder, field, optimiser).")
    optimiser: Optimiser = _setting(value)
    return optimiser


def _not_stored(item: Any) -> Iterator[str]:
    """Types of the rules in a manifest that cannot be made again."""
    if isinstance(item, list):
        for part in item:
            yield from _not_stored(part)
    elif isinstance(item, Mapping) and "by_step" not in item:
        rule = item.get("type")
        if rule not in RULES or any(isinstance(part, Mapping) and "sha256" in part for part in item.values()):
            yield str(rule)
        for part in item.values():
            if not (isinstance(part, Mapping) and "sha256" in part):
                yield from _not_stored(part)


def _setting(item: Any) -> Any:
    if isinstance(item, Mapping) and "by_step" in item:
        values = list(item["by_step"])
        return lambda t: values[t]
    if isinstance(item, Mapping):
        return RULES[item["type"]](**{name: _setting(part) for name, part in item.items() if name != "type"})
    return tuple(_setting(part) for part in item) if isinstance(item, list) else item


def described(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest's rule, flat, for people: of one in another the settings of both; of groups their rules' names."""
    shown = {name: value for name, value in rule.items() if not isinstance(value, Mapping | list) or _flat(value)}
    inner = rule.get("rule")
    if isinstance(inner, Mapping):
        below = described(inner)
        return below | shown | {"type": f"{rule['type']}({below['type']})"}
    if "parts" in rule:
        shown["type"] = f"{rule['type']}({', '.join(described(part)['type'] for _, part in rule['parts'])})"
    return shown


def _flat(value: Any) -> bool:
    """Whether it is a schedule, or a list of numbers."""
    return "by_step" in value if isinstance(value, Mapping) else not any(isinstance(x, Mapping | list) for x in value)
