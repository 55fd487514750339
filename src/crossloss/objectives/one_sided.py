"""The association test with one set of attributes (paper Sec. 4.3.1)."""

from typing import ClassVar

from crossloss.objectives.association_test import AssociationTest, Kind, Labels
from crossloss.objectives.fields import TwoOrMore
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import join_words


@register("one-sided", "X,.../Y,.../A,...", "X", "Y", "A")
class OneSided(AssociationTest):
    """A WEAT with s(w) = mean_a cos(w, a): which of two sets of targets lies nearer to A (paper Sec. 4.3.1).

    Parameters
    ----------
    X, Y, A : sequences of str
        UserError for fewer than two words, or a word in both X and Y.
    labels : three str
        What the sets are called.
    kind : "effect" or "statistic"
        (mean_X s - mean_Y s) over the population standard deviation of s on X and Y together, or sum_X s - sum_Y s.
    name : str

    Examples
    --------
    >>> art = cl.objectives.one_sided(X=["he", "him"], Y=["she", "her"], A=["art", "poetry"])
    >>> print(float(art(run.view)))
    """

    X: TwoOrMore
    Y: TwoOrMore
    A: TwoOrMore
    labels: Labels = ("X", "Y", "A")
    kind: Kind = "effect"
    name: str = ""

    test: ClassVar[str] = "one-sided WEAT"
    reach: ClassVar[float] = 1.0

    def interpretation(self) -> str:
        """What the sign means."""
        sets = zip(self.sets.items(), self.labels, strict=True)
        x, y, a = (join_words(words) if label == side else label for (side, words), label in sets)
        unit = "standard deviations of their mean cosines" if self.kind == "effect" else "summed mean cosines"
        return f"Positive: {x} nearer to {a} than {y}; negative: the other way round; in {unit}."


one_sided = OneSided
