"""Matrix products and the shape of tiles, chosen by a short measurement on the machine that computes.

Which product is faster, whether the sigmoid is best made inside of it, and which tile stays in cache differ between
processors (docs/performance.md). The choice changes sums by rounding only; a run keeps the one that it began with.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import UserError, refusing
from crossloss.models.skipgram.tiles import Tile, Tiling, observe, strips
from crossloss.models.threads import one_core
from crossloss.utils import distributed, files

CACHE = "CROSSLOSS_CACHE"
"""Environment variable: folder for what this machine was measured to do best; by default where caches are."""
TILE_CPU, TILE_GPU = (768, 1024), (4096, 8192)
"""Words x contexts of a tile where nothing was measured: in a CPU's cache, and what fills a GPU."""
SHAPES = (TILE_CPU, (512, 1024), (512, 512), (384, 768), (256, 512), (256, 256))
SMALLEST = 2000
"""Words below which a pass takes milliseconds and nothing is measured."""
ROUNDS = 2
SPARSITY = 50
"""Pairs of a word and a context to one that is observed, in what is timed."""
Product = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Products:
    """Products of x (m, d) and y (n, d): x y^T and s(x y^T), each (m, n), and ``add``, which adds x y^T to an array."""

    plain: Product
    sigmoid: Product
    add: Callable[[Tensor, Tensor, Tensor], object]


@dataclass(frozen=True)
class Kernels:
    """What the passes are made of: ``product`` is "oneDNN", the sigmoid inside of it, or "torch", which adds in place.

    Where oneDNN's is not offered it is torch's too. ``tile`` is words x contexts at most.
    """

    product: str
    tile: tuple[int, int]

    def stored(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return {"product": self.product, "tile": list(self.tile)}

    @classmethod
    def known(cls, stored: Mapping[str, Any]) -> "Kernels":
        """Inverse of ``stored``; what is none is refused."""
        with refusing((KeyError, TypeError, ValueError), "The manifest's kernels are damaged", "start the run anew"):
            height, width = map(int, stored["tile"])
            return cls(str(stored["product"]), (height, width))

    def products(self, dtype: torch.dtype, device: torch.device) -> Products:
        """The products for a dtype and device: torch's own where there are no others."""
        linear = _onednn(dtype, device)
        if linear is None or self.product != "oneDNN":
            return Products(
                lambda x, y: x @ y.T, lambda x, y: (x @ y.T).sigmoid_(), lambda out, x, y: out.addmm_(x, y.T)
            )
        return Products(
            lambda x, y: linear(x, y, None, "none", [], ""),
            lambda x, y: linear(x, y, None, "sigmoid", [], ""),
            lambda out, x, y: out.add_(linear(x, y, None, "none", [], "")),
        )


def _onednn(dtype: torch.dtype, device: torch.device) -> Any:
    """OneDNN's product with a function of it, for float32 on a CPU where torch offers it; else None."""
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return linear if dtype == torch.float32 and device.type == "cpu" else None


def kernels(words: int, dimension: int, dtype: torch.dtype, device: torch.device) -> Kernels:
    """The kernels for so many words and dimensions: measured once for a machine, and remembered in its cache.

    Of several processes all take what the first one has.
    """
    if words < SMALLEST or _onednn(dtype, device) is None:
        return unmeasured(device)
    choices = [Kernels(product, tile) for product in ("oneDNN", "torch") for tile in SHAPES]
    number = choices.index(_remembered(dimension, torch.get_num_threads())) if distributed.first() else 0
    return choices[int(distributed.add_(torch.tensor([float(number)]))[0])]


def unmeasured(device: torch.device) -> Kernels:
    """The kernels where nothing is measured."""
    return Kernels("oneDNN", TILE_CPU if device.type == "cpu" else TILE_GPU)


@cache
def _remembered(dimension: int, threads: int) -> Kernels:
    """The best kernels of this machine and so many threads, from its cache or measured now."""
    file, key = cache_folder() / "kernels.json", f"{_machine()}, d {dimension}, {threads} threads"
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError, UserError):  # a cache that cannot be read is none
        known = dict(json.loads(file.read_text("utf-8")))
        stored = Kernels.known(known[key]) if key in known else None
        if stored and stored.tile in SHAPES and stored.product in ("oneDNN", "torch"):
            return stored
    best = measured(dimension)
    with suppress(OSError, UserError):  # nor one that cannot be written
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_alone(file, lambda aside: aside.write_text(json.dumps(known | {key: best.stored()}, indent=1)))
    return best


def cache_folder() -> Path:
    """Where this machine's measurements are."""
    if given := os.environ.get(CACHE):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "crossloss"


def _machine() -> str:
    """What the measurement depends on."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
        names = {key.strip(): value.strip() for key, value in fields.items()}
        name = " ".join(names.get(key, "") for key in ("model name", "cpu family", "model", "stepping", "cache size"))
    return f"{name}, torch {torch.__version__}"


def measured(dimension: int) -> Kernels:
    """The kernels whose gradient and pullback of a small plane take the least time, by as many threads as torch has.

    Threads meet between a tile's operations (Python's lock), so that more of them prefer larger tiles.
    """
    dtype, device = torch.float32, torch.device("cpu")
    choices = [Kernels(product, tile) for product in ("oneDNN", "torch") for tile in SHAPES]
    works = [_work(choice.products(dtype, device), choice.tile, dimension) for choice in choices]
    least = dict.fromkeys(choices, float("inf"))
    with one_core():
        for _ in range(ROUNDS):  # in turn, so that a disturbance meets all of them
            for choice, work in zip(choices, works, strict=True):
                start = time.perf_counter()
                work()
                least[choice] = min(least[choice], time.perf_counter() - start)
    return min(choices, key=lambda choice: least[choice])


def _work(products: Products, tile: tuple[int, int], dimension: int) -> Callable[[], None]:
    """What a gradient and a pullback of one direction do over ``SMALLEST`` words, one pair observed in ``SPARSITY``."""
    tiling = Tiling(np.zeros((0, 2), np.int32), SMALLEST, largest=tile)
    x, both = torch.full((SMALLEST, dimension), 0.1), torch.full((SMALLEST, 2 * dimension), 0.1)
    strips_u, strips_c = strips(x, tiling.rows), strips(x, tiling.columns)
    ones = torch.ones(SMALLEST)
    local = torch.arange(0, tiling.shape[0] * tiling.shape[1], SPARSITY)

    def add(tile: Tile, out_u: Tensor, out_c: Tensor, pullback: bool) -> None:
        sigma = products.sigmoid(x[tile.rows], x[tile.columns])
        mine = local[: -(-sigma.numel() // SPARSITY)]
        at, missed = observe(sigma.view(-1), mine, torch.zeros(len(mine)))
        products.add(out_u, strips_c[tile.column], sigma)
        products.add(out_c, strips_u[tile.row], sigma.T)
        if pullback:
            ds = products.plain(both[tile.rows], both[tile.columns])
            missed.mul_(ds.view(-1).index_select(0, mine))
            ds.mul_(sigma)
            ds.mv(ones[tile.columns])
            ds.addcmul_(ds, sigma, value=-1).view(-1).scatter_(0, mine, at)
            products.add(out_u, strips_c[tile.column], ds)
            products.add(out_c, strips_u[tile.row], ds.T)

    def work() -> None:
        for pullback in (False, True):
            tiling.sums(dimension, ones, ones, partial(add, pullback=pullback))

    return work
