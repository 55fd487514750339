"""Word blocks: the block diagonal of the exact skip-gram Hessian, one d x d block a word and one a context.

With S = U C^T and h[w,c] = (X[w,c] + k X_w p_c) s(S[w,c]) s(-S[w,c]) / N, the second derivatives by one row are

    d^2 L/dU_w^2 = sum_c h[w,c] C_c C_c^T + r,    d^2 L/dC_c^2 = sum_w h[w,c] U_w U_w^T + r,

exactly, r = prior/N times the identity, and positive semidefinite. What they leave out are the blocks between
different rows.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from crossloss.core import Curvature, UserError
from crossloss.models.skipgram.loss import SkipGramLoss
from crossloss.utils import distributed

WORD_BLOCKS = "word-blocks"
BLOCKS_AT_ONCE = 512


class WordBlocks(Curvature):
    """Block diagonal of the Hessian; 2 V^2 d^2 flops once, tile by tile, no V x V matrix.

    ``packed`` (2 V, d (d + 1)/2) are the upper triangles, words first, then contexts.
    """

    def __init__(self, field: SkipGramLoss, theta: Tensor, w: Tensor) -> None:
        self.theta = theta
        self.words, self.size, self.dimension = field.vocabulary.words, field.size, field.dimension
        self.upper = torch.triu_indices(self.dimension, self.dimension, device=theta.device)
        u, c = field.matrices(theta.detach())
        observed, rows = field.ratios(w)
        self.packed = torch.zeros(2 * self.size, self.upper.shape[1], dtype=theta.dtype, device=theta.device)
        by_word, by_context = self.packed.view(2, self.size, -1)
        for tile in field.tiling:
            r, q = tile.rows, tile.columns
            sigma = field.sigmoid(u[r], c[q])
            # The field's x is X over the dense part: h = r p (1 + x) s (1 - s).
            h = rows[r, None] * field.noise[q]
            local = tile.local.long()
            h.view(-1).scatter_(0, local, h.view(-1)[local] * (1 + observed[tile.pairs]))
            h.mul_(sigma).mul_(1 - sigma)
            by_word[r].addmm_(h, self._squares(c[q]))
            by_context[q].addmm_(h.T, self._squares(u[r]))
        distributed.add_(self.packed)
        self.packed[:, self.upper[0] == self.upper[1]] += field.shrinkage

    def _squares(self, rows: Tensor) -> Tensor:
        """Upper triangles of x x^T for the rows x."""
        return rows[:, self.upper[0]] * rows[:, self.upper[1]]

    def _blocks(self, packed: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows of (2 V) and their symmetric blocks (b, d, d) of upper triangles, some at a time."""
        for first in range(0, 2 * self.size, BLOCKS_AT_ONCE):
            rows = slice(first, min(first + BLOCKS_AT_ONCE, 2 * self.size))
            blocks = packed.new_zeros(rows.stop - first, self.dimension, self.dimension)
            blocks[:, self.upper[0], self.upper[1]] = packed[rows]
            blocks[:, self.upper[1], self.upper[0]] = packed[rows]
            yield rows, blocks

    def _by_block(self, packed: Tensor, rows: Tensor, apply: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """``apply`` to the blocks (b, d, d) and their parts (k, b, d) of the rows (k, p), some at a time; (k, p)."""
        split = rows.view(len(rows), 2 * self.size, self.dimension)
        return torch.cat([apply(blocks, split[:, part]) for part, blocks in self._blocks(packed)], 1).view(
            len(rows), -1
        )

    def product(self, a: Tensor) -> Tensor:
        """Blocks times the rows of ``a``, (k, p)."""
        return self._by_block(self.packed, a, lambda blocks, part: torch.einsum("bij,kbj->kbi", blocks, part))

    def factorise(self, damping: float) -> Callable[[Tensor], Tensor]:
        """Rows by (blocks + damping)^-1, by Cholesky; as much memory again as the blocks.

        UserError where a block is singular: fewer than d vectors bend it, as for a word without pairs.
        """
        packed = torch.empty_like(self.packed)
        for rows, blocks in self._blocks(self.packed):
            blocks.diagonal(dim1=1, dim2=2).add_(damping)
            factors, failed = torch.linalg.cholesky_ex(blocks)
            pivots = factors.diagonal(dim1=1, dim2=2)
            ratio = (pivots.min(dim=1).values / pivots.max(dim=1).values).nan_to_num(0.0)
            flat = (failed > 0) | (ratio**2 <= self.dimension * torch.finfo(blocks.dtype).eps)
            if bool(flat.any()):
                row = rows.start + int(flat.nonzero()[0])
                word, matrix = self.words[row % self.size], "word" if row < self.size else "context"
                raise UserError(
                    f"The block of {matrix} {word!r} is singular with damping {damping:g}: give a larger damping, or "
                    "use float64."
                )
            packed[rows] = factors[:, self.upper[1], self.upper[0]]

        def solve(factors: Tensor, part: Tensor) -> Tensor:  # of a block only the lower triangle is read
            return torch.cholesky_solve(part.permute(1, 2, 0), factors).permute(2, 0, 1)

        return lambda b: self._by_block(packed, b, solve)
