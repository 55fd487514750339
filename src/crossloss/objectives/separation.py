"""How far apart the words of a group lie."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import PlainValidator
from torch import Tensor

from crossloss.objectives.bounds import Bounds
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView
from crossloss.objectives.words import normalise_all


def _group(words: Sequence[str]) -> tuple[str, ...]:
    return normalise_all(words, "the group", 2)


@register("separation", "WORD,WORD,...", "words")
class Separation(WordObjective):
    """One minus the mean cosine over all pairs of different words of a group of n, 0 to n/(n - 1).

    UserError for fewer than two words.

    Examples
    --------
    >>> apart = cl.objectives.separation(["math", "algebra", "geometry"])
    >>> print(float(apart(run.view)))
    """

    words: Annotated[Sequence[str], PlainValidator(_group)] = ()  # a default, as the base has a property of this name
    name: str = ""

    quantity = "one minus mean cosine"
    least: ClassVar[int] = 2
    meaning = (
        "Never negative: 0 where {group} all point the same way, 1 where they are at right angles on average; one "
        "minus a mean cosine."
    )

    def check(self) -> None:
        """Refuse a group that is not given."""
        _group(self.words)

    @property
    def sets(self) -> Mapping[str, Sequence[str]]:
        """The group."""
        return {"group": self.words}

    def __call__(self, view: WordView) -> Tensor:
        """One minus the mean cosine, shape (); UserError for fewer than two words, or a vector without direction."""
        unit = self.units(view)["group"]
        n = len(unit)
        # The squared length of the sum holds each pair twice, and n ones.
        return 1 - (unit.sum(0).square().sum() - n) / (n * (n - 1))

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        present = len(self.lookup(index)["group"])
        return 0.0, present / (present - 1)


separation = Separation
