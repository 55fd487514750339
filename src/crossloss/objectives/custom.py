"""Any Python function of the embeddings as an objective."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossloss.core import Objective, UserError


@dataclass(frozen=True)
class Function:
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


@dataclass(frozen=True, eq=False)
class Together:
    """A function of the view that returns several objectives at once, (count,).

    Raises
    ------
    UserError
        When called: it is not a tensor of ``count`` finite real numbers.
    """

    name: str
    function: Callable[[Any], Tensor]
    count: int

    def __call__(self, view: Any) -> Tensor:
        """All values, (count,)."""
        values = self.function(view)
        if not isinstance(values, torch.Tensor) or values.shape != (self.count,) or not values.is_floating_point():
            raise UserError(f"{self.name} must return a torch tensor of {self.count} real numbers (floats).")
        if not bool(torch.isfinite(values).all()):
            raise UserError(f"{self.name} is not finite at this model.")
        return values


@dataclass(frozen=True)
class Element:
    """One of the objectives that are computed together (a ``core.Joint``)."""

    name: str
    whole: Together
    index: int

    def __call__(self, view: Any) -> Tensor:
        """Its value, shape ()."""
        return self.whole(view)[self.index]


def each(function: Callable[[Any], Tensor], count: int) -> list[Objective]:
    """Objectives NAME.0, NAME.1, ... from one function of the view that returns them all, (count,).

    Such as one for each held-out row: computed and differentiated together, in a fraction of the time that as many
    functions take.
    """
    whole = Together(_name(function), function, count)
    return [Element(f"{whole.name}.{i}", whole, i) for i in range(count)]


def as_objective(given: Objective | Callable[[Any], Tensor]) -> Objective:
    """Return an objective as it is; wrap a plain function under its own name.

    Raises
    ------
    UserError
        Neither of the two.
    """
    if isinstance(given, Objective):
        return given
    if not callable(given):
        raise UserError(f"{given!r} is no objective: pass cl.objectives.weat(NAME) or a function.")
    return Function(_name(given), given)


def _name(function: Callable[[Any], Tensor]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "objective" if name == "<lambda>" else name
