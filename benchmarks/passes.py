"""The hot passes against their floor: time over flops at the matrix-product speed measured in the same process.

    python benchmarks/passes.py                       # embedded corpus, V about 4,300, d 50

Floors: gradient 6 V^2 d flops, pullback (2 + 12 k) V^2 d for k objectives.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from record import RESULTS, Record

import crossloss as cl
from crossloss.run.runs import peak_memory


def fastest(work: Callable[[], object], repeats: int = 5) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def matmul_speed(rows: int, inner: int, columns: int) -> float:
    a, b = torch.rand(rows, inner), torch.rand(inner, columns)
    out = torch.empty(rows, columns)
    return 2 * rows * inner * columns / fastest(lambda: torch.mm(a, b, out=out), 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default="builtin:wikipedia")
    parser.add_argument("--max-words", type=int, default=4300)
    parser.add_argument("--dimension", type=int, default=50)
    parser.add_argument("--out", type=Path, default=RESULTS / "passes.json")
    given = parser.parse_args()
    record = Record(given.out)
    corpus = cl.read(given.corpus)
    run = cl.train(corpus, max_words=given.max_words, dimension=given.dimension, steps=2)
    field, theta, w = run.field, run.training.theta, run.training.weights
    size, d = field.size, given.dimension
    label = f"v{size}.d{d}"
    rows, columns = field.tiling.shape
    speeds = {"full": matmul_speed(2048, 2048, 2048), "tile": matmul_speed(rows, d, columns)}
    for name, speed in speeds.items():
        record.put(f"gemm.{name}.flops_per_second", speed)
    best = max(speeds.values())
    record.put("gemm.flops_per_second", best)
    record.put(f"{label}.pairs", len(run.counts.pairs))
    floor = size**2 * d / best
    seconds = fastest(lambda: field.gradient(theta, w, 0))
    record.put(f"{label}.gradient.seconds", seconds)
    record.put(f"{label}.gradient.ratio_to_floor", seconds / (6 * floor))
    for k in (1, 4):
        a = torch.randn(k, field.parameters)
        into = field.accumulator(k)
        seconds = fastest(lambda a=a, into=into: field.pullback(theta, w, 0, a, into))
        record.put(f"{label}.adjoint_{k}.seconds", seconds)
        record.put(f"{label}.adjoint_{k}.ratio_to_floor", seconds / ((2 + 12 * k) * floor))
    record.put("peak_memory_bytes", peak_memory())


if __name__ == "__main__":
    main()
