"""What is explained: a differentiable scalar of the parameters."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Objective(Protocol):
    """A differentiable scalar f(theta), in its own unit."""

    @property
    def name(self) -> str:
        """What it is called in tables and files."""

    def __call__(self, view: Any, /) -> Tensor:
        """Value of the objective, shape (), of what ``Field.view`` shows of the parameters."""


class Family(Protocol):
    """Objectives that are computed together; each of them has it as ``family``, and its ``index`` in it."""

    def __call__(self, view: Any, /) -> Tensor:
        """Values of all, (m,)."""

    def one(self, view: Any, index: Tensor) -> Tensor:
        """Value of the one at ``index`` (an int64 tensor of shape ()), shape (), fit for ``torch.func.vmap``."""
