"""How far apart the words of a group lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from crossloss.objectives.bounds import Bounds
from crossloss.objectives.words import WordObjective, WordView, given_name, listed, naming, several


@dataclass(frozen=True)
class Separation(WordObjective):
    """One minus the mean cosine over all pairs of different words of a group of n, 0 to n/(n - 1)."""

    name: str
    group: tuple[str, ...]

    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        with naming(self.name):
            self._clean(group=several(self.group, "the group", self.least))

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """The group."""
        return {"group": self.group}

    def __call__(self, view: WordView) -> Tensor:
        """One minus the mean cosine, shape ().

        Raises
        ------
        UserError
            Fewer than two words are present, or a vector has no direction.
        """
        unit = self.units(view)["group"]
        n = len(unit)
        # The squared length of the sum holds each pair twice, and n ones.
        return 1 - (unit.sum(0).square().sum() - n) / (n * (n - 1))

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        present = max(len(self.rows(index)["group"]), 2)
        return 0.0, present / (present - 1)

    @property
    def measure(self) -> str:
        """What the number is."""
        return "one minus mean cosine"

    def reading(self) -> str:
        """What the value means."""
        return (
            f"Never negative: 0 where {listed(self.group)} all point the same way, 1 where they are at right angles "
            "on average; one minus a mean cosine."
        )


def separation(words: Sequence[str], name: str = "") -> Separation:
    """One minus the mean cosine over all pairs of different words.

    Raises
    ------
    UserError
        Fewer than two words.
    """
    group = several(words, "the group", Separation.least)
    return Separation(name or given_name("separation", group), group)
