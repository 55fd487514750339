"""How much nearer a word lies to one set of words than to another (paper Eq. 11)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.words import WordObjective, WordView, given_name, listed, naming, one, several


@dataclass(frozen=True)
class Association(WordObjective):
    """s(w, A, B) = mean_a cos(w, a) - mean_b cos(w, b), -2 to 2 (paper Eq. 11; Caliskan et al. 2017).

    Parameters
    ----------
    name : str
    word : str
    A, B : tuples of str
        Near and far words; a word of one set is in no other.
    labels : two str
        What the sets are called.
    """

    name: str
    word: str
    A: tuple[str, ...]
    B: tuple[str, ...]
    labels: tuple[str, str] = ("A", "B")

    def __post_init__(self) -> None:
        with naming(self.name):
            self._clean(word=one(self.word), A=several(self.A, self.labels[0]), B=several(self.B, self.labels[1]))
        both = [w for w in self.A if w in self.B] + [w for w in (self.word,) if w in self.A + self.B]
        if both:
            raise UserError(f"{self.name}: {both[0]!r} stands on two sides: each word may stand on one.")

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """The word and both sets."""
        return {"word": (self.word,), self.labels[0]: self.A, self.labels[1]: self.B}

    def __call__(self, view: WordView) -> Tensor:
        """s(w, A, B), shape ().

        Raises
        ------
        UserError
            The word or all words of a set are absent, or a vector has no direction.
        """
        word, a, b = self.units(view).values()
        return word[0] @ (a.mean(0) - b.mean(0))

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        return -2.0, 2.0

    @property
    def measure(self) -> str:
        """What the number is."""
        return "difference of mean cosines"

    def reading(self) -> str:
        """What the sign means."""
        return (
            f"Positive: {self.word} lies nearer to {listed(self.A)} than to {listed(self.B)}; negative: the other way "
            "round; a difference of mean cosines."
        )


def association(word: str, A: Sequence[str], B: Sequence[str], name: str = "") -> Association:
    """How much nearer a word lies to the attribute words A than to B (paper Eq. 11).

    Raises
    ------
    UserError
        An empty set, or a word on two sides.
    """
    word, A, B = one(word), several(A), several(B)
    return Association(name or given_name("association", [word], A, B), word, A, B)


def margin(word: str, near: str | Sequence[str], far: str | Sequence[str], name: str = "") -> Association:
    """By how much a word lies nearer to some words than to others: an association with neighbours for attributes.

    Raises
    ------
    UserError
        An empty set, or a word on two sides.
    """
    word, near, far = one(word), several(near), several(far)
    return Association(name or given_name("margin", [word], near, far), word, near, far, ("near", "far"))
