"""Time and memory of a run, before it starts."""

import time
from dataclasses import dataclass

import torch

from crossloss import distributed
from crossloss.core import UserError
from crossloss.display import duration
from crossloss.models.skipgram.footprint import footprint
from crossloss.models.skipgram.products import products
from crossloss.models.skipgram.settings import Settings
from crossloss.models.skipgram.tiles import TILE_CPU, TILE_GPU
from crossloss.models.threads import one_core
from crossloss.text.pairs import estimate_pairs
from crossloss.text.read import Corpus
from crossloss.text.vocabulary import Vocabulary

SECONDS_PER_PAIR = 1.3e-9
"""Measured time for each thing done at an observed pair (docs/performance.md)."""
SECONDS_PER_SPARSE_PRODUCT = 1e-10
"""The same for a sparse product, for each pair and dimension on one thread, where negatives are drawn."""


@dataclass(frozen=True)
class Estimate:
    """Predicted cost of training and of one backward pass.

    Attributes
    ----------
    train_seconds, score_seconds : float
    memory_bytes : int
        Peak of the process.
    """

    train_seconds: float
    score_seconds: float
    memory_bytes: int

    def summary(self, available: int, *, trainings: float = 0, scorings: float = 0) -> list[str]:
        """Write what a run takes, beside the bytes available; and what so many trainings and scorings take in all."""
        each = duration(self.train_seconds)
        lines = [
            f"Estimate: training {each}, scoring {duration(self.score_seconds)}, each retraining {each}; memory "
            f"{self.memory_bytes / 1e9:.1f} GB of {available / 1e9:.1f} GB free."
        ]
        if trainings:
            total = duration(trainings * self.train_seconds + scorings * self.score_seconds)
            lines.append(
                f"In all: about {trainings:.0f} trainings and {scorings:.0f} scorings, {total} or somewhat more."
            )
        return lines


def tile_speed(dimension: int, dtype: torch.dtype, device: torch.device, seconds: float = 0.2) -> float:
    """Flops per second of the three products of a gradient on one tile, measured now: a thread's, times the threads."""
    product, sigmoid = products(dtype, device)
    height, width = TILE_CPU if device.type == "cpu" else TILE_GPU
    u, c = (
        torch.ones(height, dimension, dtype=dtype, device=device),
        torch.ones(width, dimension, dtype=dtype, device=device),
    )
    ut, ct = u.T.contiguous(), c.T.contiguous()
    best, spent, threads = 0.0, 0.0, torch.get_num_threads() if device.type == "cpu" else 1
    with one_core():
        while spent < seconds:
            start = time.perf_counter()
            s = sigmoid(u, c)
            float(product(ct, s)[0, 0] + product(ut, s.T)[0, 0])
            took = time.perf_counter() - start
            best, spent = max(best, 6 * height * width * dimension / took), spent + took
    return threads * best


def estimate(
    settings: Settings, corpus: Corpus, vocabulary: Vocabulary, *, steps: int, objectives: int, memory: int
) -> Estimate:
    """Cost of a run in a folder, before its pairs are counted (so from above).

    Parameters
    ----------
    steps, objectives : int
        Training steps, and k.
    memory : int
        Budget of the run, in bytes.

    Raises
    ------
    UserError
        The budget is too small.
    """
    _, pairs = estimate_pairs(corpus, vocabulary, settings.window)
    words = len(vocabulary.words)
    speed = tile_speed(settings.dimension, settings.torch_dtype, torch.device(settings.device))
    speed *= distributed.count()
    k = max(objectives, 1)
    gradient, pullback, each = _seconds(settings, words, 2 * pairs / distributed.count(), speed)
    wanted = footprint(
        samples=len(corpus), tokens=len(corpus.tokens), elements=0, pairs=pairs,
        parameters=2 * words * settings.dimension, width=8 if settings.dtype == "float64" else 4,
        drawn=bool(settings.negative_columns),
    )  # fmt: skip
    passes = -(-k // wanted.at_once(k, steps, memory))
    return Estimate(
        train_seconds=steps * gradient,
        score_seconds=steps * (passes * (gradient + pullback) + k * each),
        memory_bytes=wanted.peak(k, steps, memory),
    )


def _seconds(settings: Settings, words: int, ordered: float, speed: float) -> tuple[float, float, float]:
    """Of a gradient, and of a pullback: what it costs whatever the objectives, and for each of them."""
    if settings.negative_columns:
        product = words * min(settings.negative_columns, words) * settings.dimension / speed
        sparse = ordered * settings.dimension * SECONDS_PER_SPARSE_PRODUCT
        if settings.device == "cpu":
            sparse /= torch.get_num_threads()
        return 8 * product + 3 * sparse, sparse, 20 * product + 6 * sparse
    product, pair = words**2 * settings.dimension / speed, ordered * SECONDS_PER_PAIR
    return 6 * product + pair, 2 * product + pair, 12 * product + pair


def check_memory(needed: int, available: int) -> None:
    """Refuse a run that does not fit.

    Raises
    ------
    UserError
        More is needed than this machine has free.
    """
    if needed > available:
        raise UserError(
            f"This run needs about {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free: "
            "lower --max-words, --dimension or --window, or raise --min-count."
        )
