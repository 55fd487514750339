"""Projection of words on a direction learned from pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.pairs import OverPairs, several_pairs
from crossloss.objectives.words import WordView, given_name, listed, several


@dataclass(frozen=True)
class Projection(OverPairs):
    """Mean over targets w of cos(w, g); g is the mean over pairs (x, y) of (x/|x| - y/|y|).

    The mean difference has a sign and a derivative wherever it is not zero; a main direction (Bolukbasi et al. 2016)
    has neither where two are equally strong.
    """

    def __call__(self, view: WordView) -> Tensor:
        """Mean cosine, shape ().

        Raises
        ------
        UserError
            No target or pair is present, or the pairs' differences cancel.
        """
        targets, first, second = self.units(view).values()
        direction = (first - second).mean(0)
        length = torch.linalg.vector_norm(direction)
        if not bool(length > 0):
            raise UserError(f"{self.name}: the differences of the pairs cancel, so they have no direction.")
        cosine: Tensor = targets.mean(0) @ (direction / length)
        return cosine

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        return -1.0, 1.0

    @property
    def measure(self) -> str:
        """What the number is."""
        return "mean cosine to a direction"

    def reading(self) -> str:
        """What the sign means."""
        x, y = self.pairs[0]
        return (
            f"Positive: {listed(self.targets)} lie on the side of {x}, negative: on that of {y}; the mean cosine to "
            f"the mean difference of the {len(self.pairs)} pairs."
        )


def projection(targets: str | Sequence[str], pairs: Sequence[tuple[str, str]], name: str = "") -> Projection:
    """Mean cosine of targets to the mean difference of pairs such as (he, she).

    Raises
    ------
    UserError
        No target or no pair.
    """
    words, both = several(targets, "targets"), several_pairs(pairs)
    return Projection(name or given_name("projection", words, *both[:1]), words, both)
