"""The word x context plane cut into tiles, with the observed pairs sorted by tile once.

A tile is small enough to stay in cache, so that no V x V matrix ever exists. Pairs are counted unordered (a
pair stands for both orders); a tile needs them ordered, as (word, context) positions inside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

TILE_ROWS, TILE_COLUMNS = 512, 1024


@dataclass(frozen=True)
class Tile:
    """One tile: words ``rows`` x contexts ``columns``, with its observed pairs.

    ``pairs`` is the slice of the ordered pairs that lie in it, ``local`` their flat positions in the tile.
    """

    rows: slice
    columns: slice
    pairs: slice
    local: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Number of words and of contexts."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


class Tiling:
    """Ordered pairs of a vocabulary of ``size`` words, sorted by tile, then row, then column.

    Parameters
    ----------
    pairs : (m, 2) int array
        Unordered pairs a <= b, unique.
    size : int
        Number of words V.
    shape : (int, int)
        Rows and columns of a tile.
    device : torch.device

    Attributes
    ----------
    source : (o,) int32 tensor
        For each ordered pair, the unordered pair it came from; m <= o <= 2 m.
    """

    def __init__(
        self,
        pairs: np.ndarray,
        size: int,
        *,
        shape: tuple[int, int] = (TILE_ROWS, TILE_COLUMNS),
        device: torch.device | str = "cpu",
    ) -> None:
        height, width = min(shape[0], size), min(shape[1], size)
        first, second = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
        twice = np.flatnonzero(first != second)
        row = np.concatenate([first, second[twice]])
        column = np.concatenate([second, first[twice]])
        across = -(-size // width)
        tile = (row // height) * across + column // width
        local = (row % height) * np.minimum(width, size - (column // width) * width) + column % width
        order = np.argsort(tile * (height * width) + local, kind="stable")
        ends = np.cumsum(np.bincount(tile, minlength=across * -(-size // height)))
        source = np.concatenate([np.arange(len(pairs)), twice])[order].astype(np.int32)
        self.source = torch.from_numpy(source).to(device)
        self.unordered = len(pairs)
        positions = torch.from_numpy(local[order].astype(np.int32)).to(device)
        self.tiles: list[Tile] = []
        start = 0
        for number, end in enumerate(ends.tolist()):
            top, left = (number // across) * height, (number % across) * width
            rows, columns = slice(top, min(top + height, size)), slice(left, min(left + width, size))
            self.tiles.append(Tile(rows, columns, slice(start, end), positions[start:end]))
            start = end
        self.shape = (height, width)

    def __iter__(self) -> Iterator[Tile]:
        return iter(self.tiles)

    def __len__(self) -> int:
        """Number of ordered pairs."""
        return len(self.source)

    def fold(self, ordered: Tensor) -> Tensor:
        """Sum (k, o) over the two orders of each pair: (k, m)."""
        folded = ordered.new_zeros(ordered.shape[0], self.unordered)
        return folded.index_add_(1, self.source, ordered)
