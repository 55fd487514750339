"""What a pass says of pairs and of words, and its projection to samples."""

import numpy as np
import torch
from torch import Tensor

from crossloss.models.skipgram.loss import SkipGramLoss
from crossloss.text.pairs import PairCounts
from crossloss.utils import distributed


class PairInfluence:
    """Sums of d<g, a>/dX[w,c] over steps: one number an ordered pair and one a word, for k directions.

    ``pairs`` (k, o) are the parts of the ordered pairs, in the tiles' order; ``words`` (k, V) the dense part: b[w], the
    negatives that come with each observation of w. Of several processes each has those of its own words.
    """

    def __init__(self, field: SkipGramLoss, k: int) -> None:
        self.field = field
        self.pairs = torch.zeros(k, len(field.tiling), dtype=field.dtype, device=field.device)
        self.words = torch.zeros(k, field.size, dtype=field.dtype, device=field.device)

    def tensors(self) -> dict[str, Tensor]:
        """The live sums; the pairs' by the tiles too, which give their order."""
        height, width = self.field.tiling.shape
        return {f"pairs.{height}x{width}": self.pairs, "words": self.words}

    def unordered(self) -> np.ndarray:
        """D f/d(count of a pair, in both orders), (k, m) float64."""
        field, apart = self.field, self.field.first != self.field.second
        both = np.empty((len(self.pairs), len(apart)))
        dense = distributed.add_(self.words.to(torch.float64, copy=True)).cpu().numpy()
        for row, pairs, words in zip(both, self.pairs, dense, strict=True):
            row[:] = distributed.add_(field.tiling.fold(pairs.double())).cpu().numpy()
            row += words[field.first]
            row += words[field.second] * apart
        return both

    def samples(self) -> Tensor:
        """Scores (k, n) float64: each sample's counts times the pair influences."""
        return torch.from_numpy(project(self.field.counts, self.unordered()))


def project(counts: PairCounts, pairs: np.ndarray) -> np.ndarray:
    """Sums (k, n) of pair values (k, m) over the samples of counts, a block of samples at a time."""
    sums = np.zeros((len(pairs), counts.matrix.shape[0]))
    for rows, block in counts.blocks():
        sums[:, rows] = (block @ pairs.T).T
    return distributed.add_(torch.from_numpy(sums)).numpy()
