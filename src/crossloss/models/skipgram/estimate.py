"""Time and memory of a run, before it starts.

The constants are measured, or counted from what the code holds at its fullest (docs/performance.md).
"""

import time
from dataclasses import dataclass

import torch

from crossloss.core import UserError
from crossloss.models.skipgram.control import DEGREES, ROWS
from crossloss.models.skipgram.kernels import kernels
from crossloss.models.skipgram.settings import Settings
from crossloss.models.threads import one_core
from crossloss.text.pairs import estimate_pairs
from crossloss.text.read import Corpus
from crossloss.text.vocabulary import Vocabulary
from crossloss.utils import distributed
from crossloss.utils.display import duration
from crossloss.utils.memory import Footprint

SECONDS_PER_PAIR = 1.3e-9
"""Of each thing done at an observed pair."""
SECONDS_PER_SPARSE_PRODUCT = 1.7e-10
"""The same for a sparse product, for each pair and dimension on one thread, where negatives are drawn."""
SPARSE_PRODUCTS = (3.5, 4, 5)
"""Of a gradient, and of a pullback whatever the objectives and for each: with what else is done at the pairs."""
INTERPRETER = 450_000_000
"""Bytes of Python with torch, and gensim and matplotlib where they are used."""
SAMPLE, TOKEN, ELEMENT, PAIR, ORDERED_PAIR = 600, 16, 14, 24, 12
MAPPED_SAMPLE = 50
"""Bytes of a sample whose text and words stay in a file: its weights."""
DRAWN_PAIR = 48
"""More bytes of an ordered pair where negatives are drawn: the sparse matrix and what a pass has of it."""
CONTROL_FLOPS = {"none": (0, 0), "linear": (40, 260), "quadratic": (13, 66)}
"""Of a gradient and of a pullback's direction, in V d^2, of degree two in V d^3, at the speed of the products."""
CONTROL_BLOCKS = 10
"""Arrays of ``control.ROWS`` rows of d (d + 1) / 2 products, or of the third moment, at the fullest of degree two."""


@dataclass(frozen=True)
class Estimate:
    """Predicted seconds of training and of one backward pass, and bytes of the process at its peak."""

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


def estimate(
    settings: Settings,
    corpus: Corpus,
    vocabulary: Vocabulary,
    *,
    steps: int,
    objectives: int,
    memory: int,
    pairs: int | None = None,
) -> Estimate:
    """Cost of a run in a folder within ``memory`` bytes, before its pairs are counted (so from above).

    ``pairs`` is how many there are, about; found out where None, which reads the corpus once.

    Raises
    ------
    UserError
        The budget is too small.
    """
    words, k = len(vocabulary.words), max(objectives, 1)
    if pairs is None:
        _, pairs = estimate_pairs(corpus, vocabulary, settings.window)
    gradient, pullback, each = _seconds(settings, words, pairs)
    needed = footprint(settings, corpus, words=words, pairs=pairs, elements=0)
    passes = -(-k // needed.at_once(k, steps, memory))
    return Estimate(
        train_seconds=steps * gradient,
        score_seconds=steps * (passes * (gradient + pullback) + k * each),
        memory_bytes=needed.peak(k, steps, memory),
    )


def footprint(settings: Settings, corpus: Corpus, *, words: int, pairs: int, elements: int) -> Footprint:
    """Memory of a run, of one process where there are several; ``elements`` of the counts are held, not mapped."""
    ordered = 2 * pairs // distributed.count()
    width = settings.torch_dtype.itemsize
    theta = 2 * words * settings.dimension * width
    drawn = settings.drawn(words)
    each = ORDERED_PAIR + DRAWN_PAIR * bool(drawn)
    text = len(corpus) * SAMPLE + len(corpus.tokens) * TOKEN if corpus.file is None else len(corpus) * MAPPED_SAMPLE
    data = text + elements * ELEMENT + pairs * PAIR + ordered * each
    control = 0
    if drawn and settings.negative_control == "quadratic":
        third = settings.dimension * (settings.dimension + 1) // 2 * width
        control = CONTROL_BLOCKS * third * max(ROWS, settings.dimension)
    return Footprint(
        fixed=INTERPRETER + data + 6 * theta + control,
        # Its sums, the larger of what a pass and what the result needs beside them, and the scores.
        direction=ordered * width + max(ordered * width + 10 * theta, 20 * pairs) + 8 * pairs + 32 * len(corpus),
        state=2 * theta,
        replayed=theta,
        theta=theta,
    )


def _seconds(settings: Settings, words: int, pairs: int) -> tuple[float, float, float]:
    """Of a gradient, and of a pullback: what it costs whatever the objectives, and for each of them."""
    speed, ordered = _tile_speed(settings, words) * distributed.count(), 2 * pairs / distributed.count()
    if drawn := settings.drawn(words):
        product = words * min(drawn, words) * settings.dimension / speed
        sparse = ordered * settings.dimension * SECONDS_PER_SPARSE_PRODUCT
        if settings.device == "cpu":
            sparse /= torch.get_num_threads()
        control = words * settings.dimension ** (1 + DEGREES[settings.negative_control]) / speed
        forward, back = (flops * control for flops in CONTROL_FLOPS[settings.negative_control])
        gradient, pullback, each = (number * sparse for number in SPARSE_PRODUCTS)
        return 8 * product + gradient + forward, pullback, 20 * product + each + back
    product, pair = words**2 * settings.dimension / speed, ordered * SECONDS_PER_PAIR
    return 6 * product + pair, 2 * product + pair, 12 * product + pair


def _tile_speed(settings: Settings, words: int, seconds: float = 0.2) -> float:
    """Flops per second of the three products of a gradient on one tile, measured now: a thread's, times the threads."""
    device, dtype, dimension = torch.device(settings.device), settings.torch_dtype, settings.dimension
    chosen = kernels(words, dimension, dtype, device)
    products, (height, width) = chosen.products(dtype, device), chosen.tile
    u, c = (torch.ones(size, dimension, dtype=dtype, device=device) for size in (height, width))
    ut, ct = u.T.contiguous(), c.T.contiguous()
    out_u, out_c = torch.zeros_like(ut), torch.zeros_like(ct)
    best, spent, threads = 0.0, 0.0, torch.get_num_threads() if device.type == "cpu" else 1
    with one_core():
        while spent < seconds:
            start = time.perf_counter()
            s = products.sigmoid(u, c)
            products.add(out_u, ct, s)
            products.add(out_c, ut, s.T)
            float(out_u[0, 0] + out_c[0, 0])
            took = time.perf_counter() - start
            best, spent = max(best, 6 * height * width * dimension / took), spent + took
    return threads * best


def check_memory(needed: int, available: int) -> None:
    """Refuse a run that needs more bytes than this machine has free."""
    if needed > available:
        raise UserError(
            f"This run needs about {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free: "
            "lower --max-words, --dimension or --window, or raise --min-count."
        )
