"""The Word Embedding Association Test as a differentiable objective (Caliskan et al. 2017; paper Eqs. 11, 12)."""

from typing import ClassVar

from torch import Tensor

from crossloss.objectives.association_test import AssociationTest, Kind, Labels
from crossloss.objectives.fields import TwoOrMore
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordView

SIDES = ("X", "Y", "A", "B")


@register("weat", "X,.../Y,.../A,.../B,...", *SIDES)
class Weat(AssociationTest):
    """A word embedding association test.

    s(w) = mean_a cos(w, a) - mean_b cos(w, b). The effect is (mean_X s - mean_Y s) over the POPULATION standard
    deviation of s on X and Y together; the statistic is sum_X s - sum_Y s. Words that the vocabulary lacks are
    left out of their set, the other sets stay as they are; fewer than two words in a set are an error.

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
    labels: Labels = SIDES
    question: str = ""
    kind: Kind = "effect"
    source: str = ""

    called: ClassVar[str] = "WEAT"

    def associations(self, view: WordView) -> tuple[Tensor, Tensor]:
        """s(w) of the present words of X and of Y (Eq. 11)."""
        unit = self.units(view)
        contrast = unit["A"].mean(0) - unit["B"].mean(0)
        return unit["X"] @ contrast, unit["Y"] @ contrast

    def interpretation(self) -> str:
        """What the sign means, in one sentence."""
        x, y, a, b = self.labels
        units = {"effect": "standard deviations of the associations", "statistic": "summed differences of mean cosines"}
        said = f"Positive: {x} lie nearer to {a} and {y} nearer to {b}; negative: the other way round"
        return f"{said}; in {units[self.kind]}."
