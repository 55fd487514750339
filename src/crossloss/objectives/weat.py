"""The Word Embedding Association Test as a differentiable objective (Caliskan et al. 2017; paper Eqs. 11, 12)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.words import WordObjective, WordView

SIDES = ("X", "Y", "A", "B")
ROUNDING = 16  # in units of the dtype's eps; targets on one ray differ by less than 1, ordinary ones by 1e4 and more


class AssociationTest(WordObjective):
    """What tests of two sets of targets share: how associations become a number.

    A subclass says what the associations of a target are; ``labels`` name its sets, in the order of ``sides``.
    """

    name: str
    labels: tuple[str, ...]
    kind: Literal["effect", "statistic"]
    sides: ClassVar[tuple[str, ...]]
    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.kind not in ("effect", "statistic"):
            raise UserError(f'{self.name}: kind is "effect" or "statistic", not {self.kind!r}.')

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """Targets and attributes."""
        return {side: getattr(self, side) for side in self.sides}

    def label(self, side: str) -> str:
        """What a set is called."""
        return self.labels[self.sides.index(side)]

    def associations(self, view: WordView) -> tuple[Tensor, Tensor]:
        """s(w) of the present words of X and of Y.

        Raises
        ------
        UserError
            Too few words, or a word vector that is not finite or of length zero.
        """
        raise NotImplementedError

    def __call__(self, view: WordView) -> Tensor:
        """Effect size or statistic, shape ().

        Raises
        ------
        UserError
            As ``associations``, or all associations equal.
        """
        x, y = self.associations(view)
        return x.sum() - y.sum() if self.kind == "statistic" else effect(self.name, x, y)


@dataclass(frozen=True)
class Weat(AssociationTest):
    """A word embedding association test.

    s(w) = mean_a cos(w, a) - mean_b cos(w, b). The effect is (mean_X s - mean_Y s) over the POPULATION standard
    deviation of s on X and Y together; the statistic is sum_X s - sum_Y s. Words that the vocabulary lacks are
    left out of their set, the other sets stay as they are; fewer than two words in a set are an error.

    Parameters
    ----------
    name : str
    X, Y : tuples of str
        Target words.
    A, B : tuples of str
        Attribute words.
    labels : four str
        What the sets are called.
    question : str
    kind : "effect" or "statistic"
    source : str

    Raises
    ------
    UserError
        Another kind.
    """

    name: str
    X: tuple[str, ...]
    Y: tuple[str, ...]
    A: tuple[str, ...]
    B: tuple[str, ...]
    labels: tuple[str, str, str, str] = ("X", "Y", "A", "B")
    question: str = ""
    kind: Literal["effect", "statistic"] = "effect"
    source: str = ""

    sides: ClassVar[tuple[str, ...]] = SIDES

    def associations(self, view: WordView) -> tuple[Tensor, Tensor]:
        """s(w) of the present words of X and of Y (Eq. 11)."""
        unit = self.units(view)
        contrast = unit["A"].mean(0) - unit["B"].mean(0)
        return unit["X"] @ contrast, unit["Y"] @ contrast

    @property
    def measure(self) -> str:
        """What the number is."""
        return f"WEAT {'effect size' if self.kind == 'effect' else 'statistic'}"

    def reading(self) -> str:
        """What the sign means, in one sentence."""
        x, y, a, b = self.labels
        unit = (
            "standard deviations of the associations" if self.kind == "effect" else "summed differences of mean cosines"
        )
        return f"Positive: {x} lie nearer to {a} and {y} nearer to {b}; negative: the other way round; in {unit}."


def effect(name: str, x: Tensor, y: Tensor) -> Tensor:
    """Difference of means over the population standard deviation of both together (Eq. 12 as meant), shape ().

    Exchanging x and y flips the sign to the last bit: nothing here depends on which of them comes first.

    Raises
    ------
    UserError
        All associations are equal up to rounding.
    """
    number = len(x) + len(y)
    mean = (x.sum() + y.sum()) / number
    spread = (((x - mean).square().sum() + (y - mean).square().sum()) / number).sqrt()
    if not bool(spread > ROUNDING * torch.finfo(spread.dtype).eps):
        raise UserError(f"{name}: all target words are associated alike, so the effect size is undefined.")
    return (x.mean() - y.mean()) / spread
