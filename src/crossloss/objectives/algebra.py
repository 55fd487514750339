"""The base of every objective; sums, differences, multiples and sizes of objectives, which are objectives again."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import PlainValidator
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import UNBOUNDED, Bounds
from crossloss.objectives.command_line import add_form
from crossloss.objectives.fields import Numbers
from crossloss.objectives.registry import register


class BaseObjective:
    """An objective that says what it is, of this package or of a user's own class.

    f + g, f - g, 2 * f, f / 2, -f and abs(f) are objectives. A subclass that ``register`` decorates can be stored, and
    read from YAML and command lines; one that is made of sets of words is a ``WordObjective``.

    Examples
    --------
    >>> isinstance(cl.objectives.similarity("he", "math"), cl.objectives.BaseObjective)
    True
    """

    name: str
    type: ClassVar[str] = ""
    limits: ClassVar[Bounds] = UNBOUNDED
    """Least and greatest value there can be."""
    meaning: ClassVar[str] = ""
    """Its interpretation, in which {0} is the objective, as in {0.name}."""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.default_name())
        self.check()

    def check(self) -> None:
        """Refuse fields that do not go together; UserError."""

    def default_name(self) -> str:
        """What it is called where no name is given."""
        return self.type

    @classmethod
    def prepare(cls, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Fields of the class from what a user wrote, with the content of files in ``folder`` for their names."""
        return values

    def __call__(self, view: Any) -> Tensor:
        """Value of the objective, shape (), of what ``Field.view`` shows of the parameters."""
        raise NotImplementedError

    @property
    def quantity(self) -> str:
        """What the number is, and its unit, in a few words."""
        raise NotImplementedError

    def interpretation(self) -> str:
        """What sign and unit mean, in one sentence."""
        return self.meaning.format(self)

    @property
    def parts(self) -> Sequence[Any]:
        """Objectives that it is made of."""
        return ()

    @property
    def words(self) -> Sequence[str]:
        """The words it is made of, each once."""
        return tuple(dict.fromkeys(word for part in self.parts for word in part.words))

    def lookup(self, index: Mapping[str, int]) -> Any:
        """Rows of its words; UserError that names what the vocabulary lacks."""
        return [part.lookup(index) for part in self.parts]

    def coverage(self, counts: Mapping[str, int]) -> Sequence[Any]:
        """Which words of each set occur, and how often (``Coverage``)."""
        return [row for part in self.parts for row in part.coverage(counts)]

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value over all vectors of a vocabulary."""
        return self.limits

    def __add__(self, other: "BaseObjective") -> "Sum":
        return _combine((1.0, self), (1.0, other))

    def __sub__(self, other: "BaseObjective") -> "Sum":
        return _combine((1.0, self), (-1.0, other))

    def __mul__(self, number: float) -> "Sum":
        return _combine((number, self))

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> "Sum":
        if not number:
            raise UserError(f"{self.name} cannot be divided by 0.")
        return self * (1 / number)

    def __neg__(self) -> "Sum":
        return self * -1.0

    def __abs__(self) -> "Absolute":
        return Absolute(self)


def _combine(*given: tuple[float, Any]) -> "Sum":
    """Sum of multiples of objectives; the terms of a sum among them stand for themselves."""
    nested = [(factor, f.terms if isinstance(f, Sum) else [(1.0, f)]) for factor, f in given]
    terms = [(factor * weight, f) for factor, own in nested for weight, f in own]
    return Sum([f for _, f in terms], [weight for weight, _ in terms])


def _objective(given: Any) -> BaseObjective:
    if not isinstance(given, BaseObjective):
        raise UserError(f"{given!r} is no objective: of must name one objective.")
    return given


def _objectives(given: Any) -> tuple[BaseObjective, ...]:
    if not isinstance(given, list | tuple) or not given:
        raise UserError("of must list two objectives or more.")
    return tuple(_objective(term) for term in given)


@register("sum", "OBJECTIVE/OBJECTIVE(/...)", "of")
class Sum(BaseObjective):
    """A weighted sum of objectives.

    Parameters
    ----------
    of : sequence of objectives
    weights : sequence of float
        One for each; 1 for two or more where none are given.
    name : str
        A sum without a name is named by its terms, those of one objective added up.

    Examples
    --------
    >>> tilt = cl.objectives.similarity("he", "math") - 2 * cl.objectives.similarity("she", "math")
    >>> scores = cl.score(run, [tilt])
    """

    of: Annotated[Sequence[Any], PlainValidator(_objectives)]
    weights: Numbers = ()
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.of) < 2 and not self.weights:
            raise UserError("of must list two objectives or more.")
        weights = self.weights or (1.0,) * len(self.of)
        if len(weights) != len(self.of):
            raise UserError(f"there are {len(self.of)} objectives and {len(weights)} weights: give one for each.")
        object.__setattr__(self, "weights", weights)
        if not self.name:
            self._merge()
        super().__post_init__()

    def _merge(self) -> None:
        """Add up the terms of one objective, and leave out those that cancel."""
        different = [f for i, f in enumerate(self.of) if f not in self.of[:i]]
        summed = [(sum(weight for weight, g in self.terms if g == f), f) for f in different]
        terms = [(weight, f) for weight, f in summed if weight != 0]
        if not terms:
            raise UserError("Nothing is left of this sum of objectives: its terms cancel, or its weights are zero.")
        object.__setattr__(self, "weights", tuple(weight for weight, _ in terms))
        object.__setattr__(self, "of", tuple(f for _, f in terms))

    def check(self) -> None:
        """Refuse weights that are zero or not finite."""
        for weight in self.weights:
            if not (math.isfinite(weight) and weight):
                raise UserError(f"the weight {weight:g} must be finite and not zero.")

    @property
    def terms(self) -> Sequence[tuple[float, Any]]:
        """Weight and objective of each term."""
        return tuple(zip(self.weights, self.of, strict=True))

    @property
    def parts(self) -> Sequence[Any]:
        """The objectives of the terms."""
        return self.of

    def default_name(self) -> str:
        """Such as weat7-minus-0.5xsimilarity-he-nurse."""
        signs = ["minus-" if weight < 0 else "plus-" if number else "" for number, weight in enumerate(self.weights)]
        return "-".join(f"{sign}{_size(c, 'x')}{f.name}" for sign, (c, f) in zip(signs, self.terms, strict=True))

    def __call__(self, view: Any) -> Tensor:
        """Value, shape (); UserError as any of its terms."""
        return torch.stack([weight * objective(view).reshape(()) for weight, objective in self.terms]).sum()

    @property
    def quantity(self) -> str:
        """What the number is."""
        quantities = {objective.quantity for objective in self.of}
        return f"sum of {quantities.pop()}s" if len(quantities) == 1 else "sum of objectives"

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Of a sum of terms within their own bounds, each on its own: never too narrow."""
        ends = [sorted(weight * end for end in objective.bounds(index)) for weight, objective in self.terms]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def interpretation(self) -> str:
        """What the sign means."""
        up, down = ([f for c, f in self.terms if c * sign > 0] for sign in (1, -1))
        effects = " and ".join([f"{f.name} higher" for f in up] + [f"{f.name} lower" for f in down])
        formula = " ".join(f"{'-' if c < 0 else '+'} {_size(c, ' ')}{f.name}" for c, f in self.terms)
        return f"Higher: {effects} (it is {formula.removeprefix('+ ')}, each in its own unit)."


