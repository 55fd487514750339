"""The Word Embedding Association Test as a differentiable objective (Caliskan et al. 2017; paper Eqs. 11, 12)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.words import WordObjective, WordView, naming, several

SIDES = ("X", "Y", "A", "B")
AGAINST = (("X", "Y"), ("A", "B"))
ROUNDING = 16  # in units of the dtype's eps; targets on one ray differ by less than 1, ordinary ones by 1e4 and more


class AssociationTest(WordObjective):
    """What tests of two sets of targets share: how associations become a number.

    A subclass says what the associations of a target are; ``labels`` name its sets, in the order of ``sides``.

    Raises
    ------
    UserError
        Fewer than two words in a set, one of them twice, or in both of two sets that are set against each other; labels
        that do not name the sets; another kind.
    """

    name: str
    labels: tuple[str, ...]
    kind: Literal["effect", "statistic"]
    sides: ClassVar[tuple[str, ...]]
    least: ClassVar[int] = 2
    reach: ClassVar[float] = 2.0
    """The largest association there can be: a mean cosine has 1, the difference of two 2."""

    def __post_init__(self) -> None:
        if self.kind not in ("effect", "statistic"):
            raise UserError(f'{self.name}: kind is "effect" or "statistic", not {self.kind!r}.')
        with naming(self.name):
            self._clean(**{side: several(getattr(self, side), side, self.least) for side in self.sides})
            for first, second in AGAINST:
                if second in self.sides:
                    self._apart(first, second)
            self._clean(labels=labels_of(self.labels, len(self.sides)))

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """Targets and attributes."""
        return {side: getattr(self, side) for side in self.sides}

    def label(self, side: str) -> str:
        """What a set is called."""
        return self.labels[self.sides.index(side)]

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """-2 to 2 for an effect size of two sets of one length, and of x and y words (x + y)/sqrt(x y) either way.

        The spread of both sets together is at least the part of it that is between their means. A statistic goes
        as far as all associations together.
        """
        rows = self.rows(index)
        x, y = len(rows["X"]), len(rows["Y"])
        widest = self.reach * (x + y) if self.kind == "statistic" else (x + y) / math.sqrt(x * y)
        return -widest, widest

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
        As ``AssociationTest``.
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


def labels_of(labels: object, number: int) -> tuple[str, ...]:
    """Labels, one for each set; UserError where there are not."""
    given = tuple(labels) if isinstance(labels, list | tuple) else ()
    if len(given) != number or not all(isinstance(label, str) and label.strip() for label in given):
        raise UserError(f"labels must name the {number} sets, a list of {number} strings.")
    return given
