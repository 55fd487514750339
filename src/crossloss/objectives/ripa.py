"""Relational inner product association (Ethayarajh, Duvenaud and Hirst 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from crossloss.objectives.pairs import OverPairs, several_pairs
from crossloss.objectives.words import WordView, given_name, listed, several


@dataclass(frozen=True)
class Ripa(OverPairs):
    """Mean over pairs (x, y) and targets w of <w, b>, b = (x - y)/|x - y| (Ethayarajh et al. 2019).

    Unlike a cosine it depends on the length of w, and so on how often w occurs.
    """

    def __call__(self, view: WordView) -> Tensor:
        """RIPA, shape ().

        Raises
        ------
        UserError
            No target or pair is present, or the two words of a pair have one vector.
        """
        targets, first, second = (self.vectors(view, rows, side) for side, rows in self.rows(view.index).items())
        return targets.mean(0) @ self.differences(first, second).mean(0)

    @property
    def measure(self) -> str:
        """What the number is."""
        return "RIPA"

    def reading(self) -> str:
        """What the sign means."""
        x, y = self.pairs[0]
        return (
            f"Positive: {listed(self.targets)} lie towards {x} from {y} (mean over the pairs); negative: towards {y}; "
            "in units of the vectors."
        )


def ripa(targets: str | Sequence[str], pairs: Sequence[tuple[str, str]], name: str = "") -> Ripa:
    """Relational inner product association of targets with pairs such as (he, she).

    Raises
    ------
    UserError
        No target or no pair.
    """
    words, both = several(targets, "targets"), several_pairs(pairs)
    return Ripa(name or given_name("ripa", words, *both[:1]), words, both)
