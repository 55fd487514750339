"""How much nearer a word lies to one set of words than to another (paper Eq. 11)."""

from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.fields import Word, Words
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView
from crossloss.objectives.words import join_words


class MeanCosineDifference(WordObjective):
    """Mean cosine of a word to one set less that to another; each word is in one set only."""

    quantity = "difference of mean cosines"
    limits = (-2.0, 2.0)

    def check(self) -> None:
        """Refuse a word that is on two sides."""
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
        said = f"Positive: {word} lies nearer to {first} than to {second}; negative: the other way round"
        return f"{said}; a difference of mean cosines."


@register("association", "WORD/A,.../B,...", "word", "A", "B")
class Association(MeanCosineDifference):
    """How much nearer a word is to A than to B, -2 to 2.

    s(w, A, B) = mean_a cos(w, a) - mean_b cos(w, b) (paper Eq. 11; Caliskan et al. 2017).

    UserError for an empty set, or a word on two sides.

    Parameters
    ----------
    word : str
    A, B : sequences of str
        Attribute words.
    name : str

    Examples
    --------
    >>> career = cl.objectives.association("math", ["he", "him"], ["she", "her"])
    >>> print(float(career(run.view)))
    """

    word: Word
    A: Words
    B: Words
    name: str = ""


association = Association
