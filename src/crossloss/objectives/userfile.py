"""The user's own objectives, from YAML with strict strings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, validate_call

from crossloss.core import UserError
from crossloss.objectives.algebra import Absolute, Composable, Sum
from crossloss.objectives.association import association, margin
from crossloss.objectives.displacement import displacement
from crossloss.objectives.inline import inline, text_file
from crossloss.objectives.likelihood import likelihood
from crossloss.objectives.mac import mac
from crossloss.objectives.one_sided import one_sided
from crossloss.objectives.projection import projection
from crossloss.objectives.ripa import ripa
from crossloss.objectives.separation import separation
from crossloss.objectives.similarity import similarity
from crossloss.objectives.weat import SIDES, Weat
from crossloss.objectives.wordsets import weat
from crossloss.text.encoding import decode

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class _Strict(yaml.BaseLoader):
    """Every scalar is a string (he, no, on, null, 1e3 stay words); no aliases, no repeated keys, no tags."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key!r} stands twice")
        return super().construct_mapping(node, deep)


class _Test(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    X: list[Word] = Field(min_length=2)
    Y: list[Word] = Field(min_length=2)
    A: list[Word] = Field(min_length=2)
    B: list[Word] = Field(min_length=2)
    labels: list[Word] = Field(default=["X", "Y", "A", "B"], min_length=4, max_length=4)
    question: str = ""


MADE_BY: dict[str, Callable[..., Composable]] = {
    "displacement": displacement,
    "similarity": similarity,
    "margin": margin,
    "association": association,
    "one-sided": one_sided,
    "separation": separation,
    "projection": projection,
    "ripa": ripa,
    "mac": mac,
    "likelihood": likelihood,
}
"""The function behind each ``type``; its arguments are the keys of an entry."""


def load(path: str | Path) -> list[Any]:
    """Objectives of a YAML file, each under its name.

    An association test is ``name: {X: [...], Y: [...], A: [...], B: [...]}``; ``labels`` (four) and ``question`` are
    optional. Another objective is ``name: {type: margin, word: dooku, near: [vader], far: [kirk]}``: ``type`` and the
    arguments of the function of that name. ``{type: sum, of: [NAME, NAME], weights: [1, -1]}`` and
    ``{type: abs, of: NAME}`` are of objectives above them in the file, shipped, or written as on the command line;
    ``{type: likelihood, file: TEXT}`` reads a file beside this one. Words are lower-cased, as the vocabulary is.

    Raises
    ------
    UserError
        The file cannot be read, or an entry is not as above; the message names it and the fault.
    """
    path = Path(path)
    try:
        content = yaml.load(decode(path, path.read_bytes()), Loader=_Strict)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}): check the path.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: an escape beyond Unicode
        raise UserError(f"{path} is no YAML that is read here ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} must map names to objectives: `name: {{X: [...], Y: [...], A: [...], B: [...]}}`.")
    known: dict[str, Composable] = {}
    for name, value in content.items():
        if not name.replace("-", "").replace("_", "").isalnum():
            raise UserError(f"{path}: the name {name!r} may hold letters, digits, - and _ only.")
        typed = isinstance(value, dict) and "type" in value
        known[name] = _typed(path, name, value, known) if typed else _test(path, name, value)
    return list(known.values())


def _typed(path: Path, name: str, value: dict[str, Any], known: dict[str, Composable]) -> Composable:
    """An entry with a ``type``."""
    arguments = {key: item for key, item in value.items() if key != "type"}
    kind, where = str(value["type"]), f"{path}, {name}"
    try:
        if kind == "sum":
            return _sum(name, known, arguments)
        if kind == "abs":
            return _absolute(name, known, arguments)
        if kind == "likelihood" and set(arguments) == {"file"}:
            return text_file(path.parent / str(arguments["file"]), name)
        if kind not in MADE_BY:
            raise UserError(f"there is no type {kind!r}; there are: {', '.join([*MADE_BY, 'sum', 'abs'])}.")
        if "name" in arguments:
            raise UserError("leave name out: the entry is called by its key.")
        return validate_call(MADE_BY[kind])(**arguments, name=name)
    except ValidationError as error:
        raise UserError(f"{where}, {_fault(error)}") from error
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix(f'{name}: ')}") from error


def _found(name: str, known: dict[str, Composable]) -> Composable:
    """An objective above in the file, shipped, or written as on the command line."""
    if name in known:
        return known[name]
    return inline(name, lambda inner: _found(inner, known)) if ":" in name else weat(name)


def _refuse_but(allowed: Sequence[str], given: dict[str, Any]) -> None:
    for key in given:
        if key not in allowed:
            raise UserError(f"{key} is no key of this type: give {' and '.join(allowed)}.")


def _sum(name: str, known: dict[str, Composable], given: dict[str, Any]) -> Sum:
    _refuse_but(("of", "weights"), given)
    names, weights = given.get("of"), given.get("weights")
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(n, str) for n in names):
        raise UserError("of must list the names of two objectives or more.")
    if weights is None:
        weights = ["1"] * len(names)
    try:
        numbers = [float(weight) for weight in weights]
    except (TypeError, ValueError):
        raise UserError("weights must be numbers, one for each objective.") from None
    if len(numbers) != len(names):
        raise UserError(f"there are {len(names)} objectives and {len(numbers)} weights: give one for each.")
    return Sum(name, tuple((number, _found(n, known)) for number, n in zip(numbers, names, strict=True)))


def _absolute(name: str, known: dict[str, Composable], given: dict[str, Any]) -> Absolute:
    _refuse_but(("of",), given)
    if not isinstance(given.get("of"), str):
        raise UserError("of must name one objective.")
    return Absolute(name, _found(given["of"], known))


def _fault(error: ValidationError) -> str:
    """Where and what, of the first fault."""
    first = error.errors()[0]
    return f"{first['loc'][0]}: {first['msg'].lower()}."


def _test(path: Path, name: str, value: Any) -> Weat:
    try:
        test = _Test.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the test"
        raise UserError(f"{path}, test {name}, {where}: {first['msg'].lower()}.") from error
    sets: dict[str, Any] = {side: tuple(getattr(test, side)) for side in SIDES}
    labels: Any = tuple(test.labels)
    try:
        return Weat(name, **sets, labels=labels, question=test.question, source=path.name)
    except UserError as error:
        raise UserError(f"{path}, test {name}: {str(error).removeprefix(f'{name}: ')}") from error


def load_objectives(given: str) -> list[Any]:
    """A shipped test by name, all objectives of FILE.yaml, one as FILE.yaml:NAME, or one written as TYPE:arguments.

    Raises
    ------
    UserError
        No such objective or file.
    """
    file, colon, name = given.rpartition(":")
    if colon and file.lower().endswith((".yaml", ".yml")):
        known = {objective.name: objective for objective in load(file)}
        if name not in known:
            raise UserError(f"{file} has no objective {name!r}; it has: {', '.join(known)}.")
        return [known[name]]
    if given.lower().endswith((".yaml", ".yml")):
        return load(given)
    return [_found(given, {})]
