"""Projection of words on a direction learned from pairs."""

from collections.abc import Mapping

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.fields import Words
from crossloss.objectives.pairs import OverPairs, Pairs
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordView
from crossloss.objectives.words import join_words


@register("projection", "WORD,.../he,she[/man,woman]", "targets", "pairs")
class Projection(OverPairs):
    """Mean over targets w of cos(w, g); g is the mean over pairs (x, y), such as (he, she), of (x/|x| - y/|y|).

    The mean difference has a sign and a derivative wherever it is not zero; a main direction (Bolukbasi et al. 2016)
    has neither where two are equally strong.

    Raises
    ------
    UserError
        No target or no pair.
    """

    targets: Words
    pairs: Pairs
    name: str = ""

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
    def quantity(self) -> str:
        """What the number is."""
        return "mean cosine to a direction"

    def interpretation(self) -> str:
        """What the sign means."""
        x, y = self.pairs[0]
        return (
            f"Positive: {join_words(self.targets)} lie on the side of {x}, negative: on that of {y}; the mean cosine "
            f"to the mean difference of the {len(self.pairs)} pairs."
        )


projection = Projection
