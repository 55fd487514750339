"""One registry of objectives: what ``register`` decorates can be read from a file, a manifest and a command line.

Each of the three is a form of one dict: ``type``, ``name`` and the fields of the class. ``parse`` makes it of a command
line's text, YAML and JSON have it as it is, and ``from_dict`` makes the objective.
"""

import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast, dataclass_transform, get_type_hints

from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from crossloss.core import Objective, UserError
from crossloss.objectives.command_line import add_form

TYPES: dict[str, type[Any]] = {}
"""Every objective that is plain values, by its ``type``."""
DESCRIPTIVE = frozenset({"labels", "question", "source"})
"""Fields that describe an objective and are no part of its value."""

Class = TypeVar("Class", bound=type[Any])


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def register(kind: str, syntax: str, *arguments: str) -> Callable[[Class], Class]:
    """Make a class a frozen dataclass whose fields pydantic checks, and an objective of the registry.

    Parameters
    ----------
    kind : str
        The ``type`` that names it.
    syntax, *arguments : str
        How it is written on a command line after ``kind:``, and which fields that gives (``add_form``).

    Raises
    ------
    UserError
        Another class has this type. Its constructor raises UserError for whatever is wrong in its arguments.
    """

    def decorate(cls: Class) -> Class:
        other = TYPES.get(kind)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise UserError(
                f"There is an objective of type {kind!r} already, {other.__qualname__}: choose another type."
            )
        cls.type = kind
        made: Any = dataclass(frozen=True)(cls)
        TYPES[kind] = made
        _speak_in_sentences(made)
        add_form(kind, kind, syntax, arguments)
        return cast("Class", made)

    return decorate


def _speak_in_sentences(cls: type[Any]) -> None:
    """Let the constructor say what is wrong in one sentence, under the objective's name."""
    construct, names = cls.__init__, [f.name for f in fields(cls)]

    @wraps(construct)
    def __init__(self: Any, /, *args: Any, **given: Any) -> None:
        try:
            for key in given:
                if key not in names:
                    raise UserError(f"{key} is no key of {cls.type}: {_takes(cls.type, names)}.")
            construct(self, *args, **given)
        except (UserError, ValidationError) as error:
            sentence = str(error) if isinstance(error, UserError) else _sentence(error, cls.type, names)
            name = getattr(self, "name", "") or (dict(zip(names, args, strict=False)) | given).get("name")
            own = not isinstance(name, str) or not name or sentence.startswith(f"{name}: ")
            raise UserError(sentence if own else f"{name}: {sentence}") from error

    hints, signature = get_type_hints(cls), inspect.signature(cls)
    cls.__init__ = __init__
    plain = [p.replace(annotation=hints[name]) for name, p in signature.parameters.items()]
    cls.__signature__ = signature.replace(parameters=plain)


def _takes(kind: str, names: Sequence[str]) -> str:
    return f"{kind} takes {', '.join(name for name in names if name != 'name')}"


def _sentence(error: ValidationError, kind: str, names: Sequence[str]) -> str:
    """Where and what, of the first fault."""
    first = error.errors(include_url=False)[0]
    at = first["loc"][0]
    name = names[at] if isinstance(at, int) and at < len(names) else str(at)
    if first["type"] == "missing":
        return f"{name} is missing: {_takes(kind, names)}."
    what = first["msg"].removeprefix("Input should be ")
    if what == first["msg"]:
        return f"{name}: {what[0].lower()}{what[1:]}; {_takes(kind, names)}."
    return f"{name} is {reprlib.repr(first['input'])}: it should be {what}."


def to_dict(objective: Objective) -> dict[str, Any]:
    """Plain values for a JSON or YAML file.

    Raises
    ------
    UserError
        A Python function, which nothing but its code describes.
    """
    kind = getattr(objective, "type", None)
    if not isinstance(kind, str) or TYPES.get(kind) is not type(objective):
        raise UserError(f"Objective {objective.name} is Python code, which is not stored: score it from Python.")
    return {"type": kind} | {f.name: _plain(getattr(objective, f.name)) for f in fields(TYPES[kind])}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float) else to_dict(value)


def from_dict(value: Mapping[str, Any], find: Callable[[str], Any] | None = None, folder: Path = Path()) -> Any:
    """Make an objective of a dict; one without a ``type`` is an association test.

    Parameters
    ----------
    value : mapping
        As ``to_dict`` gives it, or as a user writes it: what ``name`` may be without, and objectives in it by name.
    find : callable, optional
        Gives the objective of a name.
    folder : Path
        Where files are that it names.

    Raises
    ------
    UserError
        A type that there is not, or fields that it does not take.
    """
    kind = value.get("type", "weat")
    cls = TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise UserError(
            f"There is no type {kind!r}; there are: {', '.join(TYPES)}: name one of them, or install a newer version of "
            "crossloss that has it."
        )

    def resolve(inner: Any) -> Any:
        if isinstance(inner, Mapping):
            return from_dict(inner, find, folder)
        if not isinstance(inner, str) or find is None:
            raise UserError(f"{inner!r} is no objective: of must name one objective, or hold its type and keys.")
        return find(inner)

    values = {key: item for key, item in value.items() if key != "type"}
    return cls(**{"name": "", **cls.prepare(values, resolve, folder)})


def fingerprint(objective: Objective) -> object:
    """What identifies an objective across processes; None for a Python function, which nothing identifies.

    What only describes it (labels, question, source) is no part of it.
    """
    try:
        return _essential(to_dict(objective))
    except UserError:
        return None


def _essential(value: Any) -> Any:
    if isinstance(value, list):
        return [_essential(item) for item in value]
    if isinstance(value, dict):
        return {key: _essential(item) for key, item in value.items() if key not in DESCRIPTIVE}
    return value
