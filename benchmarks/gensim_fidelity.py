"""Scores of a model that gensim trained, against retraining; and those of our own run beside them.

    OMP_NUM_THREADS=1 python benchmarks/gensim_fidelity.py ../shared/data/wikipedia-20k.tsv.gz --kept runs/gensim.json
    ... the same with --least 20: test words that occur less often are left out, and tests that
    this empties

A model trained elsewhere has no run to repeat, and gensim's own retraining is drowned in its draws. What its vectors
would be without some sentences is therefore asked in two ways:

- continued: from gensim's vectors on with our deterministic optimiser, once with all sentences and once without each
  random 10 %; the change of an objective is the difference of the two ends. Every estimator that needs no run
  scores gensim's own vectors, and again the vectors where the continuation with all sentences ended; unrolled goes
  back over the continuation, which is the run that the ground truth repeats.
- own: a run of ours from its own start, retrained in full without the same sentences; unrolled and inverse-Hessian
  scores of it.

Figures already in the JSON are not measured again; the retrainings are kept in --kept.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gensim
import numpy as np
import torch
from fidelity_grid import trimmed
from gensim import utils
from gensim.models import Word2Vec
from record import RESULTS, Record
from trained import train_on

import crossloss as cl
from crossloss.core import FULL_BATCH, UserError
from crossloss.estimators import ConjugateGradient, InverseHessian, gradient_dot, unrolled
from crossloss.objectives import weat
from crossloss.optimisers import HeavyBall
from crossloss.run.retrainer import without
from crossloss.run.trajectory import MemoryStates, Training, without_steps
from crossloss.utils.statistics import fidelity
from crossloss.validation.subsets import random_subsets

TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
DAMPINGS = {"word-blocks": (1e-7, 1e-6, 1e-5, 1e-4), "cg": (1e-3, 3e-4, 1e-4, 1e-5)}
CG = ConjugateGradient(tolerance=1e-2, iterations=1_000)


def train_gensim(corpus: cl.Corpus, keep: set[str], min_count: int, dimension: int, epochs: int) -> Word2Vec:
    words = np.asarray(corpus.types, dtype=object)[corpus.tokens]
    sentences = [list(words[a:b]) for a, b in zip(corpus.indptr[:-1], corpus.indptr[1:], strict=True)]
    return Word2Vec(
        sentences, sg=1, hs=0, vector_size=dimension, window=5, negative=5, sample=1e-3, min_count=min_count,
        epochs=epochs, seed=1, workers=1,
        trim_rule=lambda word, *_: utils.RULE_KEEP if word in keep else utils.RULE_DEFAULT,
    )  # fmt: skip


class Labelled:
    """A record whose keys begin with ``label``."""

    def __init__(self, record: Record, label: str) -> None:
        self.record, self.label, self.figures = record, label, record.figures

    def put(self, key: str, value: Any) -> None:
        self.record.put(self.label + key, value)

    def __contains__(self, key: str) -> bool:
        return self.label + key in self.figures


class Kept:
    """Values of the objectives after each retraining, one JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}

    def __call__(self, key: str, make: Callable[[], list[float]]) -> np.ndarray:
        if key not in self.values:
            self.values[key] = make()
            self.path.write_text(json.dumps(self.values))
        return np.array(self.values[key])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--subsets", type=int, default=30)
    parser.add_argument("--min-count", type=int, default=50)
    parser.add_argument("--dimension", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--least", type=int, default=0, help="leave rarer words out of the tests")
    parser.add_argument("--kept", type=Path, required=True, help="where retrainings are kept (JSON)")
    parser.add_argument("--out", type=Path, default=RESULTS / "gensim-fidelity.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(given.kept)
    record = Labelled(Record(given.out), f"words-from-{given.least}." if given.least else "")
    corpus = cl.read(given.corpus)
    counts = dict(zip(corpus.types, np.bincount(corpus.tokens, minlength=len(corpus.types)).tolist(), strict=True))
    tests = [trimmed(weat(name), counts, given.least) for name in TESTS]
    tests = [test for test in tests if all(len(getattr(test, side)) > 1 for side in "XYAB")]
    names = [test.name for test in tests]
    keep = {word for test in tests for word in test.words}
    drawn = random_subsets(corpus.weights, share=0.1, count=given.subsets, seed=0)

    model = train_gensim(corpus, keep, given.min_count, given.dimension, given.epochs)
    imported = cl.imported(cl.from_gensim(model, corpus, dtype="float32"))
    field, w = imported.field, imported.trajectory.weights
    record.put(
        "settings",
        f"{Path(given.corpus).name}, min count {given.min_count} and the tests' words, d {given.dimension}, "
        f"{given.epochs} epochs, {given.steps} steps on, gensim {gensim.__version__}, {given.subsets} subsets of 10 %",
    )
    record.put("vocabulary", field.size)

    def norm(theta: torch.Tensor) -> float:
        return float(field.gradient(theta, w, FULL_BATCH).norm())

    def values(of: Any, theta: torch.Tensor) -> list[float]:
        return [float(test(of.view(theta))) for test in tests]

    def training(weights: torch.Tensor, start: torch.Tensor) -> Training:
        scale = HeavyBall(4.0 * field.step_scale(), 0.8)
        found = Training(field, scale, weights, given.steps, start, MemoryStates(), given.steps)
        found.run_to_end()
        return found

    on = training(w, imported.theta).changed(states=MemoryStates(), every=1)
    on.run_to_end()
    before = np.array(values(field, on.theta))
    for label, theta in (("gensim", imported.theta), ("continued", on.theta)):
        record.put(f"{label}.loss", field.loss(theta, w))
        record.put(f"{label}.gradient_norm", norm(theta))
        for name, value in zip(names, values(field, theta), strict=True):
            record.put(f"{label}.{name}.value", value)

    def compare(name: str, scores: np.ndarray, found: np.ndarray, now: np.ndarray) -> None:
        for j, test in enumerate(names):
            predicted = np.array([-scores[j, removed].sum() for removed in drawn])
            for key, figure in dataclasses.asdict(fidelity(predicted, found[:, j] - now[j])).items():
                record.put(f"{name}.{test}.{key}", figure)

    def attempt(name: str, estimate: Callable[[], Any], found: np.ndarray, now: np.ndarray) -> None:
        if f"{name}.seconds" in record or f"{name}.refused" in record:
            return
        start = time.perf_counter()
        try:
            scores = estimate().samples().double().numpy()
        except UserError as refusal:
            record.put(f"{name}.refused", str(refusal))
            return
        seconds = time.perf_counter() - start
        compare(name, scores, found, now)
        record.put(f"{name}.seconds", seconds)

    def every(label: str, at: Any, found: np.ndarray, now: np.ndarray) -> None:
        attempt(f"{label}.gradient-dot", lambda: gradient_dot(at, tests), found, now)
        for d in DAMPINGS["word-blocks"]:
            inverse = InverseHessian("word-blocks", damping=d)
            attempt(f"{label}.word-blocks.damping-{d:.0e}", lambda inverse=inverse: inverse(at, tests), found, now)
        for d in DAMPINGS["cg"]:
            inverse = InverseHessian(solver=CG, damping=d)
            attempt(f"{label}.cg.damping-{d:.0e}", lambda inverse=inverse: inverse(at, tests), found, now)

    settings = f"{given.min_count}/{given.dimension}/{given.epochs}/{given.steps}/{given.least}"
    found = np.array(
        [
            kept(
                f"continued/{settings}/{i}",
                lambda removed=removed: values(
                    field, training(torch.from_numpy(without(corpus.weights, removed)), imported.theta).theta
                ),
            )
            for i, removed in enumerate(drawn)
        ]
    )
    attempt("continued.unrolled", lambda: unrolled(on, tests), found, before)
    every("continued.at-gensim", without_steps(field, w, imported.theta), found, before)
    every("continued.at-end", without_steps(field, w, on.theta), found, before)

    run = train_on(
        corpus, keep_words=sorted(keep), min_count=given.min_count, max_words=0, dimension=given.dimension, memory="1GB"
    )
    now = np.array(values(run.field, run.trajectory.theta))
    record.put("own.loss", run.loss)
    record.put(
        "own.gradient_norm", float(run.field.gradient(run.trajectory.theta, run.trajectory.weights, FULL_BATCH).norm())
    )
    for name, value in zip(names, now, strict=True):
        record.put(f"own.{name}.value", float(value))
    found = np.array(
        [
            kept(
                f"own/{settings}/{i}",
                lambda removed=removed: values(run.field, run.retrain(without(corpus.weights, removed)).theta),
            )
            for i, removed in enumerate(drawn)
        ]
    )
    attempt("own.unrolled", lambda: unrolled(run.trajectory, tests), found, now)
    every("own", without_steps(run.field, run.trajectory.weights, run.trajectory.theta), found, now)


if __name__ == "__main__":
    main()
