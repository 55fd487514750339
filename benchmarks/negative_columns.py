"""What drawn negatives cost and give: loss, quality, scores and fidelity against their number, beside all of them.

    python benchmarks/negative_columns.py ../shared/data/wikipedia-180k.tsv.gz --case v4337 --kept runs/columns
    python benchmarks/negative_columns.py ../shared/data/wikipedia-180k.tsv.gz --case v25094 --kept runs/columns

A row is a number of columns (0: exact). ``fidelity`` is against exact retraining, ``own`` against retraining with the
same draws, over random subsets of 10 %; ``spearman`` is between the scores of all sentences and the exact ones, ``top``
the share of the 100 strongest that is the same. Exact scores and retrainings are kept as .npz in --kept, and rows that
are in the JSON are not measured again. At V 25,094 there are few subsets, and none retrained on the draws: a retraining
takes a minute there.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, Record
from scipy.stats import spearmanr

import crossloss as cl
from crossloss.models.skipgram.quality import quality
from crossloss.objectives import weat
from crossloss.run.retrainer import Retrainer, changes, without
from crossloss.statistics import fidelity
from crossloss.validation.subsets import random_subsets

TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
CASES: dict[str, dict[str, Any]] = {
    "v4337": {"min_count": 100, "subsets": 30, "own": True, "tests": TESTS},
    "v25094": {"min_count": 8, "subsets": 10, "own": False, "tests": ("paper-career", "paper-art")},
}
COLUMNS = {"v4337": (0, 256, 1024, 4096), "v25094": (0, 256, 1024, 2048)}
STRONGEST = 100


def measure(record: Record, corpus: cl.Corpus, case: str, columns: int, kept: Path, dimension: int) -> None:
    row = CASES[case]
    tests = [weat(name) for name in row["tests"]]
    all_words = [word for name in TESTS for word in weat(name).words]
    model = cl.SkipGram(
        corpus, keep_words=all_words, min_count=row["min_count"], max_words=0, dimension=dimension,
        negative_columns=columns,
    )  # fmt: skip
    cl.train(model, steps=1)  # pairs are counted, and passes are warm
    start = time.perf_counter()
    run = cl.train(model, steps=50)
    figures: dict[str, float | None] = {"train.seconds": time.perf_counter() - start, "loss": run.loss}
    start = time.perf_counter()
    scores = cl.score(run, tests)
    figures["score.seconds"] = time.perf_counter() - start
    figures["words"], figures["pairs"] = run.field.size, len(run.model.counts.pairs)
    found = quality(run.model.vocabulary.words, run.view.vectors.numpy())
    figures |= {"wordsim353": found.wordsim353, "simlex999": found.simlex999}
    drawn = random_subsets(run.weights, share=0.1, count=row["subsets"], seed=0)
    own: dict[str, np.ndarray] = {}
    if row["own"] or not columns:
        retrainer = Retrainer(run, tests)
        retrained = [retrainer(without(run.weights, removed)) for removed in drawn]
        own = {t.name: changes(retrained, t.name, scores.values[t.name]) for t in tests}
    file = kept / f"{case}-d{dimension}.npz"
    if not columns:
        kept.mkdir(parents=True, exist_ok=True)
        np.savez(file, scores=scores.samples, **own)
    exact = np.load(file)
    for test, mine, true in zip(tests, scores.samples, exact["scores"], strict=True):
        name = test.name
        figures[f"{name}.value"] = scores.values[name]
        figures[f"{name}.spearman"] = float(spearmanr(mine, true).statistic)
        figures[f"{name}.pearson"] = float(np.corrcoef(mine, true)[0, 1])
        strongest = [set(np.argsort(-np.abs(values))[:STRONGEST].tolist()) for values in (mine, true)]
        figures[f"{name}.top"] = len(strongest[0] & strongest[1]) / STRONGEST
        predicted = np.array([scores.group(removed, test) for removed in drawn])
        for label, against in {"fidelity": exact[name], **({"own": own[name]} if own else {})}.items():
            found_fidelity = fidelity(predicted, against)
            figures |= {
                f"{name}.{label}.{key}": getattr(found_fidelity, key)
                for key in ("pearson", "pearson_low", "pearson_high", "spearman", "slope")
            }
    for key, figure in figures.items():
        record.put(f"{case}.d{dimension}.m{columns}.{key}", figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--case", choices=CASES, default="v4337")
    parser.add_argument("--columns", nargs="+", type=int, default=None)
    parser.add_argument("--dimension", type=int, default=50)
    parser.add_argument("--kept", type=Path, default=Path("runs/columns"))
    parser.add_argument("--out", type=Path, default=RESULTS / "negative-columns.json")
    given = parser.parse_args()
    corpus = cl.read(given.corpus)
    record = Record(given.out)
    last = CASES[given.case]["tests"][-1]
    for columns in given.columns or COLUMNS[given.case]:
        if f"{given.case}.d{given.dimension}.m{columns}.{last}.top" not in record.figures:
            measure(record, corpus, given.case, columns, given.kept, given.dimension)


if __name__ == "__main__":
    main()
