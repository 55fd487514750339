"""Objectives as plain values: for a run's manifest, and what identifies them across processes."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from crossloss.core import Objective, UserError
from crossloss.objectives.algebra import Absolute, Sum
from crossloss.objectives.association import Association
from crossloss.objectives.displacement import Displacement
from crossloss.objectives.likelihood import Likelihood
from crossloss.objectives.mac import Mac
from crossloss.objectives.one_sided import OneSided
from crossloss.objectives.projection import Projection
from crossloss.objectives.ripa import Ripa
from crossloss.objectives.separation import Separation
from crossloss.objectives.similarity import Similarity
from crossloss.objectives.weat import Weat

TYPES: dict[str, type[Any]] = {
    "weat": Weat,
    "one-sided": OneSided,
    "association": Association,
    "similarity": Similarity,
    "displacement": Displacement,
    "ripa": Ripa,
    "mac": Mac,
    "projection": Projection,
    "separation": Separation,
    "likelihood": Likelihood,
    "sum": Sum,
    "abs": Absolute,
}
"""Every objective that is plain values, by the type it is stored as."""

DESCRIPTIVE = ("labels", "question", "source")


def stored(objective: Objective) -> dict[str, Any]:
    """Plain values for a JSON file.

    Raises
    ------
    UserError
        A Python function, which nothing but its code describes.
    """
    kind = next((kind for kind, cls in TYPES.items() if type(objective) is cls), None)
    if kind is not None:
        names = [field.name for field in fields(TYPES[kind])]
        return {"type": kind} | {name: _plain(getattr(objective, name)) for name in names}
    raise UserError(f"Objective {objective.name} is Python code, which is not stored: score it from Python.")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float) else stored(value)


def restored(value: Mapping[str, Any]) -> Any:
    """Inverse of ``stored``; a value without a type is an association test (the first format had no other).

    Raises
    ------
    UserError
        A type that there is not.
    """
    values = {name: _again(item) for name, item in value.items() if name != "type"}
    kind = value.get("type", "weat")
    if kind not in TYPES:
        raise UserError(f"The run has an objective of type {kind!r}: it was written by a newer version of crossloss.")
    return TYPES[kind](**values)


def _again(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_again(item) for item in value)
    return restored(value) if isinstance(value, Mapping) else value


def identity(objective: Objective) -> object:
    """What identifies an objective across processes; None for a Python function, which nothing identifies.

    What only describes it (labels, question, source) is no part of it.
    """
    if isinstance(objective, Weat):
        return [objective.name, objective.kind, objective.X, objective.Y, objective.A, objective.B]
    try:
        return _identity(stored(objective))
    except UserError:
        return None


def _identity(value: Any) -> Any:
    if isinstance(value, list):
        return [_identity(item) for item in value]
    if isinstance(value, dict):
        return [_identity(item) for name, item in value.items() if name not in DESCRIPTIVE]
    return value
