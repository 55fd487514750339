"""A finished run that is walked backwards, and the places where long work is kept."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from crossloss.core.field import Field
from crossloss.core.optimiser import Optimiser, State


class Trajectory(Protocol):
    """A finished training run that can be walked backwards."""

    field: Field
    optimiser: Optimiser
    steps: int

    @property
    def weights(self) -> Tensor:
        """Sample weights (n,); one and the same tensor from step to step."""

    @property
    def theta(self) -> Tensor:
        """Final parameters (p,)."""

    def backwards(self, start: int, *, gradient: bool = True) -> Iterator[tuple[int, State]]:
        """Yield (t, ``theta`` and what the optimiser needs before step t) for t = start - 1, ..., 0.

        Without its "gradient", where the caller has it from the ``value`` of a linearisation there.
        """


class Checkpoint(Protocol):
    """Where a long pass leaves what it needs to go on after a stop."""

    def load(self) -> Mapping[str, Tensor] | None:
        """What was last saved, or None."""

    def due(self, t: int) -> bool:
        """Whether enough has been done since the last save."""

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace what was saved; complete or not at all."""


class CacheEntry(Protocol):
    """A place for what is computed once: ``load`` gives None where nothing is there."""

    def load(self) -> Any | None:
        """What was saved, a dict of arrays."""

    def save(self, value: Any) -> None:
        """Save it, complete or not at all."""


class Cache(Protocol):
    """Where a run keeps things: in memory or in its folder."""

    def entry(self, name: str, *key: Any, suffix: str = ".json") -> CacheEntry:
        """The place of what a name and plain values identify."""
