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
    name = getattr(given, "__name__", type(given).__name__)
    return Function("objective" if name == "<lambda>" else name, given)
