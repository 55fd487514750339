"""How much nearer a word lies to one set of words than to another (paper Eq. 11)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.fields import Word, Words
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView
from crossloss.objectives.words import join_words


class MeanCosineDifference(WordObjective):
    """Mean cosine of a word to one set less that to another; a word of one set is in no other.

    A subclass has the fields ``word`` and the two sets that ``sides`` names.
    """

    word: str
    sides: ClassVar[tuple[str, str]]

    def check(self) -> None:
        """Refuse a word that is on two sides."""
        first, second = (getattr(self, side) for side in self.sides)
        both = [w for w in first if w in second] + [w for w in (self.word,) if w in (*first, *second)]
        if both:
            raise UserError(f"{both[0]!r} stands on two sides: each word may stand on one.")

    @property
    def sets(self) -> Mapping[str, Sequence[str]]:
        """The word and both sets."""
        return {"word": (self.word,)} | {side: getattr(self, side) for side in self.sides}

    def __call__(self, view: WordView) -> Tensor:
        """Difference of mean cosines, shape ().

        Raises
        ------
        UserError
            The word or all words of a set are absent, or a vector has no direction.
        """
        word, first, second = self.units(view).values()
        return word[0] @ (first.mean(0) - second.mean(0))

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        return -2.0, 2.0

    @property
    def quantity(self) -> str:
        """What the number is."""
        return "difference of mean cosines"

    def interpretation(self) -> str:
        """What the sign means."""
        first, second = (join_words(getattr(self, side)) for side in self.sides)
        return (
            f"Positive: {self.word} lies nearer to {first} than to {second}; negative: the other way round; a "
            "difference of mean cosines."
        )


@register("association", "WORD/A,.../B,...", "word", "A", "B")
class Association(MeanCosineDifference):
    """s(w, A, B) = mean_a cos(w, a) - mean_b cos(w, b), -2 to 2 (paper Eq. 11; Caliskan et al. 2017).

    Parameters
    ----------
    word : str
    A, B : sequences of str
        Attribute words.
    name : str

    Raises
    ------
    UserError
        An empty set, or a word on two sides.
    """

    word: Word
    A: Words
    B: Words
    name: str = ""

    sides: ClassVar[tuple[str, str]] = ("A", "B")


association = Association
