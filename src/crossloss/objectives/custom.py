"""Any Python function of the embeddings as an objective."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.objectives.algebra import Composable


@dataclass(frozen=True)
class Function(Composable):
    """A function of the view that returns a scalar tensor.

    Parameters
    ----------
    name : str
    function : callable
        Gets what ``Field.view`` shows; returns a real tensor of one element computed from it.
    """

    name: str
    function: Callable[[Any], Tensor]

    def __call__(self, view: Any) -> Tensor:
        """Value of the function, shape ().

        Raises
        ------
        UserError
            It is not one finite real number in a tensor.
        """
        value = self.function(view)
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.is_floating_point():
            raise UserError(f"Objective {self.name} must return a torch tensor of one real number (a float).")
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"Objective {self.name} is {value.item()} at this model: it must be finite.")
        return value.reshape(())

    @property
    def measure(self) -> str:
        """What the number is: only its author knows."""
        return "value of a function"

    @property
    def words(self) -> tuple[str, ...]:
        """None that are known."""
        return ()

    def rows(self, index: Mapping[str, int]) -> dict[str, list[int]]:
        """None that are known."""
        return {}

    def coverage(self, counts: Mapping[str, int]) -> list[Any]:
        """None that is known."""
        return []

    def reading(self) -> str:
        """What the sign means."""
        return f"Positive or negative as the function {self.name} returns it, in the function's own unit."


@dataclass(frozen=True, eq=False)
class Rowwise:
    """An objective for each row of some tensors, by one function of the view and any rows (a ``core.Family``).

    Raises
    ------
    UserError
        When called: it does not return one finite real number a row.
    """

    name: str
    function: Callable[..., Tensor]
    rows: tuple[Tensor, ...]

    def __call__(self, view: Any) -> Tensor:
        """Values of all rows, (m,)."""
        values = self.function(view, *self.rows)
        if not isinstance(values, torch.Tensor) or values.shape != self.rows[0].shape[:1]:
            raise UserError(f"{self.name} must return one number a row, a tensor of shape ({len(self.rows[0])},).")
        if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
            raise UserError(f"{self.name} must return real numbers (floats) that are finite at this model.")
        return values

    def one(self, view: Any, index: Tensor) -> Tensor:
        """Value of one row, shape ()."""
        return self.function(view, *(part.index_select(0, index.reshape(1)) for part in self.rows)).reshape(())


@dataclass(frozen=True)
class Row:
    """One objective of a family of rows."""

    name: str
    family: Rowwise
    index: int

    def __call__(self, view: Any) -> Tensor:
        """Its value, shape ()."""
        return self.family.one(view, torch.tensor(self.index, device=self.family.rows[0].device))


def each(function: Callable[..., Tensor], *rows: Tensor) -> list[Objective]:
    """Objectives NAME.0, NAME.1, ...: one for each row, such as the loss of each held-out sample.

    Computed and differentiated together, in a fraction of the time that as many functions take.

    Parameters
    ----------
    function : callable
        (view, *rows) -> (m,), one number for each of the m rows that it is given, and by that row alone.
    rows : tensors
        m rows each.

    Raises
    ------
    UserError
        No rows, or not equally many.
    """
    if not rows or not all(part.dim() and len(part) == len(rows[0]) > 0 for part in rows):
        raise UserError("each() takes tensors with equally many rows, at least one: an objective for each row.")
    family = Rowwise(_name(function), function, rows)
    return [Row(f"{family.name}.{i}", family, i) for i in range(len(rows[0]))]


def as_objective(given: Objective | Callable[[Any], Tensor]) -> Objective:
    """Return an objective as it is; wrap a plain function under its own name.

    Raises
    ------
    UserError
        Neither of the two.
    """
    if isinstance(given, (Function, Row, Objective)):  # in this order: the protocol's check is slow
        return given
    if not callable(given):
        raise UserError(f"{given!r} is no objective: pass cl.objectives.weat(NAME) or a function.")
    return Function(_name(given), given)


def _name(function: Callable[[Any], Tensor]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "objective" if name == "<lambda>" else name
