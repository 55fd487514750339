"""Time and memory of a run, before it starts."""

import math
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from crossloss.core import UserError
from crossloss.corpus.pairs import estimate_pairs
from crossloss.corpus.read import Corpus
from crossloss.corpus.vocabulary import Vocabulary
from crossloss.run.settings import Settings
from crossloss.run.training import spacing

OVERHEAD = 1.7
"""Measured time of a pass over its flops at matrix-product speed (docs/performance.md)."""
INTERPRETER_BYTES = 450_000_000


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


def matmul_speed(device: str = "cpu", seconds: float = 0.2) -> float:
    """Float32 flops per second of a large matrix product, measured now."""
    a = torch.ones(1536, 1536, device=device)
    a @ a
    best, spent = 0.0, 0.0
    while spent < seconds:
        start = time.perf_counter()
        float((a @ a)[0, 0])
        took = time.perf_counter() - start
        best, spent = max(best, 2 * 1536**3 / took), spent + took
    return best


def estimate(settings: Settings, corpus: Corpus, vocabulary: Vocabulary, *, objectives: int, memory: int) -> Estimate:
    """Cost of a run, before its pairs are counted (so from above).

    Parameters
    ----------
    objectives : int
        k.
    memory : int
        Budget for the stored states, in bytes.

    Raises
    ------
    UserError
        The budget is too small for any spacing of the states.
    """
    entries, pairs = estimate_pairs(corpus, vocabulary, settings.window)
    words = len(vocabulary.words)
    width = 8 if settings.dtype == "float64" else 4
    parameters = 2 * words * settings.dimension
    speed = matmul_speed(settings.device) / (2 if width == 8 else 1)
    product = words**2 * settings.dimension / speed * OVERHEAD
    per_pair = 2 * settings.steps * pairs * 4e-9
    k = max(objectives, 1)
    ordered = 2 * pairs
    state, steps = 2 * parameters * width, settings.steps
    every = spacing(steps, state, parameters * width, memory)
    states = (math.ceil(steps / every) + 1) * state + every * parameters * width
    size = (
        INTERPRETER_BYTES
        + entries * 8
        + ordered * (8 + width * (1 + k))
        + parameters * width * (8 + 6 * k)
        + pairs * (8 * k + 32)
        + len(corpus) * 400
        + len(corpus.tokens) * 20
        + states
    )
    return Estimate(
        train_seconds=6 * settings.steps * product + per_pair,
        score_seconds=(8 + 12 * k) * settings.steps * product + 3 * k * per_pair,
        memory_bytes=int(size),
    )


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


def available_memory() -> int:
    """Bytes this process may still take: free memory of the machine, or its cgroup's or ulimit's rest."""
    limits = []
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []:
        if line.startswith("MemAvailable:"):
            limits.append(int(line.split()[1]) * 1024)
    cgroup = Path("/sys/fs/cgroup/memory.max")
    if cgroup.exists() and cgroup.read_text().strip().isdigit():
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        limits.append(int(cgroup.read_text()) - used)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    return min(limits) if limits else 1 << 62
