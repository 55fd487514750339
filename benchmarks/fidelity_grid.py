"""What makes retraining nonlinear: fidelity of unrolled scores against optimiser, steps, rare test words, subset size.

    python benchmarks/fidelity_grid.py ../shared/data/wikipedia-180k.tsv.gz --subsets 30

Each row is one run with its own scores and retrainings; rows already in the JSON are not measured again. "centred"
scores are derivatives where the subsets have their centre, at 1 - share of every weight, not at the corpus as it is.
"""

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, Record
from trained import train_on

import crossloss as cl
from crossloss.models.skipgram.quality import quality
from crossloss.objectives import Weat, weat
from crossloss.run.retrainer import Retrainer, changes, without
from crossloss.utils.statistics import fidelity
from crossloss.validation.subsets import random_subsets

TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
BASE: dict[str, Any] = {"min_count": 100, "max_words": 0}
ROWS: dict[str, dict[str, Any]] = {
    "default": {},
    "lr1-beta.9-steps100": {"lr": 1.0, "momentum": 0.9, "steps": 100},
    "steps25": {"steps": 25},
    "steps100": {"steps": 100},
    "test-words-from-50": {"rare": (50,)},
    "test-words-from-100": {"rare": (100,)},
    "share5": {"share": 0.05},
    "share50": {"share": 0.5},
    "negatives10": {"negatives": 10.0},
    "v10000-d100": {"min_count": 8, "max_words": 10_000, "dimension": 100, "rare": (0, 50)},
}


def trimmed(test: Weat, counts: dict[str, int], least: int) -> Weat:
    """The test without words that occur less than ``least`` times, and named so."""
    return replace(test.frequent(counts, least), name=f"{test.name}.from-{least}") if least else test


def measure(record: Record, corpus: cl.Corpus, name: str, row: dict[str, Any], subsets: int) -> None:
    settings = BASE | {key: value for key, value in row.items() if key not in ("rare", "share")}
    tests = [weat(test) for test in TESTS]
    start = time.perf_counter()
    run = train_on(corpus, keep_words=[w for test in tests for w in test.words], **settings, memory="8GB")
    seconds = time.perf_counter() - start
    counts = dict(zip(run.model.vocabulary.words, run.model.vocabulary.counts.tolist(), strict=True))
    tests = [trimmed(test, counts, least) for least in row.get("rare", (0,)) for test in tests]
    scores = cl.score(run, tests)
    found = quality(run.model.vocabulary.words, run.view.vectors.numpy())
    figures: dict[str, float | None] = {
        "loss": run.loss, "wordsim353": found.wordsim353, "simlex999": found.simlex999, "seconds": seconds,
    }  # fmt: skip
    share = row.get("share", 0.1)
    drawn = random_subsets(run.weights, share=share, count=subsets, seed=0)
    centred = cl.score(run.retrain((1 - share) * run.weights), tests).samples
    retrainer = Retrainer(run, tests)
    retrained = [retrainer(without(run.weights, removed)) for removed in drawn]
    for test, derivatives in zip(tests, centred, strict=True):
        predicted = np.array([scores.group(removed, test) for removed in drawn])
        figures[f"{test.name}.value"] = scores.values[test.name]
        agreement = fidelity(predicted, changes(retrained, test.name, scores.values[test.name]))
        figures |= {f"{test.name}.{key}": figure for key, figure in asdict(agreement).items()}
        predicted = np.array([-(derivatives * run.weights)[removed].sum() for removed in drawn])
        agreement = fidelity(predicted, changes(retrained, test.name, scores.values[test.name]))
        figures |= {f"{test.name}.centred.{key}": figure for key, figure in asdict(agreement).items()}
    for key, figure in figures.items():
        record.put(f"{name}.{key}", figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--subsets", type=int, default=30)
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--out", type=Path, default=RESULTS / "fidelity-grid.json")
    given = parser.parse_args()
    record = Record(given.out)
    corpus = cl.read(given.corpus)
    for name in given.rows:
        if f"{name}.seconds" not in record.figures:
            measure(record, corpus, name, ROWS[name], given.subsets)


if __name__ == "__main__":
    main()
