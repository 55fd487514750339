"""Projection of words on a direction learned from pairs."""

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.fields import Words
from crossloss.objectives.pairs import OverPairs, Pairs
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordView


@register("projection", "WORD,.../he,she(/man,woman)", "targets", "pairs")
class Projection(OverPairs):
    """Mean over targets w of cos(w, g); g is the mean over pairs (x, y), such as (he, she), of (x/|x| - y/|y|).

    The mean difference has a sign and a derivative wherever it is not zero; a main direction (Bolukbasi et al. 2016)
    has neither where two are equally strong. UserError for no target or no pair.

    Examples
    --------
    >>> lean = cl.objectives.projection(["math", "algebra"], [["he", "she"], ["him", "her"]])
    >>> print(float(lean(run.view)))
    """

    targets: Words
    pairs: Pairs
    name: str = ""

    quantity = "mean cosine to a direction"
    limits = (-1.0, 1.0)
    meaning = (
        "Positive: {targets} lie on the side of {0.pairs[0][0]}, negative: on that of {0.pairs[0][1]}; the mean cosine "
        "to the mean difference of the pairs."
    )

    def __call__(self, view: WordView) -> Tensor:
        """Mean cosine, shape (); UserError where no target or pair is present, or the pairs' differences cancel."""
        targets, first, second = self.units(view).values()
        direction = (first - second).mean(0)
        length = torch.linalg.vector_norm(direction)
        if not bool(length > 0):
            raise UserError(f"{self.name}: the differences of the pairs cancel, so they have no direction.")
        cosine: Tensor = targets.mean(0) @ (direction / length)
        return cosine


projection = Projection
