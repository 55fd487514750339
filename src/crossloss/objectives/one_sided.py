"""The association test with one set of attributes (paper Sec. 4.3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from crossloss.objectives.weat import AssociationTest, labels_of
from crossloss.objectives.words import WordView, given_name, listed, several

SIDES = ("X", "Y", "A")


@dataclass(frozen=True)
class OneSided(AssociationTest):
    """A WEAT with s(w) = mean_a cos(w, a): which of two sets of targets lies nearer to A (paper Sec. 4.3.1).

    The effect is (mean_X s - mean_Y s) over the population standard deviation of s on X and Y together; the
    statistic is sum_X s - sum_Y s.

    Parameters
    ----------
    name : str
    X, Y, A : tuples of str
    labels : three str
        What the sets are called.
    kind : "effect" or "statistic"
    """

    name: str
    X: tuple[str, ...]
    Y: tuple[str, ...]
    A: tuple[str, ...]
    labels: tuple[str, str, str] = SIDES
    kind: Literal["effect", "statistic"] = "effect"

    sides: ClassVar[tuple[str, ...]] = SIDES
    reach: ClassVar[float] = 1.0

    def associations(self, view: WordView) -> tuple[Tensor, Tensor]:
        """s(w), the mean cosine to A, of the present words of X and of Y."""
        unit = self.units(view)
        centre = unit["A"].mean(0)
        return unit["X"] @ centre, unit["Y"] @ centre

    @property
    def measure(self) -> str:
        """What the number is."""
        return f"one-sided WEAT {'effect size' if self.kind == 'effect' else 'statistic'}"

    def reading(self) -> str:
        """What the sign means."""
        x, y, a = (
            listed(words) if label == side else label
            for (side, words), label in zip(self.sets.items(), self.labels, strict=True)
        )
        unit = "standard deviations of their mean cosines" if self.kind == "effect" else "summed mean cosines"
        return f"Positive: {x} lie nearer to {a} than {y} do; negative: {y} do; in {unit}."


def one_sided(
    X: Sequence[str],
    Y: Sequence[str],
    A: Sequence[str],
    labels: Sequence[str] = SIDES,
    kind: Literal["effect", "statistic"] = "effect",
    name: str = "",
) -> OneSided:
    """Which of X and Y lies nearer to A, as an effect size (paper Sec. 4.3.1).

    Raises
    ------
    UserError
        An empty set, or a word in both X and Y.
    """
    x, y, a = (several(words, side, OneSided.least) for words, side in zip((X, Y, A), SIDES, strict=True))
    named: Any = labels_of(labels, len(SIDES))
    return OneSided(name or given_name("one-sided", x, y, a), x, y, a, named, kind)