add_form("difference", "sum", "OBJECTIVE/OBJECTIVE", ("of",), weights=(1.0, -1.0))


def _size(weight: float, times: str) -> str:
    return "" if abs(weight) == 1 else f"{abs(weight):g}{times}"


@register("abs", "OBJECTIVE", "of")
class Absolute(BaseObjective):
    """The size of an objective, whatever its sign (the paper's bias objectives, Eqs. 10 and 13: f = |WEAT|).

    Its derivative is that of the objective, times its sign. Where a change of the data takes the objective through
    zero, the size turns back up, which no derivative foresees: a prediction below zero is such a case.

    Examples
    --------
    >>> size = abs(weat)
    >>> print(float(size(run.view)))
    """

    of: Annotated[Any, PlainValidator(_objective)]
    name: str = ""

    meaning = "Never negative: the distance of {0.of.name} from 0, in its unit, whichever its sign."

    @property
    def parts(self) -> Sequence[Any]:
        """The objective."""
        return (self.of,)

    def default_name(self) -> str:
        """Such as abs-weat7."""
        return f"abs-{self.of.name}"

    def __call__(self, view: Any) -> Tensor:
        """Value, shape (); UserError as the objective, or where it is exactly zero and a derivative is asked for."""
        value: Tensor = self.of(view)
        if value.requires_grad and not bool(value != 0):
            raise UserError(f"{self.name}: {self.of.name} is exactly 0, where its size has no derivative: score it.")
        return value.abs()

    @property
    def quantity(self) -> str:
        """What the number is."""
        return f"size of {self.of.quantity}"

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """0 or above, as far as the objective goes to either side."""
        low, high = self.of.bounds(index)
        return max(low, -high, 0.0), max(-low, high)
