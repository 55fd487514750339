"""The Word Embedding Association Test (Caliskan et al. 2017; paper Eqs. 11, 12), and the tests that are shipped."""

import difflib
import json
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any, ClassVar, Literal

from crossloss.core import UserError
from crossloss.objectives.association_test import AssociationTest, Kind, Labels
from crossloss.objectives.fields import TwoOrMore
from crossloss.objectives.registry import register

SETS = ("X", "Y", "A", "B")


@register("weat", "X,.../Y,.../A,.../B,...", *SETS)
class Weat(AssociationTest):
    """A word embedding association test, of s(w) = mean_a cos(w, a) - mean_b cos(w, b).

    Words that the vocabulary lacks are left out of their set; fewer than two present are an error.

    Parameters
    ----------
    name : str
    X, Y : sequences of str
        Target words.
    A, B : sequences of str
        Attribute words.
    labels : four str
        What the sets are called.
    question : str
    kind : "effect" or "statistic"
        (mean_X s - mean_Y s) over the POPULATION standard deviation of s on X and Y together, or sum_X s - sum_Y s.
    source : str

    Examples
    --------
    >>> X, Y = ["he", "him"], ["she", "her"]
    >>> test = cl.objectives.Weat("lean", X=X, Y=Y, A=["math", "algebra"], B=["art", "poetry"])
    >>> print(float(test(run.view)))
    """

    name: str
    X: TwoOrMore
    Y: TwoOrMore
    A: TwoOrMore
    B: TwoOrMore
    labels: Labels = SETS
    question: str = ""
    kind: Kind = "effect"
    source: str = ""

    test: ClassVar[str] = "WEAT"

    def interpretation(self) -> str:
        """What the sign means, in one sentence."""
        x, y, a, b = self.labels
        unit = (
            "standard deviations of the associations" if self.kind == "effect" else "summed differences of mean cosines"
        )
        return f"Positive: {x} nearer to {a}, {y} nearer to {b}; negative: the other way round; in {unit}."


def _data(name: str) -> Any:
    return json.loads(resources.files("crossloss.objectives").joinpath("data", name).read_text("utf-8"))


@cache
def shipped() -> dict[str, Weat]:
    """Caliskan's WEAT 1-10, the paper's four in the paper's orientation, and the demo's, by name."""
    sets = _data("caliskan.json")["sets"]
    tests = {}
    for entry in _data("tests.json")["tests"]:
        words = {side: sets[entry[side]] if isinstance(entry[side], str) else entry[side] for side in SETS}
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
