"""Gradients of single samples, by blocks of parameters, and where scores are summed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Accumulator(Protocol):
    """Collects d<g, a>/d(atom weight) for k directions over the steps of a run."""

    def samples(self) -> Tensor:
        """Project from atoms to samples once, at the end: (k, n)."""

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors that hold the sums, (k, ...) each, to be saved and copied back into."""


@dataclass(frozen=True)
class Block:
    """A parameter as a matrix of ``rows`` x ``columns`` numbers, which lie in theta from ``start`` on."""

    name: str
    start: int
    rows: int
    columns: int

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + self.rows * self.columns


class Factors(Protocol):
    """Gradients of b samples by one block, as sums of few outer products."""

    def dense(self, which: slice) -> Tensor:
        """Of some of them, (b', rows, columns)."""

    def projected(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        """left^T G right, (b, i, j), for left (rows, i) and right (columns, j), the identity where None."""


class SampleGradients(ABC):
    """Gradients of single samples' terms of the training loss as a whole, at one point, in parts of some samples.

    Sample i's is that of s_i where the loss is sum_i w_i s_i, whatever w is.
    """

    blocks: Sequence[Block]
    """The parameters that they are of."""
    parts: Sequence[int]
    """How many samples each part has."""

    @abstractmethod
    def part(self, number: int) -> tuple[Tensor, Sequence[Factors]]:
        """Numbers of the samples of a part (b,), and their gradients by each of ``blocks``."""

    @abstractmethod
    def add(self, into: "Accumulator", rows: Tensor, scores: Tensor) -> None:
        """Add the scores (k, b) of some samples to what the field's ``accumulator`` gave."""
