"""What fixes a training beside its sample weights, as plain values: one dict, its origin."""

from typing import Any

from crossloss import optimisers
from crossloss.core import Optimiser
from crossloss.models.base import Model


def origin_of(model: Model, optimiser: Optimiser, steps: int, seed: int | None) -> dict[str, Any]:
    """What fixes a training beside its sample weights, as plain values."""
    rule = optimisers.to_dict(optimiser, steps) if steps else None
    return {"field": model.identity(max(steps, 1), seed), "optimiser": rule, "steps": steps, "seed": seed}


def differences(known: Any, given: Any, name: str = "") -> list[str]:
    """Names of what differs between two origins."""
    if not (isinstance(known, dict) and isinstance(given, dict)):
        return [] if known == given else [name]
    return [
        different
        for key in sorted({*known, *given})
        for different in differences(known.get(key), given.get(key), name if key == "by_step" else key)
    ]


def settings_of(origin: dict[str, Any]) -> dict[str, Any]:
    """An origin, flat, for people: the field's settings, the optimiser's, steps and start."""
    rule = optimisers.described(origin["optimiser"] or {})
    shown = {name: value for name, value in rule.items() if not isinstance(value, dict)}
    settings = origin["field"].get("settings", {})
    return {**settings, **shown, "steps": origin["steps"], "seed": origin["seed"]}
