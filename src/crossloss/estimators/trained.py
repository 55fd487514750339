"""A model that was trained elsewhere: final parameters without a run."""

import dataclasses
from collections.abc import Iterator
from typing import NoReturn

from torch import Tensor

from crossloss.core import Field, Optimiser, State, UserError


class NoRun:
    """The optimiser of a model whose run nobody recorded: whatever asks for it must be told so."""

    needs: tuple[str, ...] = ()

    def _refuse(self) -> NoReturn:
        raise UserError(
            "This model was trained elsewhere, so there is no run to go back over: use inverse-hessian or "
            "gradient-dot, or fine-tune it here first."
        )

    def init(self, theta: Tensor) -> State:
        """Refuse."""
        self._refuse()

    def step(self, state: State, g: Tensor, t: int) -> State:
        """Refuse."""
        self._refuse()

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """Refuse."""
        self._refuse()


@dataclasses.dataclass(eq=False)
class Trained:
    """Final parameters as a ``core.Trajectory`` of no steps.

    Parameters
    ----------
    field : Field
        Of the training loss.
    weights : (n,) tensor
    theta : (p,) tensor
    """

    field: Field
    weights: Tensor
    theta: Tensor
    steps: int = dataclasses.field(default=0, init=False)
    optimiser: Optimiser = dataclasses.field(default_factory=NoRun, init=False)

    def __post_init__(self) -> None:
        self.weights, self.theta = self.weights.detach().clone(), self.theta.detach().clone()

    def backwards(self, start: int) -> Iterator[tuple[int, State]]:
        """Yield nothing."""
        return iter(())
