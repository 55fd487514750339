"""Objectives whose direction is given by pairs of words, such as he/she and man/woman."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import PlainValidator

from crossloss.core import UserError
from crossloss.objectives.word_objective import WordObjective
from crossloss.objectives.words import name_from_words, normalise


def _pairs(pairs: Any) -> tuple[tuple[str, ...], ...]:
    """Pairs of words as the vocabulary has them; UserError for none, one that is no pair, or a word with itself."""
    if not isinstance(pairs, list | tuple):
        raise UserError(f"A {type(pairs).__name__} was given as pairs: give a list of pairs of words.")
    if not pairs:
        raise UserError("A direction needs at least one pair of words.")
    for pair in pairs:
        # A pair has an order, so it is no set.
        if not isinstance(pair, list | tuple) or len(pair) != 2 or normalise(pair[0]) == normalise(pair[1]):
            raise UserError(f"{pair!r} is no pair of two different words: give a list of pairs.")
    return tuple(tuple(normalise(word) for word in pair) for pair in pairs)


Pairs = Annotated[Sequence[Sequence[str]], PlainValidator(_pairs)]
"""Pairs of words, a tuple of tuples when it is read."""


class OverPairs(WordObjective):
    """Target words measured along the differences of pairs; a pair with an absent word is left out."""

    targets: Sequence[str]
    pairs: Sequence[Sequence[str]]

    def default_name(self) -> str:
        """Made of the targets and the first pair."""
        return name_from_words(self.type, self.targets, self.pairs[0])

    @property
    def sets(self) -> Mapping[str, Sequence[str]]:
        """Targets, and the words of the pairs."""
        return {"targets": self.targets, "pairs": tuple(dict.fromkeys(word for pair in self.pairs for word in pair))}

    def lookup(self, index: Mapping[str, int]) -> dict[str, list[int]]:
        """Rows of the targets present, and of the first and second words of the pairs that are whole."""
        whole = [pair for pair in self.pairs if all(word in index for word in pair)]
        if not whole:
            named = ", ".join("/".join(pair) for pair in self.pairs)
            raise UserError(
                f"{self.name}: the vocabulary has 0 of the {len(self.pairs)} pairs whole ({named}) and one is needed: "
                "add text, or pairs."
            )
        first, second = ([index[pair[side]] for pair in whole] for side in (0, 1))
        return {"targets": self.present("targets", self.targets, index), "first": first, "second": second}
