"""Words along directions that pairs of words give, such as he/she and man/woman: projection, direct bias and RIPA."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import PlainValidator
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.fields import Words, normalise
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView, halves_of, name_from_words


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
        first, second = ([index[word] for word in words] for words in zip(*whole, strict=True))
        return {"targets": self.present("targets", self.targets, index), "first": first, "second": second}

    def cosines(self, view: WordView) -> Tensor:
        """Cosines of the targets to the mean difference g of the pairs' unit vectors, (m,)."""
        targets, first, second = self.units(view).values()
        direction = (first - second).mean(0)
        length = torch.linalg.vector_norm(direction)
        if not bool(length > 0):
            raise UserError(f"{self.name}: the differences of the pairs cancel, so they have no direction.")
        cosines: Tensor = targets @ (direction / length)
        return cosines


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
        return self.cosines(view).mean()


@register("direct-bias", "WORD,.../he,she(/man,woman)", "targets", "pairs")
class DirectBias(OverPairs):
    """Mean over targets w of abs(cos(w, g))^c, with the direction g of ``Projection``; 0 to 1 (Bolukbasi et al. 2016).

    How far many words lie to either side. It has a sign for none of them, so what lowers it is good for words that lean
    either way; about 1/d with c = 2 for words that have nothing to do with the direction, in d dimensions. UserError
    for no target or no pair, or c below 1.

    Examples
    --------
    >>> wide = cl.objectives.direct_bias(["math", "algebra", "poetry", "art"], [["he", "she"], ["him", "her"]], c=2)
    >>> print(float(wide(run.view)))
    """

    targets: Words
    pairs: Pairs
    c: float = 1.0
    name: str = ""

    quantity = "direct bias"
    limits = (0.0, 1.0)
    meaning = (
        "Never negative: 0 where none of {targets} lies to the side of {0.pairs[0][0]} or of {0.pairs[0][1]}, 1 where "
        "all lie on the line between; a mean size of cosines, to the power of {0.c:g}."
    )

    def check(self) -> None:
        """Refuse a power that has no derivative at 0."""
        if not 1 <= self.c < np.inf:
            raise UserError(f"c is {self.c:g}: give a power of at least 1.")

    def __call__(self, view: WordView) -> Tensor:
        """Mean of abs(cos)^c, shape (); UserError as ``Projection``."""
        return self.cosines(view).abs().pow(self.c).mean()

    def halves(self, index: Mapping[str, int], seed: int = 0) -> tuple["DirectBias", "DirectBias"]:
        """Split the targets in ``index`` in two at random: NAME.fitted and NAME.judged; UserError for fewer than four.

        The pairs are those of both.
        """
        generator = np.random.default_rng(seed)
        fitted, judged = halves_of(self.targets, index, generator, f"{self.name}: the set of targets has")
        return (
            replace(self, targets=fitted, name=f"{self.name}.fitted"),
            replace(self, targets=judged, name=f"{self.name}.judged"),
        )


@register("ripa", "WORD,.../he,she(/man,woman)", "targets", "pairs")
class Ripa(OverPairs):
    """Mean over pairs (x, y) and targets w of <w, b>, b = (x - y)/|x - y| (RIPA; Ethayarajh, Duvenaud, Hirst 2019).

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
        difference = first - second
        lengths = torch.linalg.vector_norm(difference, dim=1, keepdim=True)
        if not bool((lengths > 0).all()):
            raise UserError(f"{self.name}: the two words of a pair have one vector, so the pair has no direction.")
        product: Tensor = targets.mean(0) @ (difference / lengths).mean(0)
        return product


projection = Projection
direct_bias = DirectBias
ripa = Ripa
