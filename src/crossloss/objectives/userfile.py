"""Objectives by what a user writes: a name, one word of a command line, or YAML with strict strings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from crossloss.core import UserError
from crossloss.objectives.command_line import parse
from crossloss.objectives.registry import from_dict
from crossloss.objectives.weat import weat
from crossloss.text.encoding import decode

DEEP = "Objectives of objectives are nested too deep: name the inner ones in a .yaml file."
YAML = (".yaml", ".yml")


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


def find(name: str, known: Mapping[str, Any]) -> Any:
    """Objective of a name, known or shipped, or written as on the command line; UserError where there is none."""
    if name in known:
        return known[name]
    try:
        return from_dict(parse(name), lambda inner: find(inner, known)) if ":" in name else weat(name)
    except RecursionError:
        raise UserError(DEEP) from None


def load(path: str | Path) -> list[Any]:
    """Objectives of a YAML file, each under its name.

    An association test is ``name: {X: [...], Y: [...], A: [...], B: [...]}``; ``labels`` (four), ``question`` and
    ``kind`` are optional. Another objective is ``name: {type: margin, word: dooku, near: [vader], far: [kirk]}``:
    ``type`` and the arguments of the function of that name. ``{type: sum, of: [NAME, NAME], weights: [1, -1]}`` and
    ``{type: abs, of: NAME}`` are of objectives above them in the file, shipped, or written as on the command line;
    ``{type: likelihood, file: TEXT}`` reads a file beside this one. Words are lower-cased, as the vocabulary is.
    UserError where the file cannot be read, or an entry is not as above; the message names it and the fault.

    Examples
    --------
    >>> from pathlib import Path
    >>> size = Path("mine.yaml").write_text("near: {type: similarity, a: he, b: math}")
    >>> [objective.name for objective in cl.objectives.load("mine.yaml")]
    ['near']
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
    known: dict[str, Any] = {}
    for name, value in content.items():
        if not name.replace("-", "").replace("_", "").isalnum():
            raise UserError(f"{path}: the name {name!r} may hold letters, digits, - and _ only.")
        known[name] = _entry(path, name, value, known)
    return list(known.values())


def _entry(path: Path, name: str, value: Any, known: Mapping[str, Any]) -> Any:
    """One objective of a file; one without a type is an association test."""
    typed = isinstance(value, dict) and "type" in value
    try:
        if not isinstance(value, dict):
            raise UserError("an objective has keys: give X, Y, A and B, or a type and what it takes.")
        if "name" in value:
            raise UserError("leave name out: the entry is called by its key.")
        source = {"source": path.name} if value.get("type", "weat") == "weat" else {}
        return from_dict({"name": name} | source | value, lambda inner: find(inner, known), path.parent)
    except (UserError, RecursionError) as error:
        fault = str(error).removeprefix(f"{name}: ") if isinstance(error, UserError) else DEEP
        raise UserError(f"{path}, {'' if typed else 'test '}{name}: {fault}") from error


def load_objectives(given: str) -> list[Any]:
    """A shipped test by name, all objectives of FILE.yaml, one as FILE.yaml:NAME, or one written as TYPE:arguments.

    UserError where there is no such objective or file.

    Examples
    --------
    >>> (near,) = cl.objectives.load_objectives("similarity:he/math")
    """
    if given.lower().endswith(YAML):
        return load(given)
    file, _, name = given.rpartition(":")
    if not file.lower().endswith(YAML):
        return [find(given, {})]
    known = {objective.name: objective for objective in load(file)}
    if name not in known:
        raise UserError(f"{file} has no objective {name!r}; it has: {', '.join(known)}.")
    return [known[name]]


def parse_objectives(names: Sequence[str], known: Sequence[Any] = ()) -> list[Any]:
    """Objectives as ``load_objectives`` reads each, or by the names of ``known`` ones (a run's), each once.

    UserError for one that there is not, none at all, or two of one name.

    Examples
    --------
    >>> [o.name for o in cl.objectives.parse_objectives(["weat7", "weat8"])]
    ['weat7', 'weat8']
    """
    own = {objective.name: objective for objective in known}
    chosen: list[Any] = []
    for name in names:
        try:
            chosen += [own[name]] if name in own else load_objectives(name)
        except UserError as error:
            if own:
                raise UserError(f"{str(error).rstrip('.')}; the run has {', '.join(own)}.") from error
            raise
    if not chosen:
        raise UserError("Name at least one --objective, such as weat6, or a .yaml file with your own.")
    (most, times), *_ = Counter(objective.name for objective in chosen).most_common()
    if times > 1:
        raise UserError(f"Two objectives are named {most}: give each once, or other names in a .yaml file.")
    return chosen
