"""The base of every objective; sums, differences, multiples and sizes of objectives, which are objectives again."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import PlainValidator
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import UNBOUNDED, Bounds, bounds_of
from crossloss.objectives.command_line import add_form
from crossloss.objectives.fields import Numbers
from crossloss.objectives.registry import register


class BaseObjective:
    """An objective that says what it is, of this package or of a user's own class.

    f + g, f - g, 2 * f, f / 2, -f and abs(f) are objectives. A subclass that ``register`` decorates can be stored, and
    read from YAML and command lines; one that is made of sets of words is a ``WordObjective``.
    """

    name: str
    type: ClassVar[str] = ""

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
    def prepare(cls, values: dict[str, Any], resolve: Callable[[Any], Any], folder: Path) -> dict[str, Any]:
        """Fields of the class from what a user wrote: objectives by ``resolve`` of their names, files of ``folder``."""
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
        raise NotImplementedError

    @property
    def words(self) -> Sequence[str]:
        """The words it is made of, each once; none that are known here."""
        return ()

    def lookup(self, index: Mapping[str, int]) -> Any:
        """Rows of its words; UserError that names what the vocabulary lacks."""
        return {}

    def coverage(self, counts: Mapping[str, int]) -> Sequence[Any]:
        """Which words of each set occur, and how often (``Coverage``)."""
        return []

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value over all vectors of a vocabulary (``objectives.bounds``); infinite here."""
        return UNBOUNDED

    def __add__(self, other: "BaseObjective") -> "Sum":
        return _combine((1.0, self), (1.0, other))

    def __sub__(self, other: "BaseObjective") -> "Sum":
        return _combine((1.0, self), (-1.0, other))

    def __mul__(self, number: float) -> "Sum":
        return _combine((number, self))

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> "Sum":
        return self * (1 / number)

    def __neg__(self) -> "Sum":
        return self * -1.0

    def __abs__(self) -> "Absolute":
        return Absolute(self)


def _combine(*given: tuple[float, BaseObjective]) -> "Sum":
    """Sum of multiples; the terms of a sum among them stand for themselves."""
    terms: list[tuple[float, Any]] = []
    for factor, objective in given:
        own = objective.terms if isinstance(objective, Sum) else [(1.0, objective)]
        terms += [(factor * weight, term) for weight, term in own]
    return Sum([term for _, term in terms], [weight for weight, _ in terms])


def _objective(given: Any) -> BaseObjective:
    if not isinstance(given, BaseObjective):
        raise UserError(f"{given!r} is no objective: only objectives add up and have a size.")
    return given


def _objectives(given: Any) -> tuple[BaseObjective, ...]:
    if not isinstance(given, list | tuple) or not given:
        raise UserError("A sum needs a list of at least one objective.")
    return tuple(_objective(term) for term in given)


