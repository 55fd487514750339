"""The shipped tests: Caliskan's WEAT 1-10, the paper's four in the paper's orientation, and the demo's."""

import difflib
import json
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any, Literal

from crossloss.core import UserError
from crossloss.objectives.weat import SIDES, Weat


def _data(name: str) -> Any:
    return json.loads(resources.files("crossloss.objectives").joinpath("data", name).read_text("utf-8"))


@cache
def shipped() -> dict[str, Weat]:
    """Every shipped test by name; words as the vocabulary has them."""
    sets = _data("caliskan.json")["sets"]
    tests = {}
    for entry in _data("tests.json")["tests"]:
        words = {side: sets[entry[side]] if isinstance(entry[side], str) else entry[side] for side in SIDES}
        tests[entry["name"]] = Weat(**entry | words)
    return tests


def names() -> list[str]:
    """Names of the shipped tests.

    Examples
    --------
    >>> print(cl.objectives.names())
    """
    return list(shipped())


def weat(name: str, kind: Literal["effect", "statistic"] = "effect") -> Weat:
    """Return a shipped test, as effect size or as statistic; UserError where there is no such test.

    Examples
    --------
    >>> effect, statistic = cl.objectives.weat("weat7"), cl.objectives.weat("weat7", "statistic")
    >>> print(float(effect(run.view)))
    """
    if name not in shipped():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UserError(
            f"There is no test {name!r}; {hint}shipped are {', '.join(names())}; your own go into a .yaml file, and "
            "other objectives are written as in similarity:he/nurse."
        )
    return replace(shipped()[name], kind=kind)
