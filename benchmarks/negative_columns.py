"""What drawn negatives cost and give: loss, quality, scores and fidelity against their number, beside all of them.

    python benchmarks/negative_columns.py ../shared/data/wikipedia-180k.tsv.gz --case v4337 --kept runs/columns
    python benchmarks/negative_columns.py ../shared/data/wikipedia-180k.tsv.gz --case v25094 --kept runs/columns

    python benchmarks/negative_columns.py ../shared/data/wikipedia-20k.tsv.gz --case v5352-control \
      --kept runs/columns --out benchmarks/results/negative-control.json

    OMP_NUM_THREADS=1 python benchmarks/negative_columns.py ../shared/data/wikipedia-180k.tsv.gz \
      --case v25094-control --columns 512 1024 --controls linear --passes

A row is a number of columns (0: exact) and, in the cases that compare them, a control variate. ``fidelity`` is against
exact retraining, ``own`` against retraining with the same draws, over random subsets of 10 %; ``spearman`` is between
the scores of all sentences and the exact ones, ``top`` the share of the 100 strongest that is the same. ``variance`` is
that of the preconditioned gradient at the exact run's end, over 10 steps' draws; ``seconds`` are wall-clock, ``cpu``
those that the process ran. Exact scores and retrainings are kept as .npz in --kept, and rows that are in the JSON are
not measured again. ``--passes`` times single passes only, in processor seconds: a gradient, and pullbacks of 1, 2 and 4
directions, exact ones before and after the others. At V 25,094 there are few subsets, and none retrained on the draws:
a retraining takes a minute there.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import RESULTS, Record
from scipy.stats import spearmanr

import crossloss as cl
from crossloss.core import FULL_BATCH
from crossloss.models.skipgram.control import DEGREES
from crossloss.models.skipgram.quality import quality
from crossloss.objectives import weat
from crossloss.run.retrainer import Retrainer, changes, without
from crossloss.utils.statistics import fidelity
from crossloss.validation.subsets import random_subsets

TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
CASES: dict[str, dict[str, Any]] = {
    "v4337": {"min_count": 100, "subsets": 30, "own": True, "tests": TESTS},
    "v25094": {"min_count": 8, "subsets": 10, "own": False, "tests": ("paper-career", "paper-art")},
    "v5352-control": {"min_count": 10, "subsets": 0, "own": False, "tests": ("paper-career", "paper-art")},
    "v4337-control": {"min_count": 100, "subsets": 0, "own": False, "tests": ("paper-career", "paper-art")},
    "v25094-control": {"min_count": 8, "subsets": 10, "own": False, "tests": ("paper-career", "paper-art")},
}
COLUMNS = {
    "v4337": (0, 256, 1024, 4096),
    "v25094": (0, 256, 1024, 2048),
    "v5352-control": (0, 669, 1338, 2676),
    "v4337-control": (0, 542, 1084, 2168),
    "v25094-control": (0, 512, 1024, 2048, 3134),
}
CONTROLS = {case: ("none", "linear", "quadratic") for case in CASES if case.endswith("control")}
DRAWS = 10
STRONGEST = 100


def measure(record: Record, case: str, columns: int, control: str, *, name: str, base: cl.SkipGram, kept: Path) -> None:
    row, dimension = CASES[case], base.settings.dimension
    tests = [weat(name) for name in row["tests"]]
    model = base.changed(negative_columns=columns, negative_control=control)
    cl.score(cl.train(model, steps=1), tests)  # passes are warm
    start = time.perf_counter(), time.process_time()
    run = cl.train(model, steps=50)
    figures: dict[str, float | None] = {
        "train.seconds": time.perf_counter() - start[0], "train.cpu": time.process_time() - start[1], "loss": run.loss
    }  # fmt: skip
    start = time.perf_counter(), time.process_time()
    scores = cl.score(run, tests)
    figures |= {"score.seconds": time.perf_counter() - start[0], "score.cpu": time.process_time() - start[1]}
    figures["words"], figures["pairs"] = run.field.size, len(run.model.counts.pairs)
    found = quality(run.model.vocabulary.words, run.view.vectors.numpy())
    figures |= {"wordsim353": found.wordsim353, "simlex999": found.simlex999}
    drawn = random_subsets(run.weights, share=0.1, count=row["subsets"], seed=0)
    own: dict[str, np.ndarray] = {}
    if row["own"] or (row["subsets"] and not columns):
        retrainer = Retrainer(run, tests)
        retrained = [retrainer(without(run.weights, removed)) for removed in drawn]
        own = {t.name: changes(retrained, t.name, scores.values[t.name]) for t in tests}
    file = kept / f"{case}-d{dimension}.npz"
    if not columns:
        kept.mkdir(parents=True, exist_ok=True)
        np.savez(file, scores=scores.samples, theta=run.theta.cpu().numpy(), **own)
    exact = np.load(file)
    if case in CONTROLS:
        figures["variance"] = variance(run, exact["theta"])
    for test, mine, true in zip(tests, scores.samples, exact["scores"], strict=True):
        test_name = test.name
        figures[f"{test_name}.value"] = scores.values[test_name]
        figures[f"{test_name}.spearman"] = float(spearmanr(mine, true).statistic)
        figures[f"{test_name}.pearson"] = float(np.corrcoef(mine, true)[0, 1])
        strongest = [set(np.argsort(-np.abs(values))[:STRONGEST].tolist()) for values in (mine, true)]
        figures[f"{test_name}.top"] = len(strongest[0] & strongest[1]) / STRONGEST
        predicted = np.array([scores.group(removed, test) for removed in drawn])
        against_exact = {"fidelity": exact[test_name]} if row["subsets"] else {}
        for label, against in {**against_exact, **({"own": own[test_name]} if own else {})}.items():
            found_fidelity = fidelity(predicted, against)
            figures |= {
                f"{test_name}.{label}.{key}": getattr(found_fidelity, key)
                for key in ("pearson", "pearson_low", "pearson_high", "spearman", "slope")
            }
    for key, figure in figures.items():
        record.put(f"{name}.{key}", figure)


def variance(run: cl.Run, theta: np.ndarray) -> float:
    """Mean square of the preconditioned gradient's error at ``theta`` (p,)."""
    field, w = run.field, run.trajectory.weights
    at, scale = torch.from_numpy(theta).to(field.device), field.step_scale().sqrt()
    truth = field.gradient(at, w, FULL_BATCH)
    errors = [float(((field.gradient(at, w, t) - truth) * scale).square().sum()) for t in range(DRAWS)]
    return float(np.mean(errors))


