"""How far apart the words of a group lie."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import PlainValidator
from torch import Tensor

from crossloss.objectives.bounds import Bounds
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView
from crossloss.objectives.words import join_words, normalise_all


@register("separation", "WORD,WORD,...", "words")
class Separation(WordObjective):
    """One minus the mean cosine over all pairs of different words of a group of n, 0 to n/(n - 1).

    Raises
    ------
    UserError
        Fewer than two words.
    """

    words: Annotated[Sequence[str], PlainValidator(lambda words: normalise_all(words, "the group", 2))] = ()
    name: str = ""

    least: ClassVar[int] = 2

    def check(self) -> None:
        """Refuse a group that is not given."""
        normalise_all(self.words, "the group", 2)

    @property
    def sets(self) -> Mapping[str, Sequence[str]]:
        """The group."""
        return {"group": self.words}

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
        present = max(len(self.lookup(index)["group"]), 2)
        return 0.0, present / (present - 1)

    @property
    def quantity(self) -> str:
        """What the number is."""
        return "one minus mean cosine"

    def interpretation(self) -> str:
        """What the value means."""
        return (
            f"Never negative: 0 where {join_words(self.words)} all point the same way, 1 where they are at right "
            "angles on average; one minus a mean cosine."
        )


separation = Separation
