"""Objectives whose direction is given by pairs of words, such as he/she and man/woman."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.words import WordObjective, naming, one, several


@dataclass(frozen=True)
class OverPairs(WordObjective):
    """Target words measured along the differences of pairs; a pair with an absent word is left out."""

    name: str
    targets: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        with naming(self.name):
            self._clean(targets=several(self.targets, "targets"), pairs=several_pairs(self.pairs))

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """Targets, and the words of the pairs."""
        return {"targets": self.targets, "pairs": tuple(dict.fromkeys(word for pair in self.pairs for word in pair))}

    def rows(self, index: Mapping[str, int]) -> dict[str, list[int]]:
        """Rows of the targets present, and of the first and second words of the pairs that are whole.

        Raises
        ------
        UserError
            No target or no whole pair is in the vocabulary.
        """
        whole = [pair for pair in self.pairs if all(word in index for word in pair)]
        if not whole:
            named = ", ".join("/".join(pair) for pair in self.pairs)
            raise UserError(
                f"{self.name}: the vocabulary has 0 of the {len(self.pairs)} pairs whole ({named}) and one is needed: "
                "add text, or pairs."
            )
        first, second = ([index[pair[side]] for pair in whole] for side in (0, 1))
        return {"targets": self.present("targets", self.targets, index), "first": first, "second": second}

    def differences(self, first: Tensor, second: Tensor) -> Tensor:
        """First less second words of the pairs, each of length 1, (pairs, d); UserError where two words coincide."""
        apart = first - second
        lengths = torch.linalg.vector_norm(apart, dim=1, keepdim=True)
        if not bool((lengths > 0).all()):
            raise UserError(f"{self.name}: the two words of a pair have one vector, so the pair has no direction.")
        unit: Tensor = apart / lengths
        return unit


def several_pairs(pairs: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """Pairs of words as the vocabulary has them.

    Raises
    ------
    UserError
        None, one that is no pair, or a word paired with itself.
    """
    found = []
    if not isinstance(pairs, list | tuple):
        raise UserError(f"A {type(pairs).__name__} was given as pairs: give a list of pairs of words.")
    for pair in pairs:
        # A pair has an order, so it is no set.
        if not isinstance(pair, list | tuple) or len(pair) != 2 or one(pair[0]) == one(pair[1]):
            raise UserError(f"{pair!r} is no pair of two different words.")
        found.append((one(pair[0]), one(pair[1])))
    if not found:
        raise UserError("A direction needs at least one pair of words.")
    return tuple(found)