def passes(record: Record, name: str, model: cl.SkipGram) -> None:
    """Processor seconds of a gradient and of pullbacks of 1, 2 and 4 directions, the least of three."""
    field, w = model.build(), torch.from_numpy(model.own_weights.copy())
    theta, directions = field.initial(0), torch.randn(4, field.parameters)
    at = field.at(theta, w, 1)
    works = [lambda: field.gradient(theta, w, 1)]
    works += [partial(at.pullback, directions[:k], field.accumulator(k)) for k in (1, 2, 4)]
    least = []
    for work in works:
        work()
        spent = []
        for _ in range(3):
            start = time.process_time()
            work()
            spent.append(time.process_time() - start)
        least.append(round(min(spent), 3))
    record.put(f"{name}.passes", least)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--case", choices=CASES, default="v4337")
    parser.add_argument("--columns", nargs="+", type=int, default=None)
    parser.add_argument("--controls", nargs="+", choices=DEGREES, default=None)
    parser.add_argument("--dimension", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kept", type=Path, default=Path("runs/columns"))
    parser.add_argument("--out", type=Path, default=RESULTS / "negative-columns.json")
    parser.add_argument("--passes", action="store_true")
    given = parser.parse_args()
    corpus = cl.read(given.corpus)
    record = Record(given.out)
    last = CASES[given.case]["tests"][-1]
    words = [word for test in TESTS for word in weat(test).words]
    base = cl.SkipGram(
        corpus, keep_words=words, min_count=CASES[given.case]["min_count"], max_words=0, dimension=given.dimension,
        device=given.device,
    )  # fmt: skip
    base.build()
    if given.passes:
        control = (given.controls or ["linear"])[0]
        for number, columns in enumerate((0, *(given.columns or COLUMNS[given.case]), 0)):
            name = f"{given.case}.m{columns}" + (f".{control}" if columns else ".again" if number else "")
            passes(record, name, base.changed(negative_columns=columns, negative_control=control) if columns else base)
        return
    for columns in given.columns or COLUMNS[given.case]:
        for control in (given.controls or CONTROLS.get(given.case, ("none",))) if columns else ("none",):
            row = f"{given.case}.d{given.dimension}.m{columns}{'' if control == 'none' else '.' + control}"
            if f"{row}.{last}.top" not in record.figures:
                measure(record, given.case, columns, control, name=row, base=base, kept=given.kept)


if __name__ == "__main__":
    main()
