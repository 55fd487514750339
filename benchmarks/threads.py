"""One thread against all for passes of small torch models: where ``crossloss.models.threads.SMALL`` lies.

    python benchmarks/threads.py

Best and median milliseconds of a gradient and of a pullback of 8 directions, by parameters times samples. On a busy
machine the medians of many threads are far above their best: all wait for the one whose core is taken.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from record import RESULTS, Record

import crossloss as cl
from crossloss.models import threads

SIZES = ((12, 150), (64, 150), (64, 1024), (256, 150), (256, 1024), (1024, 64), (1024, 1024))
"""Width of the layers, samples."""
DIRECTIONS, CLASSES = 8, 10


def measured(work: Callable[[], object], seconds: float = 1.0) -> list[float]:
    spent: list[float] = []
    while sum(spent) < seconds or len(spent) < 5:
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return [round(1e3 * float(value), 3) for value in (min(spent), np.median(spent))]


def pullback(field: cl.TorchField, theta: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return field.at(theta, w, 0).pullback(torch.ones(DIRECTIONS, len(theta)), field.accumulator(DIRECTIONS))


def main() -> None:
    record, every = Record(RESULTS / "threads.json"), torch.get_num_threads()
    record.put("threads", every)
    for width, n in SIZES:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.Linear(width, CLASSES))
        data = {"x": torch.randn(n, width), "y": torch.randint(0, CLASSES, (n,))}
        field = cl.TorchField(model, lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), data)
        theta, w = field.initial, torch.ones(n, dtype=torch.float64)
        for name, small in (("one", 10**18), ("all", 0)):
            threads.SMALL = small
            key = f"{len(theta) * n:.1e}.{name}"
            record.put(f"{key}.gradient", measured(partial(field.gradient, theta, w, 0)))
            record.put(f"{key}.pullback", measured(partial(pullback, field, theta, w)))


if __name__ == "__main__":
    main()
