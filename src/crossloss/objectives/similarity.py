"""How near two words lie to each other."""

from collections.abc import Mapping

from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.fields import Word
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView


@register("similarity", "WORD/WORD", "a", "b")
class Similarity(WordObjective):
    """Cosine of two words, -1 to 1 (gradient: paper Eq. 14).

    Raises
    ------
    UserError
        The same word twice.
    """

    a: Word
    b: Word
    name: str = ""

    def check(self) -> None:
        """Refuse a word with itself."""
        if self.a == self.b:
            raise UserError(f"the similarity of {self.a!r} to itself is 1 always; give two words.")

    @property
    def sets(self) -> Mapping[str, tuple[str]]:
        """The two words."""
        return {"a": (self.a,), "b": (self.b,)}

    def __call__(self, view: WordView) -> Tensor:
        """cos(a, b), shape ().

        Raises
        ------
        UserError
            A word is absent, or its vector has no direction.
        """
        unit = self.units(view)
        return unit["a"][0] @ unit["b"][0]

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        return -1.0, 1.0

    @property
    def quantity(self) -> str:
        """What the number is."""
        return "cosine"

    def interpretation(self) -> str:
        """What the sign means."""
        return f"Positive: {self.a} and {self.b} point the same way (1: exactly); negative: apart; a cosine."


similarity = Similarity
