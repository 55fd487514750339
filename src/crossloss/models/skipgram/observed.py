"""Sums over the observed pairs alone, which the field with drawn negatives keeps exact.

Frequent words are seen with most frequent contexts. There a pair costs less within a dense product of its whole tile
than as an entry of a sparse matrix, whose rows and columns are fetched one by one. So tiles with many pairs are dense
products with zeros elsewhere, and the pairs of all others are one sparse matrix.
"""

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.skipgram.loss import SkipGramLoss
from crossloss.models.skipgram.tiles import Tile, strips
from crossloss.models.threads import each_in_a_thread, one_core

DENSE = 0.06
"""Share of a tile's elements that are observed from which on its dense products cost less (docs/cluster.md)."""


class ObservedPairs:
    """The observed pairs of this process as a matrix, word by context, with the products that they need.

    Values (o,) are in the order of the tiling.
    """

    def __init__(self, field: SkipGramLoss) -> None:
        if len(field.tiling) >= 2**31:
            raise UserError("More than 2 billion pairs in one process: run in more processes, or lower max_words=.")
        self.tiling, self.product, self.add = field.tiling, field.product, field.add
        self.size, self.device, self._ones = field.size, field.device, torch.ones_like(field.noise)
        self.dense = [tile for tile in self.tiling if _is_dense(tile)]
        self._sides = self._sparse([tile for tile in self.tiling if not _is_dense(tile)])

    def _sparse(self, tiles: list[Tile]) -> tuple[tuple[Tensor, ...], ...]:
        """The pairs of some tiles by word and by context: ends, columns, and each entry's place among the values."""
        none = np.zeros(0, np.int32)
        at = np.concatenate([none, *(np.arange(t.pairs.start, t.pairs.stop, dtype=np.int32) for t in tiles)])
        word, context = np.concatenate([np.zeros((2, 0), np.int32), *map(_words, tiles)], axis=1)
        by_word, by_context = np.lexsort((context, word)), np.lexsort((word, context))
        return tuple(
            tuple(map(self._tensor, (_ends(row[order], self.size), column[order], at[order])))
            for row, column, order in ((word, context, by_word), (context, word, by_context))
        )

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def dots(self, u: Tensor, c: Tensor) -> Tensor:
        """u_w . c_c at every pair, (o,), for u and c (V, e)."""
        out = u.new_zeros(len(self.tiling))
        ends, columns, at = self._sides[0]
        if len(at):
            pattern = _csr(ends, columns, u.new_zeros(len(at)), self.size)
            out[at] = torch.sparse.sampled_addmm(pattern, u, c.T).values()

        def work(tiles: list[Tile]) -> None:
            for tile in tiles:
                plane = self.product(u[tile.rows], c[tile.columns]).view(-1)
                torch.index_select(plane, 0, tile.local, out=out[tile.pairs])

        with one_core():
            each_in_a_thread(work, self.tiling.shares(self.dense))
        return out

    def products(self, values: Tensor, u: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """sum_c values[w,c] c_c of every word and sum_w values[w,c] u_w of every context, each (V, e).

        Over this process's pairs; u and c are (V, e).
        """
        strips_u, strips_c = strips(u, self.tiling.rows), strips(c, self.tiling.columns)

        def add(tile: Tile, by_word: Tensor, by_context: Tensor) -> None:
            plane = values.new_zeros(tile.shape)
            plane.view(-1).scatter_(0, tile.local.long(), values[tile.pairs])
            self.add(by_word, strips_c[tile.column], plane)
            self.add(by_context, strips_u[tile.row], plane.T)

        with one_core():
            both = self.tiling.own_sums(u.shape[1], self._ones, self._ones, add, self.dense)
        for out, (ends, columns, at), other in zip(both, self._sides, (c, u), strict=True):
            if len(at):
                out += torch.mm(_csr(ends, columns, values.index_select(0, at), self.size), other)
        return both[0], both[1]


def _is_dense(tile: Tile) -> bool:
    return len(tile.local) > DENSE * math.prod(tile.shape)


def _words(tile: Tile) -> np.ndarray:
    """Word and context of every pair of a tile, (2, n) int32."""
    rows, columns = np.divmod(tile.local.cpu().numpy(), np.int32(tile.shape[1]))
    return np.stack([rows + np.int32(tile.rows.start), columns + np.int32(tile.columns.start)])


def _ends(rows: np.ndarray, size: int) -> np.ndarray:
    """Where each of ``size`` rows starts and ends, (size + 1,) int32."""
    return np.concatenate([[0], np.bincount(rows, minlength=size).cumsum()]).astype(np.int32)


def _csr(ends: Tensor, columns: Tensor, values: Tensor, size: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")
        return torch.sparse_csr_tensor(ends, columns, values, (size, size), check_invariants=False)
