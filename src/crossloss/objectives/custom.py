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
