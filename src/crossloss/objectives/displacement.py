"""How far training moved a word from where it started (paper Eq. 9)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import UNBOUNDED, Bounds
from crossloss.objectives.fields import AnyWords, Numbers, Word
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView, join_words


@register("displacement", "WORD(/TOWARD,...)", "word", "toward")
class Displacement(WordObjective):
    """How far training moved a word, in all directions (paper Eq. 9), or along one.

    In all: the mean over dimensions of (e_final - e_initial)^2 (MSE(e)). Along one: the part of e_final - e_initial
    along a unit vector. Every run has its own start, which the view has.

    Parameters
    ----------
    word : str
    toward : sequence of str
        Words whose mean direction, where they ended, is moved along.
    along : sequence of float
        A direction (d,) of any length but zero.
    name : str

    Examples
    --------
    >>> drift = cl.objectives.displacement("math")
    >>> nearer = cl.objectives.displacement("math", toward=["he", "him"])
    >>> print(float(drift(run.view)), float(nearer(run.view)))
    """

    word: Word
    toward: AnyWords = ()
    along: Numbers = ()
    name: str = ""

    def check(self) -> None:
        """Refuse two directions, and one that is none."""
        if self.toward and self.along:
            raise UserError("give toward (words) or along (a vector), not both.")
        if self.word in self.toward:
            raise UserError(f"{self.word!r} cannot move toward itself: name other words.")
        if self.along and not 0 < sum(x * x for x in self.along) < float("inf"):
            raise UserError("the direction must be finite and not zero: give another.")

    def __call__(self, view: WordView) -> Tensor:
        """Displacement, shape (); UserError where a word or the start is unknown, or the direction does not fit."""
        rows = self.lookup(view.index)
        if view.initial is None:
            raise UserError(f"{self.name}: these vectors have no known start; take the embeddings of a trained run.")
        change = self.vectors(view, rows["word"], "word")[0] - view.initial[rows["word"][0]]
        if not (self.toward or self.along):
            return change.square().mean()
        if self.toward:
            direction = self.unit_rows(view, rows["toward"], "toward").mean(0)
        else:
            direction = change.new_tensor(self.along)
        if direction.shape != change.shape:
            raise UserError(f"{self.name}: the direction has {len(direction)} numbers and a vector {len(change)}.")
        length = torch.linalg.vector_norm(direction)
        if not bool(length > 0):
            raise UserError(f"{self.name}: the words to move toward have no common direction.")
        along: Tensor = change @ (direction / length)
        return along

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        return UNBOUNDED if self.toward or self.along else (0.0, UNBOUNDED[1])

    @property
    def quantity(self) -> str:
        """What the number is."""
        return "displacement along a direction" if self.toward or self.along else "mean squared displacement"

    def interpretation(self) -> str:
        """What the sign means."""
        change, where = f"training moved {self.word}", join_words(self.toward) or "the given direction"
        if self.toward or self.along:
            return f"Positive: {change} toward {where}; negative: away from there; in units of the vectors."
        what = "the mean over dimensions of the squared difference, in squared units of the vectors"
        return f"Never negative: how far {change} from where it started, {what}."


displacement = Displacement
