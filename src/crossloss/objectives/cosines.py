"""Objectives of cosines between words: similarity, association, margin, separation and mean average cosine distance."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import PlainValidator
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.fields import Word, Words, normalise_all
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView, join_words, name_from_words


@register("similarity", "WORD/WORD", "a", "b")
class Similarity(WordObjective):
    """Cosine of two words, -1 to 1 (gradient: paper Eq. 14); UserError for one word twice.

    Examples
    --------
    >>> near = cl.objectives.similarity("he", "math")
    >>> print(float(near(run.view)))
    """

    a: Word
    b: Word
    name: str = ""

    quantity = "cosine"
    limits = (-1.0, 1.0)
    meaning = "Positive: {a} and {b} point the same way (1: exactly); negative: apart; a cosine."

    def check(self) -> None:
        """Refuse a word with itself."""
        if self.a == self.b:
            raise UserError(f"the similarity of {self.a!r} to itself is 1 always; give two words.")

    def __call__(self, view: WordView) -> Tensor:
        """cos(a, b), shape (); UserError where a word is absent, or its vector has no direction."""
        unit = self.units(view)
        return unit["a"][0] @ unit["b"][0]


class MeanCosineDifference(WordObjective):
    """Mean cosine of a word to one set less that to another; each word is in one set only."""

    quantity = "difference of mean cosines"
    limits = (-2.0, 2.0)

    def check(self) -> None:
        """Refuse a word in two sets."""
        words = [word for words in self.sets.values() for word in words]
        both = next((word for word in words if words.count(word) > 1), None)
        if both is not None:
            raise UserError(f"{both!r} stands on two sides: each word may stand on one.")

    def __call__(self, view: WordView) -> Tensor:
        """Difference, shape (); UserError where the word or a set is absent, or a vector has no direction."""
        word, first, second = self.units(view).values()
        return word[0] @ (first.mean(0) - second.mean(0))

    def interpretation(self) -> str:
        """What the sign means."""
        word, first, second = map(join_words, self.sets.values())
        sign = f"Positive: {word} lies nearer to {first} than to {second}; negative: the other way round"
        return f"{sign}; a difference of mean cosines."


@register("association", "WORD/A,.../B,...", "word", "A", "B")
class Association(MeanCosineDifference):
    """s(w, A, B) = mean_a cos(w, a) - mean_b cos(w, b), -2 to 2 (paper Eq. 11; Caliskan et al. 2017).

    UserError for an empty set, or a word in two sets.

    Examples
    --------
    >>> career = cl.objectives.association("math", ["he", "him"], ["she", "her"])
    >>> print(float(career(run.view)))
    """

    word: Word
    A: Words
    B: Words
    name: str = ""


@register("margin", "WORD/NEAR,.../FAR,...", "word", "near", "far")
class Margin(MeanCosineDifference):
    """An association with neighbours for attributes: mean cosine to the near words less that to the far ones, -2 to 2.

    UserError for an empty set, or a word in two sets.

    Examples
    --------
    >>> margin = cl.objectives.margin("math", near=["he", "him"], far=["she", "her"])
    >>> print(float(margin(run.view)))
    """

    word: Word
    near: Words
    far: Words
    name: str = ""


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
    least = 2
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
        (unit,) = self.units(view).values()
        n = len(unit)
        # The squared length of the sum holds each pair twice, and n ones.
        return 1 - (unit.sum(0).square().sum() - n) / (n * (n - 1))

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        present = len(self.lookup(index)["group"])
        return 0.0, present / (present - 1)


def _attributes(sets: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(sets, list | tuple) or any(isinstance(words, str) for words in sets):
        raise UserError("attributes must be a list of sets of words, each a list: [[...], [...]].")
    if not sets:
        raise UserError("there is no set of attributes: give targets, and other words as attributes.")
    return tuple(normalise_all(words, "a set of attributes") for words in sets)


@register("mac", "TARGET,.../ATTRIBUTE,...(/...)", "targets", "attributes")
class Mac(WordObjective):
    """Mean over targets and attribute sets of the mean of 1 - cos(target, attribute), 0 to 2 (Manzini et al. 2019).

    UserError for an empty set, or a word that is target and attribute.

    Examples
    --------
    >>> mac = cl.objectives.mac(["he", "she"], [["math", "algebra"], ["poetry", "art"]])
    >>> print(float(mac(run.view)))
    """

    targets: Words
    attributes: Annotated[Sequence[Sequence[str]], PlainValidator(_attributes)]
    name: str = ""

    quantity = "mean cosine distance"
    limits = (0.0, 2.0)
    meaning = (
        "Never negative: below 1 {targets} lie near the attributes, at 1 at right angles, above 1 away from them; one "
        "minus a mean cosine."
    )

    def check(self) -> None:
        """Refuse a word that is target and attribute."""
        both = [word for words in self.attributes for word in words if word in self.targets]
        if both:
            raise UserError(f"{both[0]!r} is target and attribute: give targets, and other words as attributes.")

    def default_name(self) -> str:
        """Made of the targets and the first attributes."""
        return name_from_words(self.type, self.targets, self.attributes[0])

    @property
    def sets(self) -> Mapping[str, Sequence[str]]:
        """Targets and the sets of attributes."""
        return {"targets": self.targets} | {f"attributes {i + 1}": words for i, words in enumerate(self.attributes)}

    def __call__(self, view: WordView) -> Tensor:
        """Mean cosine distance, shape (); UserError where a set is absent, or a vector has no direction."""
        targets, *sets = self.units(view).values()
        return 1 - targets.mean(0) @ torch.stack([words.mean(0) for words in sets]).mean(0)


association = Association
mac = Mac
margin = Margin
separation = Separation
similarity = Similarity