@register("sum", "OBJECTIVE/OBJECTIVE[/...]", "of")
class Sum(BaseObjective):
    """A weighted sum of objectives.

    Parameters
    ----------
    of : sequence of objectives
    weights : sequence of float
        One for each; 1 where none are given.
    name : str
        A sum without a name is named by its terms, those of one objective added up.

    Raises
    ------
    UserError
        No term, or a weight that is zero or not finite.
    """

    of: Annotated[Sequence[Any], PlainValidator(_objectives)]
    weights: Numbers = ()
    name: str = ""

    def __post_init__(self) -> None:
        weights = self.weights or (1.0,) * len(self.of)
        if len(weights) != len(self.of):
            raise UserError(f"there are {len(self.of)} objectives and {len(weights)} weights: give one for each.")
        object.__setattr__(self, "weights", weights)
        if not self.name:
            self._merge()
        super().__post_init__()

    def _merge(self) -> None:
        """Add up the terms of one objective, and leave out those that cancel."""
        merged: list[list[Any]] = []
        for weight, objective in self.terms:
            same = next((term for term in merged if term[1] == objective), None)
            if same is None:
                merged.append([weight, objective])
            else:
                same[0] += weight
        terms = [term for term in merged if term[0] != 0]
        if not terms:
            raise UserError("Nothing is left of this sum of objectives: its terms cancel, or its weights are zero.")
        object.__setattr__(self, "weights", tuple(weight for weight, _ in terms))
        object.__setattr__(self, "of", tuple(objective for _, objective in terms))

    def default_name(self) -> str:
        """Such as weat7-minus-0.5xsimilarity-he-nurse."""
        parts = []
        for number, (weight, objective) in enumerate(self.terms):
            sign = "minus-" if weight < 0 else "plus-" if number else ""
            parts.append(f"{sign}{_size(weight, 'x')}{objective.name}")
        return "-".join(parts)

    def check(self) -> None:
        """Refuse weights that are zero or not finite."""
        for weight in self.weights:
            if not (abs(weight) < float("inf") and weight):
                raise UserError(f"the weight {weight:g} must be finite and not zero.")

    @classmethod
    def prepare(cls, values: dict[str, Any], resolve: Callable[[Any], Any], folder: Path) -> dict[str, Any]:
        """With its objectives for their names."""
        of = values.get("of")
        if not isinstance(of, list | tuple) or not of or (len(of) < 2 and "weights" not in values):
            raise UserError("of must list the names of two objectives or more.")
        return values | {"of": [resolve(objective) for objective in of]}

    @property
    def terms(self) -> tuple[tuple[float, Any], ...]:
        """Weight and objective of each term."""
        return tuple(zip(self.weights, self.of, strict=True))

    def __call__(self, view: Any) -> Tensor:
        """Value, shape (); UserError as any of its terms."""
        return torch.stack([weight * objective(view).reshape(()) for weight, objective in self.terms]).sum()

    @property
    def words(self) -> Sequence[str]:
        """Words of all terms, each once."""
        return tuple(dict.fromkeys(word for objective in self.of for word in objective.words))

    @property
    def quantity(self) -> str:
        """What the number is."""
        quantities = {objective.quantity for objective in self.of}
        return f"sum of {quantities.pop()}s" if len(quantities) == 1 else "sum of objectives"

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Of a sum of terms within their own bounds, each on its own: never too narrow."""
        ends = [sorted(weight * end for end in bounds_of(objective, index)) for weight, objective in self.terms]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def lookup(self, index: Mapping[str, int]) -> list[Any]:
        """Look up the words of every term."""
        return [objective.lookup(index) for objective in self.of]

    def coverage(self, counts: Mapping[str, int]) -> list[Any]:
        """Coverage of every term."""
        return [row for objective in self.of for row in objective.coverage(counts)]

    def interpretation(self) -> str:
        """What the sign means."""
        up = " and ".join(f"{objective.name} higher" for weight, objective in self.terms if weight > 0)
        down = " and ".join(f"{objective.name} lower" for weight, objective in self.terms if weight < 0)
        signed = [f"{'-' if c < 0 else '+'} {_size(c, ' ')}{objective.name}" for c, objective in self.terms]
        formula = " ".join(signed).removeprefix("+ ")
        return f"Higher: {' and '.join(filter(None, (up, down)))} (it is {formula}, each in its own unit)."


add_form("difference", "sum", "OBJECTIVE/OBJECTIVE", ("of",), weights=(1.0, -1.0))


def _size(weight: float, times: str) -> str:
    return "" if abs(weight) == 1 else f"{abs(weight):g}{times}"


@register("abs", "OBJECTIVE", "of")
class Absolute(BaseObjective):
    """The size of an objective, whatever its sign (the paper's bias objectives, Eqs. 10 and 13: f = |WEAT|).

    Its derivative is that of the objective, times its sign. Where a change of the data takes the objective through
    zero, the size turns back up, which no derivative foresees: a prediction below zero is such a case.
    """

    of: Annotated[Any, PlainValidator(_objective)]
    name: str = ""

    def default_name(self) -> str:
        """Such as abs-weat7."""
        return f"abs-{self.of.name}"

    @classmethod
    def prepare(cls, values: dict[str, Any], resolve: Callable[[Any], Any], folder: Path) -> dict[str, Any]:
        """With its objective for the name."""
        return values | ({"of": resolve(values["of"])} if "of" in values else {})

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
    def words(self) -> Sequence[str]:
        """Words of the objective."""
        return tuple(self.of.words)

    @property
    def quantity(self) -> str:
        """What the number is."""
        return f"size of {self.of.quantity}"

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """0 or above, as far as the objective goes to either side."""
        low, high = bounds_of(self.of, index)
        return max(low, -high, 0.0), max(-low, high)

    def lookup(self, index: Mapping[str, int]) -> Any:
        """Look up the words of the objective."""
        return self.of.lookup(index)

    def coverage(self, counts: Mapping[str, int]) -> Any:
        """Coverage of the objective."""
        return self.of.coverage(counts)

    def interpretation(self) -> str:
        """What the value means."""
        return f"Never negative: the distance of {self.of.name} from 0, in its unit, whichever its sign."
