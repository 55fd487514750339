"""Relational inner product association (Ethayarajh, Duvenaud and Hirst 2019)."""

from torch import Tensor

from crossloss.objectives.fields import Words
from crossloss.objectives.pairs import OverPairs, Pairs
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordView
from crossloss.objectives.words import join_words


@register("ripa", "WORD,.../he,she[/man,woman]", "targets", "pairs")
class Ripa(OverPairs):
    """Mean over pairs (x, y) and targets w of <w, b>, b = (x - y)/|x - y| (Ethayarajh et al. 2019).

    Unlike a cosine it depends on the length of w, and so on how often w occurs.

    Raises
    ------
    UserError
        No target or no pair.
    """

    targets: Words
    pairs: Pairs
    name: str = ""

    def __call__(self, view: WordView) -> Tensor:
        """RIPA, shape ().

        Raises
        ------
        UserError
            No target or pair is present, or the two words of a pair have one vector.
        """
        targets, first, second = (self.vectors(view, rows, side) for side, rows in self.lookup(view.index).items())
        return targets.mean(0) @ self.differences(first, second).mean(0)

    @property
    def quantity(self) -> str:
        """What the number is."""
        return "RIPA"

    def interpretation(self) -> str:
        """What the sign means."""
        x, y = self.pairs[0]
        return (
            f"Positive: {join_words(self.targets)} lie towards {x} from {y} (mean over the pairs); negative: towards "
            f"{y}; in units of the vectors."
        )


ripa = Ripa
