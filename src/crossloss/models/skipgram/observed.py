"""Sums over the observed pairs alone, which the field with drawn negatives keeps exact.

Frequent words are seen with most frequent contexts. There a pair costs less within a dense product of its whole tile
than as an entry of a sparse matrix, whose rows and columns are fetched one by one. So tiles with many pairs are dense
products with zeros elsewhere, and the pairs of all others are one sparse matrix.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

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

    def _sparse(self, tiles: list[Tile]) -> "tuple[list[Rows], ...]":
        """The pairs of some tiles by word and by context, in rows for each thread."""
        none = np.zeros(0, np.int32)
        at = np.concatenate([none, *(np.arange(t.pairs.start, t.pairs.stop, dtype=np.int32) for t in tiles)])
        word, context = np.concatenate([np.zeros((2, 0), np.int32), *map(_words, tiles)], axis=1)
        by_word, by_context = np.lexsort((context, word)), np.lexsort((word, context))
        return tuple(
            list(self._cut(_ends(row[order], self.size), column[order], at[order]))
            for row, column, order in ((word, context, by_word), (context, word, by_context))
        )

    def _cut(self, ends: np.ndarray, columns: np.ndarray, at: np.ndarray) -> "Iterator[Rows]":
        """Rows with about as many entries for each thread; none where there are no entries."""
        even = np.linspace(0, len(at), self.tiling.threads + 1)
        cuts = np.searchsorted(ends, even).tolist()
        for start, stop in pairwise([0, *cuts[1:-1], self.size]):
            first, last = ends[start], ends[stop]
            if first < last:
                own = ends[start : stop + 1] - first, columns[first:last], at[first:last]
                yield Rows(slice(start, stop), *(torch.from_numpy(part).to(self.device) for part in own))

    def each(self, work: Callable[[slice], object]) -> None:
        """Call ``work`` with a part of the values in each thread."""
        ends = np.linspace(0, len(self.tiling), self.tiling.threads + 1).astype(int).tolist()
        each_in_a_thread(work, [slice(start, stop) for start, stop in pairwise(ends)])

    def dots(self, u: Tensor, c: Tensor) -> Tensor:
        """u_w . c_c at every pair, (o,), for u and c (V, e)."""
        out = u.new_zeros(len(self.tiling))

        def sparse(part: Rows) -> None:
            pattern = part.matrix(u.new_zeros(len(part.at)), self.size)
            out[part.at] = torch.sparse.sampled_addmm(pattern, u[part.rows], c.T).values()

        def dense(tiles: list[Tile]) -> None:
            for tile in tiles:
                plane = self.product(u[tile.rows], c[tile.columns]).view(-1)
                torch.index_select(plane, 0, tile.local, out=out[tile.pairs])

        with one_core():
            each_in_a_thread(sparse, self._sides[0])
            each_in_a_thread(dense, self.tiling.shares(self.dense))
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

        def sparse(part: Rows, out: Tensor, other: Tensor) -> None:
            out[part.rows] += torch.mm(part.matrix(values.index_select(0, part.at), self.size), other)

        with one_core():
            both = self.tiling.own_sums(u.shape[1], self._ones, self._ones, add, self.dense)
            for out, side, other in zip(both, self._sides, (c, u), strict=True):
                each_in_a_thread(partial(sparse, out=out, other=other), side)
        return both[0], both[1]


@dataclass(frozen=True, eq=False)
class Rows:
    """Entries of a sparse matrix in some of its rows: where each row ends, their columns, their places among values."""

    rows: slice
    ends: Tensor
    columns: Tensor
    at: Tensor

    def matrix(self, values: Tensor, size: int) -> Tensor:
        """These rows of ``size`` columns with values."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse")
            shape = (self.rows.stop - self.rows.start, size)
            return torch.sparse_csr_tensor(self.ends, self.columns, values, shape, check_invariants=False)


def _is_dense(tile: Tile) -> bool:
    return len(tile.local) > DENSE * math.prod(tile.shape)


def _words(tile: Tile) -> np.ndarray:
    """Word and context of every pair of a tile, (2, n) int32."""
    rows, columns = np.divmod(tile.local.cpu().numpy(), np.int32(tile.shape[1]))
    return np.stack([rows + np.int32(tile.rows.start), columns + np.int32(tile.columns.start)])


def _ends(rows: np.ndarray, size: int) -> np.ndarray:
    """Where each of ``size`` rows starts and ends, (size + 1,) int32."""
    return np.concatenate([[0], np.bincount(rows, minlength=size).cumsum()]).astype(np.int32)
