"""Time to the same quality as gensim's Word2Vec (2 workers): WordSim-353 and SimLex-999 against seconds of training.

    python benchmarks/gensim_curves.py ../shared/data                                  # V 4,337
    python benchmarks/gensim_curves.py ../shared/data --case 25074-momentum 67108 --figure docs/gensim-curves.svg

Same corpus, tokens, vocabulary, window 5, 5 negatives. Ours: seconds of counting the pairs (once) and of the steps;
measuring quality is outside the clock. gensim: its learning rate falls to the end of a run, so each number of epochs
is a run of its own; building its vocabulary is left out. Runs in the JSON are not measured again, and a stopped call
goes on. Of each case it prints the seconds in which ours has gensim's quality after 10 epochs, over gensim's.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import gensim
import numpy as np
import torch
from gensim.models import Word2Vec
from record import RESULTS, Record

import crossloss as cl
from crossloss.models.skipgram.quality import quality
from crossloss.models.skipgram.settings import Recipe
from crossloss.objectives import weat
from crossloss.text.vocabulary import build_vocabulary, token_words

SMALL, LARGE = "wikipedia-180k.tsv.gz", "wikipedia-600k.tsv.bz2"
DRAWN = {"min_count": 8, "dimension": 50, "negative_columns": 2048}
CASES: dict[str, tuple[str, dict[str, Any], float]] = {
    "4337": (SMALL, {"min_count": 100, "dimension": 50}, 0.8),
    "25074": (SMALL, {"min_count": 8, "dimension": 50}, 0.8),
    "25074-drawn": (SMALL, DRAWN, 0.8),
    "25074-momentum": (SMALL, DRAWN, 0.9),
    "67108": (LARGE, {"min_count": 5, "dimension": 100, "negative_columns": 2048}, 0.9),
}
"""Corpus, settings and momentum by number of words; drawn negatives have a linear control variate."""
THEIRS = {"25074-momentum": "25074-drawn"}
"""Cases that are compared with gensim's runs of another, which are the same."""
SEEDS = (0, 1, 2)
STEPS = (10, 15, 20, 25, 30, 40, 50, 60, 80, 100)
MORE = (125, 150)
"""Further steps of the cases with more momentum than the default."""
EPOCHS = (1, 2, 3, 5, 10)
TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
FIGURES = ("wordsim353", "simlex999")


def put(record: Record, key: str, words: list[str], vectors: np.ndarray, seconds: float) -> None:
    found = quality(words, vectors)
    for figure in FIGURES:
        record.put(f"{key}.{figure}", getattr(found, figure))
    record.put(f"{key}.seconds", seconds)


def steps(case: str) -> tuple[int, ...]:
    return STEPS + MORE if CASES[case][2] > Recipe().momentum else STEPS


def ours(record: Record, model: cl.SkipGram, counting: float, case: str, key: str, seed: int) -> None:
    """One run, measured on the way; the counting that precedes it is in the clock."""
    field, spent = model.build(), counting
    w = torch.from_numpy(model.own_weights.copy())
    optimiser = model.prepare(Recipe.checked({"momentum": CASES[case][2]}).optimiser, w)
    state = optimiser.init(field.initial(seed))
    for t in range(max(steps(case))):
        begun = time.perf_counter()
        state = optimiser.step(state, field.gradient(state["theta"], w, t), t)
        spent += time.perf_counter() - begun
        if t + 1 in steps(case):
            view = field.view(state["theta"])
            put(record, f"{key}.{t + 1}", view.words, view.vectors.numpy(), spent)


def theirs(record: Record, sentences: list[list[str]], key: str, epochs: int, seed: int, dimension: int) -> None:
    model = Word2Vec(
        sg=1, vector_size=dimension, window=5, negative=5, sample=1e-3, min_count=1, seed=seed + 1, workers=2
    )  # fmt: skip
    model.build_vocab(sentences)
    begun = time.perf_counter()
    model.train(sentences, total_examples=len(sentences), epochs=epochs)
    put(record, key, model.wv.index_to_key, model.wv.vectors, time.perf_counter() - begun)


def pieces(case: str) -> list[tuple[str, str, int, int]]:
    """(key, what, seed, epochs) of every run of a case, what is compared first, both in turn."""
    found: list[tuple[str, str, int, int]] = []
    for epochs in reversed(EPOCHS):
        for seed in SEEDS:
            if epochs == max(EPOCHS):
                found.append((f"{case}.crossloss.seed{seed}", "ours", seed, max(steps(case))))
            if case not in THEIRS:
                found.append((f"{case}.gensim.seed{seed}.{epochs}", "theirs", seed, epochs))
    return found


