"""The user's own association tests, from YAML with strict strings."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crossloss.core import UserError
from crossloss.objectives.weat import SIDES, Weat
from crossloss.objectives.wordsets import weat

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


def load(path: str | Path) -> list[Weat]:
    """Association tests of a YAML file: ``name: {X: [...], Y: [...], A: [...], B: [...]}``.

    ``labels`` (four) and ``question`` are optional. Words are lower-cased, as the vocabulary is.

    Raises
    ------
    UserError
        The file cannot be read, or a test is not as above; the message names the test and the fault.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=_Strict)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): check the path.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: an escape beyond Unicode
        raise UserError(f"{path} is no YAML that is read here ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} must map test names to word sets: `name: {{X: [...], Y: [...], A: [...], B: [...]}}`.")
    return [_test(path, name, value) for name, value in content.items()]


def _test(path: Path, name: str, value: Any) -> Weat:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UserError(f"{path}: the test name {name!r} may hold letters, digits, - and _ only.")
    try:
        test = _Test.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the test"
        raise UserError(f"{path}, test {name}, {where}: {first['msg'].lower()}.") from error
    sets = {side: tuple(word.lower() for word in getattr(test, side)) for side in SIDES}
    for side, words in sets.items():
        if len(set(words)) < len(words):
            raise UserError(f"{path}, test {name}: a word stands twice in {side}.")
    for one, other in (("X", "Y"), ("A", "B")):
        both = set(sets[one]) & set(sets[other])
        if both:
            raise UserError(f"{path}, test {name}: {', '.join(sorted(both))} stands in both {one} and {other}.")
    x, y, a, b = sets.values()
    labels = (test.labels[0], test.labels[1], test.labels[2], test.labels[3])
    return Weat(name, x, y, a, b, labels, test.question, source=path.name)


def load_objectives(given: str) -> list[Weat]:
    """A shipped test by name, all tests of FILE.yaml, or one as FILE.yaml:NAME.

    Raises
    ------
    UserError
        No such test or file.
    """
    file, colon, name = given.rpartition(":")
    if colon and file.endswith((".yaml", ".yml")):
        tests = {test.name: test for test in load(file)}
        if name not in tests:
            raise UserError(f"{file} has no test {name!r}; it has: {', '.join(tests)}.")
        return [tests[name]]
    if given.endswith((".yaml", ".yml")):
        return load(given)
    return [weat(given)]
