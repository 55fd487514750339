"""Random projections of gradients, block by block, and where the projected gradients of samples are kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Block, Cache, Factors, Progress, SampleGradients, UserError
from crossloss.utils.memory import available_memory

SEGMENT = 32_000_000
"""Bytes of the features in one file."""


class Projection:
    """Each block G (rows, columns) of a gradient to left^T G right, all of them end to end, K numbers at most.

    left and right are signs over a root, drawn from (seed, block), so that inner products are right in the mean; the
    identity where nothing has to be left out (Park et al. 2023, "TRAK"; two-sided as in Choe et al. 2024, "LoGra"). No
    matrix of parameters times features is made: the two have rows x i and columns x j numbers.
    """

    def __init__(self, blocks: Sequence[Block], features: int, seed: int, like: Tensor) -> None:
        self._sides: list[tuple[Tensor | None, Tensor | None]] = []
        self.blocks, self.size = blocks, 0
        for number, (block, share) in enumerate(zip(blocks, _shares(blocks, features), strict=True)):
            j = min(block.columns, max(1, int(share**0.5)))
            i = min(block.rows, max(1, share // j))
            j = min(block.columns, max(1, share // i))
            draw = torch.Generator().manual_seed(seed * 1_000_003 + number)
            self._sides.append((_signs(block.rows, i, draw, like), _signs(block.columns, j, draw, like)))
            self.size += i * j

    def factors(self, of: Sequence[Factors]) -> Tensor:
        """Features (b, K) of the gradients of b samples."""
        return torch.cat([f.projected(*sides).flatten(1) for f, sides in zip(of, self._sides, strict=True)], 1)

    def dense(self, number: int, gradients: Tensor) -> Tensor:
        """Features (b, i j) of one block's gradients (b, rows, columns)."""
        left, right = self._sides[number]
        gradients = gradients if left is None else left.T @ gradients
        return (gradients if right is None else gradients @ right).flatten(1)

    def directions(self, a: Tensor) -> Tensor:
        """Features (k, K) of the rows of ``a`` (k, p)."""
        return torch.cat([self.dense(i, of_block(a, block)) for i, block in enumerate(self.blocks)], 1)


def of_block(a: Tensor, block: Block) -> Tensor:
    """A block's part of the rows of ``a`` (k, p), (k, rows, columns)."""
    return a[:, block.start : block.stop].reshape(len(a), block.rows, block.columns)


def _shares(blocks: Sequence[Block], features: int) -> list[int]:
    """Features of each block, the same for all; small blocks leave theirs to the larger ones."""
    shares, left = [0] * len(blocks), features
    order = sorted(range(len(blocks)), key=lambda i: blocks[i].stop - blocks[i].start)
    for done, i in enumerate(order):
        shares[i] = min(blocks[i].stop - blocks[i].start, max(1, left // (len(blocks) - done)))
        left -= shares[i]
    return shares


def _signs(size: int, kept: int, draw: torch.Generator, like: Tensor) -> Tensor | None:
    if kept == size:
        return None
    signs: Tensor = torch.randint(2, (size, kept), generator=draw).to(like).mul_(2).sub_(1)
    return signs.div_(kept**0.5)


Make = Callable[[int], tuple[Tensor, Mapping[str, Tensor]]]
"""Number of a part -> its samples (b,), and arrays with a row for each of them."""


class Index:
    """Features of all samples at one state of a run, in files of the run folder: made once, for any objectives.

    Each file is complete or absent, so that a stopped pass goes on; in memory where the run is.
    """

    def __init__(
        self, cache: Cache, key: Mapping[str, Any], gradients: SampleGradients, make: Make, size: int, like: Tensor
    ) -> None:
        self._make, self._like = make, like
        limit = max(1, SEGMENT // (size * like.element_size()))
        self._groups: list[list[int]] = [[]]
        rows = 0
        for number, count in enumerate(gradients.parts):
            if rows and rows + count > limit:
                self._groups.append([])
                rows = 0
            self._groups[-1].append(number)
            rows += count
        name = f"features-{key['estimator']}"
        self._entries = [
            cache.entry(name, key, segment, limit, list(gradients.parts), suffix=".safetensors")
            for segment in range(len(self._groups))
        ]

    def segments(self, progress: Progress) -> Iterator[dict[str, Tensor]]:
        """Arrays of each file, "rows" among them; made where they are not there."""
        done, total = 0, sum(map(len, self._groups))
        for entry, group in zip(self._entries, self._groups, strict=True):
            saved: Mapping[str, np.ndarray] | None = entry.load()
            if saved is None:
                made = []
                for number in group:
                    made.append(self._make(number))
                    done += 1
                    progress(done, total)
                arrays = {name: torch.cat([of[name] for _, of in made]).cpu().numpy() for name in made[0][1]}
                saved = {"rows": torch.cat([rows for rows, _ in made]).cpu().numpy()} | arrays
                entry.save(saved)
            else:
                done += len(group)
                progress(done, total)
            yield {name: torch.from_numpy(np.asarray(array)).to(self._like.device) for name, array in saved.items()}


class MemoryCache:
    """A ``core.Cache`` in the memory of one pass."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def entry(self, name: str, *key: Any, suffix: str = "") -> "MemoryCacheEntry":
        """The place of what a name and plain values identify."""
        return MemoryCacheEntry(self._values, f"{name} {key}")


class MemoryCacheEntry:
    """One place of ``MemoryCache``."""

    def __init__(self, values: dict[str, Any], name: str) -> None:
        self._values, self._name = values, name

    def load(self) -> Any | None:
        """What was saved, or None."""
        return self._values.get(self._name)

    def save(self, value: Any) -> None:
        """Save it."""
        self._values[self._name] = value


def shifted(progress: Progress, begun: int, of: int, done: int, total: int) -> None:
    """Show what a part of some work has done as a share of the whole."""
    progress(begun + done, of)


def require_memory(size: int, what: str) -> None:
    """Refuse, before the work, what does not fit into memory."""
    free = available_memory()
    if size > free:
        raise UserError(f"{what} needs {size / 1e9:.3g} GB and {free / 1e9:.3g} GB are free: give fewer features=.")


def require_whole(name: str, **numbers: int) -> None:
    """Refuse settings that are no whole numbers of 1 or more."""
    for setting, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UserError(f"{name} takes {setting} of 1 or more, and whole, not {number!r}.")
