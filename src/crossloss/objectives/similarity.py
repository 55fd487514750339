"""How near two words lie to each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.words import WordObjective, WordView, given_name, naming, one


@dataclass(frozen=True)
class Similarity(WordObjective):
    """Cosine of two words, -1 to 1 (gradient: paper Eq. 14)."""

    name: str
    a: str
    b: str

    def __post_init__(self) -> None:
        with naming(self.name):
            self._clean(a=one(self.a), b=one(self.b))
        if self.a == self.b:
            raise UserError(f"{self.name}: the similarity of {self.a!r} to itself is 1 always; give two words.")

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
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
    def measure(self) -> str:
        """What the number is."""
        return "cosine"

    def reading(self) -> str:
        """What the sign means."""
        return f"Positive: {self.a} and {self.b} point the same way (1: exactly); negative: apart; a cosine."


def similarity(a: str, b: str, name: str = "") -> Similarity:
    """Cosine of two words.

    Raises
    ------
    UserError
        The same word twice.
    """
    a, b = one(a), one(b)
    return Similarity(name or given_name("similarity", [a], [b]), a, b)