def measure(record: Record, data: Path, case: str, at_most: int | None) -> None:
    last = {"ours": lambda key: f"{key}.{max(steps(case))}.seconds", "theirs": lambda key: f"{key}.seconds"}
    todo = [piece for piece in pieces(case) if last[piece[1]](piece[0]) not in record.figures][:at_most]
    if todo:
        file, settings, _ = CASES[case]
        corpus = cl.read(data / file)
        keep = [word for name in TESTS for word in weat(name).words]
        model, counting = cl.SkipGram(corpus, keep_words=keep, max_words=0, **settings), 0.0
        vocabulary = build_vocabulary(corpus, min_count=settings["min_count"], keep_words=keep)
        record.put(f"{case}.words", len(vocabulary.words))
        if any(what == "ours" for _, what, *_ in todo):
            begun = time.perf_counter()
            record.put(f"{case}.kernels", model.build().kernels.stored())
            counting = record.figures.get(f"{case}.counting", time.perf_counter() - begun)
            record.put(f"{case}.counting", counting)
        sentences: list[list[str]] = []
        if any(what == "theirs" for _, what, *_ in todo):
            rows = token_words(corpus, vocabulary)
            bounds = zip(corpus.indptr[:-1], corpus.indptr[1:], strict=True)
            sentences = [[vocabulary.words[i] for i in rows[a:b] if i >= 0] for a, b in bounds]
        for key, what, seed, epochs in todo:
            if what == "ours":
                ours(record, model, counting, case, key, seed)
            else:
                theirs(record, sentences, key, epochs, seed, settings["dimension"])
    if all(last[what](key) in record.figures for key, what, _, n in pieces(case) if what == "ours" or n == max(EPOCHS)):
        compare(record, case)


def compare(record: Record, case: str) -> None:
    """Seconds of ours to gensim's quality after its last epochs, means over the seeds, and over gensim's seconds."""
    theirs = f"{THEIRS.get(case, case)}.gensim"
    whole = float(curve(record, theirs, (max(EPOCHS),), "seconds").mean())
    seconds = curve(record, f"{case}.crossloss", steps(case), "seconds").mean(0)
    record.put(f"{theirs}.seconds", whole)
    for figure in FIGURES:
        goal = float(curve(record, theirs, (max(EPOCHS),), figure).mean())
        values = curve(record, f"{case}.crossloss", steps(case), figure).mean(0)
        record.put(f"{case}.{figure}.gensim", goal)
        record.put(f"{case}.{figure}.crossloss", float(values.max()))
        there = np.flatnonzero(values >= goal)
        if not len(there):
            record.put(f"{case}.{figure}.ratio", "not reached")
            continue
        i = int(there[0])
        part = (goal - values[i - 1]) / (values[i] - values[i - 1]) if i else 1.0
        to_goal = float(seconds[i - 1] + part * (seconds[i] - seconds[i - 1])) if i else float(seconds[0])
        record.put(f"{case}.{figure}.seconds", to_goal)
        record.put(f"{case}.{figure}.ratio", to_goal / whole)


def curve(record: Record, what: str, points: tuple[int, ...], figure: str) -> np.ndarray:
    """A figure by seed and point, of the seeds that have all."""
    rows = [[record.figures.get(f"{what}.seed{seed}.{point}.{figure}") for point in points] for seed in SEEDS]
    return np.array([row for row in rows if None not in row])


def draw(record: Record, cases: list[str], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    grid, axes = plt.subplots(2, len(cases), figsize=(4.5 * len(cases), 6), sharex="col", squeeze=False)
    for column, case in enumerate(cases):
        for row, figure in enumerate(FIGURES):
            axis = axes[row][column]
            for label, colour, points in (("crossloss", "#0072B2", steps(case)), ("gensim", "#D55E00", EPOCHS)):
                key = f"{THEIRS.get(case, case) if label == 'gensim' else case}.{label}"
                seconds = curve(record, key, points, "seconds").min(0)  # what else runs only adds
                values = curve(record, key, points, figure)
                axis.plot(seconds, values.mean(0), "o-", color=colour, label=label, markersize=3)
                axis.fill_between(seconds, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0)
            axis.set_ylabel({"wordsim353": "WordSim-353", "simlex999": "SimLex-999"}[figure])
            if row == 0:
                axis.set_title(f"V = {record.figures[f'{case}.words']:,}")
                axis.legend()
            else:
                axis.set_xlabel("seconds")
    grid.tight_layout()
    grid.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the corpora")
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=["4337"])
    parser.add_argument("--at-most", type=int, help="runs in this call; default: all")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "gensim-seconds.json")
    given = parser.parse_args()
    torch.set_num_threads(2)
    record = Record(given.out)
    record.put("settings", f"window 5, 5 negatives, gensim {gensim.__version__}")
    for case in given.case:
        measure(record, given.data, case, given.at_most)
    if given.figure is not None:
        draw(record, given.case, given.figure)


if __name__ == "__main__":
    main()
