"""The hot passes against their floor: time over flops at the fastest matrix product measured in the same process.

    python benchmarks/passes.py                                                    # embedded corpus
    python benchmarks/passes.py --corpus ../shared/data/wikipedia-180k.tsv.gz --out benchmarks/results/passes-180k.json

Floors: gradient 6 V^2 d flops, pullback (2 + 12 k) V^2 d for k objectives. The plain keys are those of the larger case.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from record import RESULTS, Record
from trained import train_on

import crossloss as cl
from crossloss.models.skipgram.kernels import TILE_CPU, Kernels
from crossloss.utils.memory import peak_memory


def fastest(work: Callable[[], object], seconds: float = 1.0, fewest: int = 3) -> float:
    """Least time of a call, over as many as fill ``seconds`` and no fewer than ``fewest``."""
    work()
    times: list[float] = []
    while len(times) < fewest or sum(times) < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def gemm_speeds(rows: int, inner: int, columns: int) -> dict[str, float]:
    """Flops per second of torch's product and of oneDNN's, at one shape."""
    a, b = torch.rand(rows, inner), torch.rand(columns, inner)
    out = torch.empty(rows, columns)
    onednn = Kernels("oneDNN", TILE_CPU).products(torch.float32, torch.device("cpu")).plain
    flops = 2 * rows * inner * columns
    return {
        "torch": flops / fastest(lambda: torch.mm(a, b.T, out=out)),
        "field": flops / fastest(lambda: onednn(a, b)),
    }


def measure(record: Record, corpus: cl.Corpus, words: int, dimension: int, window: int) -> None:
    run = train_on(corpus, min_count=1, max_words=words, dimension=dimension, window=window, steps=1)
    field, theta, w = run.field, run.trajectory.theta, run.trajectory.weights
    speeds: list[float] = []
    for shape, sizes in (
        ("full", (2048, 2048, 2048)),
        ("tile", (field.tiling.shape[0], dimension, field.tiling.shape[1])),
    ):
        for name, speed in gemm_speeds(*sizes).items():
            record.put(f"v{words}.gemm.{shape}.{name}.flops_per_second", speed)
            speeds.append(speed)
    floor = field.size**2 * dimension / max(speeds)
    figures: dict[str, float] = {"gemm.flops_per_second": max(speeds)}
    seconds = fastest(lambda: field.gradient(theta, w, 0))
    figures |= {"gradient.seconds": seconds, "gradient.ratio_to_floor": seconds / (6 * floor)}
    for k in (1, 4):
        a = torch.randn(k, field.parameters)
        into = field.accumulator(k)
        seconds = fastest(lambda a=a, into=into: field.at(theta, w, 0).pullback(a, into))
        figures |= {f"adjoint_{k}.seconds": seconds, f"adjoint_{k}.ratio_to_floor": seconds / ((2 + 12 * k) * floor)}
    record.put(f"v{words}.words", field.size)
    record.put(f"v{words}.kernels", field.kernels.stored())
    record.put(f"v{words}.pairs", len(run.model.counts.pairs))
    for name, figure in figures.items():
        record.put(f"v{words}.{name}", figure)
    for name, figure in figures.items():
        record.put(name, figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="builtin:wikipedia")
    parser.add_argument("--out", type=Path, default=RESULTS / "passes.json")
    given = parser.parse_args()
    record = Record(given.out)
    corpus = cl.read(given.corpus)
    for words, dimension, window in ((4300, 50, 5), (25_000, 100, 10)):
        measure(record, corpus, words, dimension, window)
    record.put("peak_memory_bytes", peak_memory())


if __name__ == "__main__":
    main()
