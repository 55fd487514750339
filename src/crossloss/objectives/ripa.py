"""Relational inner product association (Ethayarajh, Duvenaud and Hirst 2019)."""

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.fields import Words
from crossloss.objectives.pairs import OverPairs, Pairs
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordView


@register("ripa", "WORD,.../he,she(/man,woman)", "targets", "pairs")
class Ripa(OverPairs):
    """Mean over pairs (x, y) and targets w of <w, b>, b = (x - y)/|x - y| (Ethayarajh et al. 2019).

    Unlike a cosine it depends on the length of w, and so on how often w occurs. UserError for no target or no pair.

    Examples
    --------
    >>> ripa = cl.objectives.ripa(["math", "algebra"], [["he", "she"]])
    >>> print(float(ripa(run.view)))
    """

    targets: Words
    pairs: Pairs
    name: str = ""

    quantity = "RIPA"
    meaning = (
        "Positive: {targets} lie towards {0.pairs[0][0]} from {0.pairs[0][1]} (mean over the pairs); negative: towards "
        "{0.pairs[0][1]}; in units of the vectors."
    )

    def __call__(self, view: WordView) -> Tensor:
        """RIPA, shape (); UserError where no target or pair is present, or the words of a pair have one vector."""
        targets, first, second = (self.vectors(view, rows, side) for side, rows in self.lookup(view.index).items())
        apart = first - second
        lengths = torch.linalg.vector_norm(apart, dim=1, keepdim=True)
        if not bool((lengths > 0).all()):
            raise UserError(f"{self.name}: the two words of a pair have one vector, so the pair has no direction.")
        product: Tensor = targets.mean(0) @ (apart / lengths).mean(0)
        return product


ripa = Ripa
