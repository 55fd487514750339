"""Which prior and how many steps: fidelity, spread over starts and quality, on corpora of several kinds and sizes.

    python benchmarks/prior_grid.py ../shared/data --cells 20k/0/50 20k/10/50

A cell is CORPUS/PRIOR/STEPS or CORPUS/PRIOR/STEPS/MOMENTUM.
In each: r and slope of unrolled scores over random subsets of 10 %, for the paper's four
tests (scifi: the displacement of six words) from one start; values, WordSim-353 and SimLex-999 over five starts. Cells
already in the JSON are not measured again, and a stopped cell goes on with the retrainings that are missing.
``--strongest N`` also removes the N strongest sentences of each objective, one at a time.
"""

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, Record
from trained import train_on

import crossloss as cl
from crossloss.models.skipgram.quality import quality
from crossloss.objectives import weat
from crossloss.objectives.displacement import displacement
from crossloss.run.retrainer import without
from crossloss.utils.statistics import fidelity
from crossloss.validation.subsets import random_subsets

TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
SCIFI_WORDS = ("dooku", "kirk", "doctor", "spock", "dalek", "vader")
STARTS, SUBSETS, SHARE = 5, 30, 0.1
CORPORA: dict[str, tuple[str, dict[str, Any]]] = {
    "20k": ("wikipedia-20k.tsv.gz", {}),
    "scifi": ("scifi.tsv.gz", {"window": 3}),
    "180k-v4337": ("wikipedia-180k.tsv.gz", {"min_count": 100, "max_words": 0}),
    "180k-v10000": ("wikipedia-180k.tsv.gz", {"max_words": 10_000}),
    "180k-v10000-d100": ("wikipedia-180k.tsv.gz", {"max_words": 10_000, "dimension": 100}),
}
GRID = [
    *(f"{corpus}/{prior}/50" for prior in (0, 10, 3, 20) for corpus in ("20k", "scifi", "180k-v4337")),
    *(f"180k-v10000/{prior}/50" for prior in (0, 10)),
    *(f"{corpus}/10/100" for corpus in ("20k", "scifi", "180k-v4337")),
    *(f"180k-v10000/{prior}/50" for prior in (3, 20)),
    "180k-v10000-d100/10/50",
    *(f"{corpus}/10/35" for corpus in ("20k", "scifi", "180k-v4337")),
]


class Cell:
    """One setting: its run, its objectives, and the retrainings that are recorded one by one."""

    def __init__(self, record: Record, data: Path, name: str) -> None:
        corpus, prior, steps, *momentum = name.split("/")
        file, settings = CORPORA[corpus]
        settings = settings | ({"momentum": float(momentum[0])} if momentum else {})
        self.record, self.name = record, name
        scifi = corpus == "scifi"
        self.objectives: list[Any] = list(map(displacement, SCIFI_WORDS) if scifi else map(weat, TESTS))
        keep = [word for objective in self.objectives for word in objective.words]
        start = time.perf_counter()
        self.run = train_on(
            cl.read(data / file), keep_words=keep, prior=float(prior), steps=int(steps), memory="8GB", **settings
        )
        record.put(f"{name}.train_seconds", time.perf_counter() - start)
        record.put(f"{name}.words", len(self.run.model.vocabulary.words))

    def values(self, key: str, weights: np.ndarray, seed: int = 0, *, measured: bool = False) -> list[float]:
        """Objectives after one training; WordSim and SimLex too where ``measured``."""
        stored = self.record.figures.get(f"{self.name}.{key}")
        if stored is not None:
            return list(stored)
        view = self.run.retrain(weights, seed=seed).view
        values = [float(o(view)) for o in self.objectives]
        if measured:
            judged = quality(view.words, view.vectors.cpu().numpy())
            values += [judged.wordsim353 or 0.0, judged.simlex999 or 0.0]
        self.record.put(f"{self.name}.{key}", values)
        return values

    def measure(self, subsets: int) -> None:
        run, names = self.run, [o.name for o in self.objectives]
        starts = np.array([self.values(f"start-{s}", run.weights, s, measured=True) for s in range(STARTS)])
        for column, name in enumerate([*names, "wordsim353", "simlex999"]):
            self.record.put(f"{self.name}.{name}.mean", float(starts[:, column].mean()))
            self.record.put(f"{self.name}.{name}.sd", float(starts[:, column].std(ddof=1)))
        scores = cl.score(run, self.objectives)
        drawn = random_subsets(run.weights, share=SHARE, count=subsets, seed=0)
        kept = [self.values(f"subset-{i}", without(run.weights, out)) for i, out in enumerate(drawn)]
        for column, objective in enumerate(self.objectives):
            predicted = np.array([scores.group(out, objective) for out in drawn])
            found = np.array(kept)[:, column] - scores.values[objective.name]
            for key, value in asdict(fidelity(predicted, found)).items():
                self.record.put(f"{self.name}.{objective.name}.{key}", value)

    def strongest(self, count: int) -> None:
        """Remove the strongest sentences of each objective one at a time."""
        run = self.run
        scores = cl.score(run, self.objectives)
        for column, objective in enumerate(self.objectives):
            effects = scores.effects(objective)
            chosen = np.argsort(-np.abs(effects), kind="stable")[:count]
            kept = [self.values(f"without-{i}", without(run.weights, np.array([i]))) for i in chosen.tolist()]
            found = np.array(kept)[:, column] - scores.values[objective.name]
            start = f"{self.name}.{objective.name}.strongest"
            self.record.put(f"{start}.predicted", effects[chosen].tolist())
            self.record.put(f"{start}.retrained", found.tolist())
            for key, value in asdict(fidelity(effects[chosen], found)).items():
                self.record.put(f"{start}.{key}", value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cells", nargs="+", default=GRID)
    parser.add_argument("--subsets", type=int, default=SUBSETS)
    parser.add_argument("--strongest", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "prior-grid.json")
    given = parser.parse_args()
    record = Record(given.out)
    for name in given.cells:
        last = "strongest.slope" if given.strongest else "slope"
        if any(key.startswith(f"{name}.") and key.endswith(f".{last}") for key in record.figures):
            continue
        cell = Cell(record, given.data, name)
        if given.strongest:
            cell.strongest(given.strongest)
        else:
            cell.measure(given.subsets)


if __name__ == "__main__":
    main()
