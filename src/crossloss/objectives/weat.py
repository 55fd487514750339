"""The Word Embedding Association Test as a differentiable objective (Caliskan et al. 2017; paper Eqs. 11, 12)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from crossloss.core import UserError

SIDES = ("X", "Y", "A", "B")
ROUNDING = 16  # in units of the dtype's eps; targets on one ray differ by less than 1, ordinary ones by 1e4 and more


class WordView(Protocol):
    """What a word objective sees: rows of ``vectors`` (V, d) by word."""

    @property
    def index(self) -> Mapping[str, int]:
        """Row of each word."""
        ...

    @property
    def vectors(self) -> Tensor:
        """Word vectors (V, d)."""
        ...


@dataclass(frozen=True)
class Coverage:
    """Words of one set that a vocabulary has, with their counts, and those it lacks."""

    side: str
    label: str
    present: tuple[tuple[str, int], ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Weat:
    """A word embedding association test.

    s(w) = mean_a cos(w, a) - mean_b cos(w, b). The effect is (mean_X s - mean_Y s) over the POPULATION standard
    deviation of s on X and Y together; the statistic is sum_X s - sum_Y s. Words that the vocabulary lacks are
    left out of their set, the other sets stay as they are; fewer than two words in a set are an error.

    Parameters
    ----------
    name : str
    X, Y : tuples of str
        Target words.
    A, B : tuples of str
        Attribute words.
    labels : four str
        What the sets are called.
    question : str
    kind : "effect" or "statistic"
    source : str

    Raises
    ------
    UserError
        Another kind.
    """

    name: str
    X: tuple[str, ...]
    Y: tuple[str, ...]
    A: tuple[str, ...]
    B: tuple[str, ...]
    labels: tuple[str, str, str, str] = ("X", "Y", "A", "B")
    question: str = ""
    kind: Literal["effect", "statistic"] = "effect"
    source: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("effect", "statistic"):
            raise UserError(f'{self.name}: kind is "effect" or "statistic", not {self.kind!r}.')

    @property
    def words(self) -> tuple[str, ...]:
        """All words of the test, each once."""
        return tuple(dict.fromkeys(self.X + self.Y + self.A + self.B))

    def rows(self, index: Mapping[str, int]) -> dict[str, list[int]]:
        """Rows of the words present, by side.

        Raises
        ------
        UserError
            Fewer than two words of a set are in the vocabulary.
        """
        found = {}
        for side, label in zip(SIDES, self.labels, strict=True):
            words = getattr(self, side)
            found[side] = [index[word] for word in words if word in index]
            if len(found[side]) < 2:
                lacking = ", ".join(word for word in words if word not in index)
                raise UserError(
                    f"{self.name}: the vocabulary has {len(found[side])} of the {len(words)} words of {side} "
                    f"({label}; missing: {lacking}) and two are needed: add text, or words to the set."
                )
        return found

    def associations(self, view: WordView) -> tuple[Tensor, Tensor]:
        """s(w) of the present words of X and of Y (Eq. 11).

        Raises
        ------
        UserError
            Too few words, or a word vector that is not finite or of length zero.
        """
        rows = self.rows(view.index)
        unit = {}
        for side, numbers in rows.items():
            vectors = view.vectors[torch.tensor(numbers, device=view.vectors.device)]
            lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
            if not bool(torch.isfinite(lengths).all()):
                raise UserError(
                    f"{self.name}: a word of {side} has a vector that is not finite: train with a lower lr."
                )
            if not bool((lengths > 0).all()):
                raise UserError(f"{self.name}: a word of {side} has a vector of length zero, which has no direction.")
            unit[side] = vectors / lengths
        contrast = unit["A"].mean(0) - unit["B"].mean(0)
        return unit["X"] @ contrast, unit["Y"] @ contrast

    def __call__(self, view: WordView) -> Tensor:
        """Effect size or statistic, shape ().

        Raises
        ------
        UserError
            Too few words, or all associations equal.
        """
        x, y = self.associations(view)
        if self.kind == "statistic":
            return x.sum() - y.sum()
        return effect(self.name, x, y)

    def coverage(self, counts: Mapping[str, int]) -> list[Coverage]:
        """Which words of each set occur, and how often."""
        table = []
        for side, label in zip(SIDES, self.labels, strict=True):
            words: Sequence[str] = getattr(self, side)
            present = tuple((word, counts[word]) for word in words if counts.get(word, 0) > 0)
            table.append(Coverage(side, label, present, tuple(w for w in words if counts.get(w, 0) == 0)))
        return table

    def reading(self) -> str:
        """What the sign means, in one sentence."""
        x, y, a, b = self.labels
        return f"Positive: {x} lie nearer to {a} and {y} nearer to {b}; negative: the other way round."


def effect(name: str, x: Tensor, y: Tensor) -> Tensor:
    """Difference of means over the population standard deviation of both together (Eq. 12 as meant), shape ().

    Exchanging x and y flips the sign to the last bit: nothing here depends on which of them comes first.

    Raises
    ------
    UserError
        All associations are equal up to rounding.
    """
    number = len(x) + len(y)
    mean = (x.sum() + y.sum()) / number
    spread = (((x - mean).square().sum() + (y - mean).square().sum()) / number).sqrt()
    if not bool(spread > ROUNDING * torch.finfo(spread.dtype).eps):
        raise UserError(f"{name}: all target words are associated alike, so the effect size is undefined.")
    return (x.mean() - y.mean()) / spread
