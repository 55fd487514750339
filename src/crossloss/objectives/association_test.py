"""What tests of two sets of targets share: how associations become a number, and tests of some of their words."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import SkipValidation
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import BaseObjective
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.word_objective import WordObjective, WordView, halves_of

AGAINST = (("X", "Y"), ("A", "B"))
ROUNDING = 16  # in units of the dtype's eps; targets on one ray differ by less than 1, ordinary ones by 1e4 and more


Kind = Literal["effect", "statistic"]
"""Which number a test of words gives."""
Labels = SkipValidation[Sequence[str]]
"""What the sets are called; the test says how many there are."""


class TargetTest(BaseObjective):
    """A test of two sets of targets by one number of each, its association: what a permutation test is of."""

    kind: str
    """The number that it gives: "effect", "statistic" (of sums) or "difference" (of means)."""
    ddof: int = 0
    """What the standard deviation of the effect size divides by: the number of targets less this."""

    def associations(self, view: Any) -> tuple[Tensor, Tensor]:
        """Associations of the targets of X and of Y, (x,) and (y,)."""
        raise NotImplementedError

    def __call__(self, view: Any) -> Tensor:
        """Number of its kind, shape (); UserError as ``associations``, or for associations that are all equal."""
        x, y = self.associations(view)
        if self.kind == "effect":
            return effect(self.name, x, y, self.ddof)
        return x.sum() - y.sum() if self.kind == "statistic" else x.mean() - y.mean()


class AssociationTest(TargetTest, WordObjective):
    """A test of two sets of targets, X and Y, by their mean cosines to A, less those to B where there is a B."""

    labels: Sequence[str]
    kind: Kind
    test: ClassVar[str]
    """What it is called."""
    least: ClassVar[int] = 2
    reach: ClassVar[float] = 2.0
    """The largest association there can be: a mean cosine has 1, the difference of two 2."""

    def check(self) -> None:
        """Refuse a word in two sets that are set against each other, and labels that do not name the sets."""
        for first, second in AGAINST:
            both = sorted(set(self.sets.get(first, ())) & set(self.sets.get(second, ())))
            if both:
                raise UserError(f"{', '.join(both)} stands in both {first} and {second}: name it in one of them.")
        labels = tuple(self.labels) if isinstance(self.labels, list | tuple) else ()
        number = len(self.arguments)
        if len(labels) != number or not all(isinstance(label, str) and label.strip() for label in labels):
            raise UserError(f"labels must name the {number} sets, a list of {number} strings.")
        object.__setattr__(self, "labels", labels)

    @property
    def quantity(self) -> str:
        """What the number is."""
        return f"{self.test} {'effect size' if self.kind == 'effect' else 'statistic'}"

    def label(self, side: str) -> str:
        """What a set is called."""
        return self.labels[self.arguments.index(side)]

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """(x + y)/sqrt(x y) either way for an effect size of x and y words, 2 where x = y; reach (x + y) for a sum."""
        rows = self.lookup(index)
        x, y = len(rows["X"]), len(rows["Y"])
        widest = self.reach * (x + y) if self.kind == "statistic" else (x + y) / math.sqrt(x * y)
        return -widest, widest

    def associations(self, view: WordView) -> tuple[Tensor, Tensor]:
        """s(w) of the present words of X and of Y (Eq. 11); UserError as ``units``."""
        unit = self.units(view)
        direction = unit["A"].mean(0)
        if "B" in unit:
            direction = direction - unit["B"].mean(0)
        return unit["X"] @ direction, unit["Y"] @ direction

    def with_words(self, sets: Mapping[str, Sequence[str]], name: str) -> Self:
        """The test with other words in its sets."""
        return type(self)(**{**vars(self), **sets, "name": name})

    def halves(self, index: Mapping[str, int], seed: int = 0) -> tuple[Self, Self]:
        """Split the words of each set that are in ``index`` in two at random: NAME.fitted and NAME.judged.

        Of an odd number of words the fitted half has one more. UserError for fewer than four words of a set.
        """
        generator = np.random.default_rng(seed)
        parts: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})
        for side, words in self.sets.items():
            label = f"{side} ({self.label(side)}) has"
            for part, half in zip(parts, halves_of(words, index, generator, f"{self.name}: {label}"), strict=True):
                part[side] = half
        return self.with_words(parts[0], f"{self.name}.fitted"), self.with_words(parts[1], f"{self.name}.judged")

    def frequent(self, counts: Mapping[str, int], least: int) -> Self:
        """The test with the words that occur ``least`` times or more; UserError for fewer than two in a set."""
        sets = {side: [w for w in words if counts.get(w, 0) >= least] for side, words in self.sets.items()}
        for side, words in sets.items():
            if len(words) < 2:
                label = f"{side} ({self.label(side)})"
                raise UserError(f"{self.name}: fewer than two words of {label} occur {least} times: ask for fewer.")
        return self.with_words(sets, self.name)


def effect(name: str, x: Tensor, y: Tensor, ddof: int = 0) -> Tensor:
    """Difference of means over the standard deviation of both together (Eq. 12 as meant: ddof 0), shape ().

    Exchanging x and y flips the sign to the last bit: nothing here depends on which of them comes first. UserError
    where all associations are equal up to rounding.
    """
    number = len(x) + len(y)
    mean = (x.sum() + y.sum()) / number
    spread = (((x - mean).square().sum() + (y - mean).square().sum()) / (number - ddof)).sqrt()
    if not bool(spread > ROUNDING * torch.finfo(spread.dtype).eps):
        raise UserError(f"{name}: all target words are associated alike, so the effect size is undefined.")
    return (x.mean() - y.mean()) / spread
