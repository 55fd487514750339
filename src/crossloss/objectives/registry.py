"""What ``register`` decorates is read from YAML, manifests and command lines, as one dict: type, name and fields."""

import inspect
import reprlib
from collections.abc import Callable, Collection, Mapping
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

    Examples
    --------
    >>> from crossloss.objectives import WordObjective, register
    >>> @register("length", "WORD", "word")
    ... class Length(WordObjective):
    ...     word: str
    ...     name: str = ""
    ...
    ...     def __call__(self, view):
    ...         return view.vectors[view.index[self.word]].norm()
    >>> print(float(Length("math")(run.view)))
    """

    def decorate(cls: Class) -> Class:
        other = TYPES.get(kind, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            present = other.__qualname__
            raise UserError(f"There is an objective of type {kind!r} already, {present}: choose another type.")
        cls.type, cls.arguments = kind, arguments
        made: Any = dataclass(frozen=True)(cls)
        _speak_in_sentences(made)
        TYPES[kind] = made
        add_form(kind, kind, syntax, arguments)
        return cast("Class", made)

    return decorate


def _speak_in_sentences(cls: Any) -> None:
    """Let the constructor say what is wrong in one sentence, under the objective's name."""
    construct, signature, hints = cls.__init__, inspect.signature(cls), get_type_hints(cls)
    names = [f.name for f in fields(cls)]
    takes = f"{cls.type} takes {', '.join(name for name in names if name != 'name')}"

    @wraps(construct)
    def __init__(self: Any, /, *args: Any, **given: Any) -> None:
        try:
            unknown = next((key for key in given if key not in names), None)
            if unknown is not None:
                raise UserError(f"{unknown} is no key of {cls.type}: {takes}.")
            construct(self, *args, **given)
        except (UserError, ValidationError) as error:
            sentence = str(error) if isinstance(error, UserError) else _sentence(error, names, takes)
            name = getattr(self, "name", "") or (dict(zip(names, args, strict=False)) | given).get("name")
            named = isinstance(name, str) and name and not sentence.startswith(f"{name}: ")
            raise UserError(f"{name}: {sentence}" if named else sentence) from error

    cls.__init__ = __init__
    cls.__signature__ = signature.replace(  # without pydantic's annotations, for help()
        parameters=[p.replace(annotation=hints[name]) for name, p in signature.parameters.items()]
    )


def _sentence(error: ValidationError, names: list[str], takes: str) -> str:
    """Where and what, of the first fault."""
    first = error.errors(include_url=False)[0]
    at = first["loc"][0]
    name = names[at] if isinstance(at, int) and at < len(names) else at
    if first["type"] == "missing":
        return f"{name} is missing: {takes}."
    what = first["msg"].removeprefix("Input should be ")
    if what == first["msg"]:
        return f"{name}: {what[0].lower()}{what[1:]}; {takes}."
    return f"{name} is {reprlib.repr(first['input'])}: it should be {what}."


def to_dict(objective: Objective, without: Collection[str] = ()) -> dict[str, Any]:
    """Plain values for a JSON or YAML file, but for some fields; UserError for a Python function, which is code.

    Examples
    --------
    >>> cl.objectives.to_dict(cl.objectives.similarity("he", "math", name="near"))["type"]
    'similarity'
    """
    kind = getattr(objective, "type", None)
    if not isinstance(kind, str) or TYPES.get(kind) is not type(objective):
        raise UserError(f"Objective {objective.name} is Python code, which is not stored: score it from Python.")

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return value if isinstance(value, str | int | float) else to_dict(value, without)

    names = [f.name for f in fields(TYPES[kind]) if f.name not in without]
    return {"type": kind} | {name: plain(getattr(objective, name)) for name in names}


def from_dict(value: Mapping[str, Any], find: Callable[[str], Any] | None = None, folder: Path = Path()) -> Any:
    """Make an objective of a dict; one without a ``type`` is an association test.

    Parameters
    ----------
    value : mapping
        As ``to_dict`` gives it, or as a user writes it; the field ``of`` holds objectives, as dicts or by name.
    find : callable, optional
        Gives the objective of a name.
    folder : Path
        Where the files are that it names.

    Raises
    ------
    UserError
        A type that there is not, or fields that it does not take.

    Examples
    --------
    >>> near = cl.objectives.from_dict({"type": "similarity", "name": "near", "a": "he", "b": "math"})
    """
    kind = value.get("type", "weat")
    cls = TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        advice = "name one of them, or install a newer version of crossloss that has it"
        raise UserError(f"There is no type {kind!r}; there are: {', '.join(TYPES)}: {advice}.")

    def resolve(inner: Any) -> Any:
        if isinstance(inner, Mapping):
            return from_dict(inner, find, folder)
        return find(inner) if isinstance(inner, str) and find is not None else inner

    values = {"name": ""} | {key: item for key, item in value.items() if key != "type"}
    if "of" in values:
        of = values["of"]
        values["of"] = [resolve(inner) for inner in of] if isinstance(of, list | tuple) else resolve(of)
    return cls(**cls.prepare(values, folder))


def fingerprint(objective: Objective) -> object:
    """What identifies an objective across processes, without what only describes it; None for a Python function.

    Examples
    --------
    >>> cl.objectives.fingerprint(weat) == cl.objectives.fingerprint(cl.objectives.weat("weat7"))
    True
    """
    try:
        return to_dict(objective, DESCRIPTIVE)
    except UserError:
        return None
