"""An update rule and its exact adjoint."""

from typing import Protocol

from torch import Tensor

State = dict[str, Tensor]
"""What the optimiser carries from step to step; always holds ``theta`` (p,)."""


class Optimiser(Protocol):
    """One deterministic update rule and its exact adjoint."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Entries of the state that ``adjoint`` reads beside ``theta``; "gradient" is g_t, put there for it."""

    def init(self, theta: Tensor) -> State:
        """State before the first step."""

    def step(self, state: State, g: Tensor, t: int) -> State:
        """State after step t with field value ``g``; the given state is left as it was."""

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """Carry ``bar`` (each entry (k, ...)) back over step t, all but the part through the field; may overwrite it.

        Returns the new ``bar`` and ``a`` (k, p) = d(objective)/dg_t; the caller adds J^T a to ``bar["theta"]``.
        """


def result_of(optimiser: Optimiser) -> str:
    """The entry of the state that is the run's final parameters: the optimiser's ``result``, else ``theta``."""
    return str(getattr(optimiser, "result", "theta"))
