"""What a pass costs against words, dimensions, objectives and pairs, and a model of four terms fitted to it.

    python benchmarks/cost_model.py ../shared/data/wikipedia-180k.tsv.gz      # measures what is missing, fits, draws

Pairs are real (min count 8, window 10, counted once); fewer words are the most frequent of them, fewer pairs a random
part. For a gradient, seconds = product 6 V^2 d + plane V^2 + pair P + call; for a pullback of k objectives,
product (2 + 12 k) V^2 d + V^2 (plane + plane_each k) + P (pair + pair_each k) + call, P counting both orders.
The line of a panel is the model, a cross a measurement: seconds of one core, the least of three calls or more. They are
seconds that the process ran, not those on the clock, so that other work on the machine hardly shows.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse
import torch
from record import RESULTS, Record
from scipy.optimize import nnls

import crossloss as cl
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.settings import make_settings
from crossloss.text.pairs import PairCounts, count_pairs
from crossloss.text.vocabulary import Vocabulary, build_vocabulary

Point = tuple[int, int, int, float]
"""Words, dimensions, objectives (0: a gradient), part of the pairs."""
WORDS, DIMENSIONS, OBJECTIVES = (
    (1000, 2500, 5000, 10_000, 15_000, 20_000, 25_000),
    (25, 50, 100, 150, 200),
    (1, 2, 4, 8),
)
PARTS = (0.05, 0.25, 0.5, 0.75, 1.0)
BASE = (10_000, 50)
TERMS = {
    "gradient": ("product", "plane", "pair", "call"),
    "pullback": ("product", "plane", "plane_each", "pair", "pair_each", "call"),
}


def points() -> list[Point]:
    """One line of points along each axis through the base, V along d 100 too."""
    words, dimension = BASE
    cross: list[Point] = []
    for k in (0, 1):
        cross += [(v, d, k, 1.0) for d in (dimension, 100) for v in WORDS]
        cross += [(words, d, k, 1.0) for d in DIMENSIONS]
        cross += [(words, dimension, k, part) for part in PARTS]
    cross += [(words, dimension, k, 1.0) for k in OBJECTIVES]
    return list(dict.fromkeys(cross))


def part_of(whole: PairCounts, vocabulary: Vocabulary, words: int, part: float) -> tuple[PairCounts, Vocabulary]:
    """The counts of the first words, as one sample, and a random part of their pairs."""
    chosen = (whole.pairs < words).all(1)
    chosen &= np.random.default_rng(0).random(len(chosen)) < part
    pairs = whole.pairs[chosen]
    counts = scipy.sparse.csr_matrix(whole.matrix.data[None, chosen])
    cut = Vocabulary(vocabulary.words[:words], vocabulary.counts[:words], vocabulary.keep[:words], 0.0)
    return PairCounts(pairs, counts, whole.window), cut


def as_one_sample(corpus: cl.Corpus) -> tuple[PairCounts, Vocabulary]:
    vocabulary = build_vocabulary(corpus, min_count=8)
    counts = count_pairs(corpus, vocabulary, window=10)
    total = scipy.sparse.csr_matrix(np.asarray(counts.matrix.sum(0), dtype=np.float32))
    return PairCounts(counts.pairs, total, counts.window), vocabulary


def core_seconds(work: Callable[[], object]) -> float:
    """Least time of a call on one core, over three or as many as fill half a second."""
    work()
    times: list[float] = []
    while len(times) < 3 or sum(times) < 0.5:
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure(record: Record, corpus: str) -> None:
    missing = [point for point in points() if _key(point) not in record.figures]
    if not missing:
        return
    whole, vocabulary = as_one_sample(cl.read(corpus))
    for words, part in dict.fromkeys((v, part) for v, _, _, part in missing):
        counts, cut = part_of(whole, vocabulary, words, part)
        for dimension in dict.fromkeys(d for v, d, _, p in missing if (v, p) == (words, part)):
            field = SkipGramField(counts, cut, np.ones(1), make_settings(dimension=dimension, prior=0.0))
            theta, w = field.initial(0), torch.ones(1, dtype=torch.float64)
            for k in [k for v, d, k, p in missing if (v, d, p) == (words, dimension, part)]:
                a, into = torch.randn(k, field.parameters), field.accumulator(k)
                if k:
                    seconds = core_seconds(lambda: field.at(theta, w, 0).pullback(a, into))  # noqa: B023
                else:
                    seconds = core_seconds(lambda: field.gradient(theta, w))  # noqa: B023
                key = _key((words, dimension, k, part))
                record.put(f"{key}.pairs", len(field.tiling))
                record.put(key, seconds)


def _key(point: Point) -> str:
    v, d, k, part = point
    return f"v{v}.d{d}.{f'k{k}' if k else 'gradient'}.part{100 * part:g}.seconds"


def features(v: float, d: float, k: float, pairs: float) -> np.ndarray:
    """What each term of the model multiplies."""
    if k:
        return np.array([(2 + 12 * k) * v * v * d, v * v, v * v * k, pairs, pairs * k, 1.0])
    return np.array([6 * v * v * d, v * v, pairs, 1.0])


def fit(record: Record) -> dict[str, np.ndarray]:
    """Non-negative least squares of the relative errors."""
    models = {}
    for name, terms in TERMS.items():
        chosen = [p for p in points() if bool(p[2]) == (name == "pullback")]
        rows = np.array([features(*p[:3], record.figures[f"{_key(p)}.pairs"]) for p in chosen])
        seconds = np.array([record.figures[_key(p)] for p in chosen])
        models[name], _ = nnls(rows / seconds[:, None], np.ones(len(seconds)))
        off = np.abs(rows @ models[name] / seconds - 1)
        for term, value in zip(terms, models[name], strict=True):
            record.put(f"model.{name}.{term}", float(value))
        record.put(f"model.{name}.error.median", float(np.median(off)))
        record.put(f"model.{name}.error.largest", float(off.max()))
    return models


def draw(record: Record, models: dict[str, np.ndarray], file: Path) -> None:
    """Four panels: seconds against words, dimensions, objectives, pairs."""
    plt.rcParams |= {"font.size": 8, "svg.hashsalt": "crossloss", "font.family": "sans-serif"}
    figure, panels = plt.subplots(1, 4, figsize=(10, 2.7), layout="constrained")
    v, d = BASE
    pairs = {p: record.figures[f"{_key(p)}.pairs"] for p in points()}
    axes = [
        (f"words V (d {d}; dashed: d 100)", [_line(k, 0, v, e) for k in (0, 1) for e in (d, 100)]),
        (f"dimension d (V {v:,})", [_line(k, 1, v, d) for k in (0, 1)]),
        (f"objectives k (V {v:,}, d {d})", [_line(1, 2, v, d)]),
        (f"million pairs (V {v:,}, d {d})", [_line(k, 3, v, d) for k in (0, 1)]),
    ]
    for axis, (panel, (label, lines)) in enumerate(zip(panels, axes, strict=True)):
        for line in lines:
            k, name = line[0][2], "pullback" if line[0][2] else "gradient"
            colour, style = ("C1" if k else "C0"), ("--" if axis == 0 and line[0][1] == 100 else "-")
            x = [pairs[p] / 1e6 if axis == 3 else p[axis] for p in line]
            panel.plot(x, [features(*p[:3], pairs[p]) @ models[name] for p in line], style, color=colour, lw=1)
            panel.plot(x, [record.figures[_key(p)] for p in line], "x", color=colour, ms=5, label=name)
        panel.set_xlabel(label)
        if axis:
            panel.set_ylim(bottom=0)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yscale("log")
    panels[0].set_xscale("log")
    panels[0].set_ylabel("seconds of one core")
    handles, labels = panels[1].get_legend_handles_labels()
    panels[1].legend(handles, labels, frameon=False)
    figure.savefig(file, metadata={"Date": None})


def _line(k: int, axis: int, v: int, d: int) -> list[Point]:
    """Points along one axis: 0 words, 1 dimensions, 2 objectives, 3 pairs."""
    along: list[list[Point]] = [
        [(words, d, k, 1.0) for words in WORDS],
        [(v, dimension, k, 1.0) for dimension in DIMENSIONS],
        [(v, d, count, 1.0) for count in OBJECTIVES],
        [(v, d, k, part) for part in PARTS],
    ]
    return along[axis]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--out", type=Path, default=RESULTS / "cost-model.json")
    parser.add_argument("--figure", type=Path, default=Path(__file__).parents[1] / "docs" / "cost.svg")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Record(given.out)
    measure(record, given.corpus)
    draw(record, fit(record), given.figure)


if __name__ == "__main__":
    main()
