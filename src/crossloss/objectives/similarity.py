"""How near two words lie to each other."""

from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.fields import Word
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView


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


similarity = Similarity
