"""Sums, differences, multiples and sizes of objectives, which are objectives again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.objectives.bounds import UNBOUNDED, Bounds, bounds_of


@runtime_checkable
class Described(Objective, Protocol):
    """An objective that says what it is: all of this package are."""

    @property
    def measure(self) -> str:
        """What the number is, and its unit, in a few words."""
        ...

    @property
    def words(self) -> tuple[str, ...]:
        """The words it is made of, each once."""
        ...

    def reading(self) -> str:
        """What sign and unit mean, in one sentence."""
        ...

    def rows(self, index: Mapping[str, int]) -> Any:
        """Look up its words; UserError that names what the vocabulary lacks."""
        ...

    def coverage(self, counts: Mapping[str, int]) -> Sequence[Any]:
        """Which words of each set occur, and how often."""
        ...


class Composable:
    """The operators: f + g, f - g, 2 * f, f / 2, -f and abs(f) are objectives."""

    name: str

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value over all vectors of a vocabulary (``objectives.bounds``); infinite here."""
        return UNBOUNDED

    def __add__(self, other: "Composable") -> "Sum":
        return _sum([*_terms(self), *_terms(other)])

    def __sub__(self, other: "Composable") -> "Sum":
        return _sum([*_terms(self), *((-c, f) for c, f in _terms(other))])

    def __mul__(self, number: float) -> "Sum":
        return _sum([(c * number, f) for c, f in _terms(self)])

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> "Sum":
        return self * (1 / number)

    def __neg__(self) -> "Sum":
        return self * -1.0

    def __abs__(self) -> "Absolute":
        return Absolute(f"abs-{self.name}", self)


def _terms(objective: Composable) -> list[tuple[float, Composable]]:
    """Terms of a sum; an objective that is none is its own only term."""
    if not isinstance(objective, Composable):
        raise UserError(f"{objective!r} is no objective: only objectives add up.")
    return list(objective.terms) if isinstance(objective, Sum) else [(1.0, objective)]


def _sum(given: Sequence[tuple[float, Composable]]) -> "Sum":
    """Sum of terms, those of one objective added up; UserError where nothing is left."""
    merged: list[tuple[float, Composable]] = []
    for coefficient, objective in given:
        same = next((i for i, (_, known) in enumerate(merged) if known == objective), None)
        if same is None:
            merged.append((coefficient, objective))
        else:
            merged[same] = (merged[same][0] + coefficient, objective)
    terms = [(coefficient, objective) for coefficient, objective in merged if coefficient != 0]
    if not terms:
        raise UserError("Nothing is left of this sum of objectives: its terms cancel, or its weights are zero.")
    parts = []
    for number, (coefficient, objective) in enumerate(terms):
        sign = "minus-" if coefficient < 0 else "plus-" if number else ""
        size = "" if abs(coefficient) == 1 else f"{abs(coefficient):g}x"
        parts.append(f"{sign}{size}{objective.name}")
    return Sum("-".join(parts), tuple(terms))


@dataclass(frozen=True)
class Sum(Composable):
    """A weighted sum of objectives.

    Parameters
    ----------
    name : str
    terms : tuple of (float, objective)

    Raises
    ------
    UserError
        No term, or a coefficient that is zero or not finite.
    """

    name: str
    terms: tuple[tuple[float, Any], ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise UserError(f"{self.name}: a sum needs at least one objective.")
        for coefficient, _ in self.terms:
            if not (abs(coefficient) < float("inf") and coefficient):
                raise UserError(f"{self.name}: the weight {coefficient:g} must be finite and not zero.")

    def __call__(self, view: Any) -> Tensor:
        """Value, shape (); UserError as any of its terms."""
        return torch.stack([coefficient * objective(view).reshape(()) for coefficient, objective in self.terms]).sum()

    @property
    def words(self) -> tuple[str, ...]:
        """Words of all terms, each once."""
        return tuple(dict.fromkeys(word for _, objective in self.terms for word in objective.words))

    @property
    def measure(self) -> str:
        """What the number is."""
        measures = {objective.measure for _, objective in self.terms}
        return f"sum of {measures.pop()}s" if len(measures) == 1 else "sum of objectives"

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Of a sum of terms within their own bounds, each on its own: never too narrow."""
        ends = [sorted(c * end for end in bounds_of(objective, index)) for c, objective in self.terms]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def rows(self, index: Mapping[str, int]) -> list[Any]:
        """Look up the words of every term."""
        return [objective.rows(index) for _, objective in self.terms]

    def coverage(self, counts: Mapping[str, int]) -> list[Any]:
        """Coverage of every term."""
        return [row for _, objective in self.terms for row in objective.coverage(counts)]

    def reading(self) -> str:
        """What the sign means."""
        up = " and ".join(f"{objective.name} higher" for c, objective in self.terms if c > 0)
        down = " and ".join(f"{objective.name} lower" for c, objective in self.terms if c < 0)
        formula = " ".join(
            f"{'-' if c < 0 else '+'} {'' if abs(c) == 1 else f'{abs(c):g} '}{objective.name}"
            for c, objective in self.terms
        ).removeprefix("+ ")
        return f"Higher: {' and '.join(filter(None, (up, down)))} (it is {formula}, each in its own unit)."


@dataclass(frozen=True)
class Absolute(Composable):
    """The size of an objective, whatever its sign (the paper's bias objectives, Eqs. 10 and 13: f = |WEAT|).

    Its derivative is that of the objective, times its sign. Where a change of the data takes the objective through
    zero, the size turns back up, which no derivative foresees: a prediction below zero is such a case.
    """

    name: str
    of: Any

    def __call__(self, view: Any) -> Tensor:
        """Value, shape ().

        Raises
        ------
        UserError
            As the objective; or the objective is exactly zero, where its size has no derivative, and one is asked for.
        """
        value: Tensor = self.of(view)
        if value.requires_grad and not bool(value != 0):
            raise UserError(f"{self.name}: {self.of.name} is exactly 0, where its size has no derivative: score it.")
        return value.abs()

    @property
    def words(self) -> tuple[str, ...]:
        """Words of the objective."""
        return tuple(self.of.words)

    @property
    def measure(self) -> str:
        """What the number is."""
        return f"size of {self.of.measure}"

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """0 or above, as far as the objective goes to either side."""
        low, high = bounds_of(self.of, index)
        return max(low, -high, 0.0), max(-low, high)

    def rows(self, index: Mapping[str, int]) -> Any:
        """Look up the words of the objective."""
        return self.of.rows(index)

    def coverage(self, counts: Mapping[str, int]) -> Any:
        """Coverage of the objective."""
        return self.of.coverage(counts)

    def reading(self) -> str:
        """What the value means."""
        return f"Never negative: the distance of {self.of.name} from 0, in its unit, whichever its sign."
