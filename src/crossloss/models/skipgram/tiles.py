"""The word x context plane cut into tiles, with the observed pairs sorted by tile once.

Of several processes each takes its own strips of words, dealt in turn, since frequent words have more pairs.

A tile is small enough to stay in cache, so that no V x V matrix ever exists. Pairs are counted unordered (a
pair stands for both orders); a tile needs them ordered, as (word, context) positions inside it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crossloss.models.threads import each_in_a_thread
from crossloss.utils import distributed

ALIGNED = 16
"""Elements that a side of a tile is a multiple of: a row then begins where vector instructions like it to."""


@dataclass(frozen=True)
class Tile:
    """Words ``rows`` x contexts ``columns``, strips number ``row`` and ``column``.

    ``pairs`` is the slice of the ordered pairs that lie in it, ``local`` their flat positions in the tile (int32).
    """

    row: int
    column: int
    rows: slice
    columns: slice
    pairs: slice
    local: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Words and contexts, numbers of them."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


class Tiling:
    """Ordered pairs of a vocabulary of ``size`` words, sorted by tile, then row, then column.

    ``pairs`` are (m, 2), unordered a <= b, unique. ``largest`` is what a tile may be, whose ``shape`` is evened out
    unless ``exactly`` that is asked for.
    ``rows`` and ``columns`` are the strips of all words and contexts, ``tiles`` those of this process, ``source`` (o,)
    int32 the unordered pair that each ordered pair of them came from, ``threads`` torch's when this was made.
    """

    def __init__(
        self,
        pairs: np.ndarray,
        size: int,
        *,
        largest: tuple[int, int],
        exactly: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        on_cpu = torch.device(device).type == "cpu"
        self.threads = torch.get_num_threads() if on_cpu else 1
        shape = largest if exactly else _evened(size, largest, self.threads * distributed.count())
        height, width = self.shape = min(shape[0], size), min(shape[1], size)
        # In int32, and dropped as soon as it may be: this is where a run is at its fullest.
        first, second = pairs[:, 0].astype(np.int32), pairs[:, 1].astype(np.int32)
        twice = np.flatnonzero(first != second).astype(np.int32)
        row = np.concatenate([first, second[twice]])
        column = np.concatenate([second, first[twice]])
        del first, second
        source = np.concatenate([np.arange(len(pairs), dtype=np.int32), twice])
        if distributed.count() > 1:
            mine = (row // height) % distributed.count() == distributed.rank()
            row, column, source = row[mine], column[mine], source[mine]
        across = -(-size // width)
        tile = (row // height) * np.int32(across) + column // width
        local = (row % height) * np.minimum(width, size - (column // width) * width) + column % width
        del row, column
        ends = np.cumsum(np.bincount(tile, minlength=across * -(-size // height)))
        key = tile.astype(np.int64)
        key *= height * width
        key += local
        del tile
        order = np.argsort(key, kind="stable")
        del key
        self.source = torch.from_numpy(source[order]).to(device)
        self.unordered = len(pairs)
        positions = torch.from_numpy(local[order]).to(device)
        self.rows = [slice(i, min(i + height, size)) for i in range(0, size, height)]
        self.columns = [slice(i, min(i + width, size)) for i in range(0, size, width)]
        self.tiles: list[Tile] = []
        start = 0
        for number, end in enumerate(ends.tolist()):
            i, j = divmod(number, across)
            if i % distributed.count() == distributed.rank():
                self.tiles.append(Tile(i, j, self.rows[i], self.columns[j], slice(start, end), positions[start:end]))
            start = end

    def shares(self, tiles: list[Tile]) -> list[list[Tile]]:
        """Of some tiles those of each thread: whole strips of words, dealt in turn."""
        strips = {tile.row for tile in tiles}
        dealt: list[list[Tile]] = [[] for _ in range(max(1, min(self.threads, len(strips))))]
        for tile in tiles:
            dealt[tile.row // distributed.count() % len(dealt)].append(tile)
        return dealt

    def __iter__(self) -> Iterator[Tile]:
        return iter(self.tiles)

    def __len__(self) -> int:
        """Number of ordered pairs of this process."""
        return len(self.source)

    def fold(self, ordered: Tensor) -> Tensor:
        """Sum (o,) over the two orders of each pair, as far as they are this process's: (m,)."""
        return ordered.new_zeros(self.unordered).index_add_(0, self.source, ordered)

    def sums(self, width: int, rows: Tensor, columns: Tensor, add: Callable[[Tile, Tensor, Tensor], None]) -> Tensor:
        """Sums (2, V, ``width``) over all tiles by word and by context, times ``rows`` and ``columns`` (V,).

        ``add`` adds the part of a tile to strips (width, length) of its words and contexts. Each thread has its own
        words, and its own part of every context.
        """
        return distributed.add_(self.own_sums(width, rows, columns, add, self.tiles))

    def own_sums(
        self, width: int, rows: Tensor, columns: Tensor, add: Callable[[Tile, Tensor, Tensor], None], tiles: list[Tile]
    ) -> Tensor:
        """The same over some of this process's ``tiles``."""
        shares = self.shares(tiles)
        by_word = [rows.new_zeros(width, strip.stop - strip.start) for strip in self.rows]
        parts = [[rows.new_zeros(width, strip.stop - strip.start) for strip in self.columns] for _ in shares]

        def work(share: int) -> None:
            for tile in shares[share]:
                add(tile, by_word[tile.row], parts[share][tile.column])

        each_in_a_thread(work, range(len(shares)))
        by_context = [torch.stack(part).sum(0) if len(part) > 1 else part[0] for part in zip(*parts, strict=True)]
        both = ((by_word, rows), (by_context, columns))
        return torch.stack([torch.cat(strip, dim=1).T * scale[:, None] for strip, scale in both])


def _evened(size: int, largest: tuple[int, int], threads: int) -> tuple[int, int]:
    """Shape of equal tiles no larger than ``largest``, with as many strips of words for each thread."""
    strips = threads * math.ceil(size / (threads * largest[0]))
    height, width = math.ceil(size / strips), math.ceil(size / math.ceil(size / largest[1]))
    return _aligned(height, largest[0]), _aligned(width, largest[1])


def _aligned(side: int, largest: int) -> int:
    """A multiple of ``ALIGNED``, where that adds little to a side."""
    return min(-(-side // ALIGNED) * ALIGNED, largest) if side >= ALIGNED**2 else side


def cut(matrix: Tensor, parts: list[slice]) -> list[Tensor]:
    """The matrix (V, m) in strips (length, m): views, made before threads that would wait for each other meanwhile."""
    return [matrix[part] for part in parts]


def strips(matrix: Tensor, parts: list[slice]) -> list[Tensor]:
    """The transposed matrix (V, m) in strips (m, length), each contiguous."""
    return [matrix[part].T.contiguous() for part in parts]


def observe(sigma: Tensor, local: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Make rho = s + x (s - 1) of s at the observed pairs of a tile, in place; returns s and s - 1 there."""
    at = sigma.index_select(0, local)
    missed = at - 1
    sigma.scatter_(0, local, torch.addcmul(at, x, missed))
    return at, missed
