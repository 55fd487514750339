"""How far training moved a word from where it started (paper Eq. 9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import UNBOUNDED, Bounds
from crossloss.objectives.words import WordObjective, given_name, listed, naming, one, several


class StartedView(Protocol):
    """What a displacement sees: word vectors at the end and at the start of a run."""

    @property
    def index(self) -> Mapping[str, int]:
        """Row of each word."""
        ...

    @property
    def vectors(self) -> Tensor:
        """Word vectors (V, d)."""
        ...

    @property
    def initial(self) -> Tensor | None:
        """Word vectors (V, d) before the first step; None where no run is known."""
        ...


@dataclass(frozen=True)
class Displacement(WordObjective):
    """How far a word moved, in all directions or along one.

    In all: the mean over dimensions of (e_final - e_initial)^2 (paper Eq. 9, MSE(e)). Along one: the part of
    e_final - e_initial along a unit vector, which is the given one, or the mean direction of other words where they
    ended. Every run has its own start: the view says what it was.

    Parameters
    ----------
    name : str
    word : str
    toward : tuple of str
        Words whose mean direction is moved along.
    along : tuple of float
        A direction (d,) of any length but zero.

    Raises
    ------
    UserError
        Both kinds of direction, the word toward itself, or a direction that is zero.
    """

    name: str
    word: str
    toward: tuple[str, ...] = ()
    along: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        with naming(self.name):
            self._clean(word=one(self.word), toward=_toward(self.toward), along=_along(self.along))
        if self.toward and self.along:
            raise UserError(f"{self.name}: give toward (words) or along (a vector), not both.")
        if self.word in self.toward:
            raise UserError(f"{self.name}: {self.word!r} cannot move toward itself: name other words.")
        if self.along and not 0 < sum(x * x for x in self.along) < float("inf"):
            raise UserError(f"{self.name}: the direction must be finite and not zero.")

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """The word, and those it moves toward."""
        return {"word": (self.word,)} | ({"toward": self.toward} if self.toward else {})

    def __call__(self, view: StartedView) -> Tensor:
        """Displacement, shape ().

        Raises
        ------
        UserError
            A word is absent, the start is unknown, or the direction is of another length.
        """
        rows = self.rows(view.index)
        if view.initial is None:
            raise UserError(f"{self.name}: these vectors have no known start; take the embeddings of a trained run.")
        moved = self.vectors(view, rows["word"], "word")[0] - view.initial[rows["word"][0]]
        if not self.toward and not self.along:
            return moved.square().mean()
        if self.toward:
            direction = self.unit_rows(view, rows["toward"], "toward").mean(0)
        else:
            direction = moved.new_tensor(self.along)
        if direction.shape != moved.shape:
            raise UserError(f"{self.name}: the direction has {len(direction)} numbers and a vector {len(moved)}.")
        length = torch.linalg.vector_norm(direction)
        if not bool(length > 0):
            raise UserError(f"{self.name}: the words to move toward have no common direction.")
        along: Tensor = moved @ (direction / length)
        return along

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        return UNBOUNDED if self.toward or self.along else (0.0, UNBOUNDED[1])

    @property
    def measure(self) -> str:
        """What the number is."""
        return "displacement along a direction" if self.toward or self.along else "mean squared displacement"

    def reading(self) -> str:
        """What the sign means."""
        if not self.toward and not self.along:
            return (
                f"Never negative: how far training moved {self.word} from where it started, the mean over dimensions "
                "of the squared difference, in squared units of the vectors."
            )
        where = listed(self.toward) if self.toward else "the given direction"
        return (
            f"Positive: training moved {self.word} toward {where}; negative: away from there; in units of the vectors."
        )


def displacement(
    word: str, toward: str | Sequence[str] = (), along: Sequence[float] = (), name: str = ""
) -> Displacement:
    """How far training moved a word (paper Eq. 9), or how far toward other words or along a vector (d,).

    Raises
    ------
    UserError
        As ``Displacement``.
    """
    word = one(word)
    words = _toward(toward)
    return Displacement(name or given_name("displacement", [word], words), word, words, _along(along))


def _toward(words: str | Sequence[str]) -> tuple[str, ...]:
    """Words to move toward; none where nothing is given."""
    return () if isinstance(words, list | tuple) and not words else several(words, "toward")


def _along(numbers: Sequence[float]) -> tuple[float, ...]:
    """A direction (d,) as plain numbers."""
    try:
        if isinstance(numbers, str | bytes):
            raise TypeError("a string")
        return tuple(float(number) for number in numbers)
    except (TypeError, ValueError) as error:
        raise UserError(f"along must be a list of numbers, the direction ({error}).") from error
