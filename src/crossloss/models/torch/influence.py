"""Sums of what a backward pass gives the weights of a torch field's samples."""

from torch import Tensor

from crossloss.utils import distributed


class SampleInfluence:
    """Sums of d<g, a>/dw over steps, (k, n) float64: the atoms are the samples."""

    def __init__(self, sums: Tensor) -> None:
        self.sums = sums

    def add(self, rows: Tensor, by_weight: Tensor) -> None:
        """Add what some rows have (k, b)."""
        self.sums.index_add_(1, rows, by_weight.double())

    def samples(self) -> Tensor:
        """Scores (k, n) float64, of all processes together."""
        return self.sums if distributed.count() == 1 else distributed.add_(self.sums.clone())

    def tensors(self) -> dict[str, Tensor]:
        """The live sums."""
        return {"sums": self.sums}
