"""Time to the same quality as gensim's Word2Vec (2 workers): WordSim-353 and SimLex-999 against seconds of training.

    python benchmarks/gensim_curves.py ../shared/data/wikipedia-180k.tsv.gz --figure docs/gensim-curves.svg

Same corpus, tokens, vocabulary, d 50, window 5, 5 negatives. Ours: seconds of counting the pairs (once) and of the
steps; measuring quality is outside the clock. gensim: its learning rate falls to the end of a run, so each number of
epochs is a run of its own; building its vocabulary is left out. Runs in the JSON are not measured again.
"""

import argparse
import time
from pathlib import Path

import gensim
import numpy as np
import torch
from gensim.models import Word2Vec
from record import RESULTS, Record
from trained import train_on

import crossloss as cl
from crossloss.models.skipgram.quality import quality
from crossloss.objectives import weat
from crossloss.text.pairs import count_pairs
from crossloss.text.vocabulary import build_vocabulary, token_words

CASES = {"4300": 100, "25000": 8}
"""Case and minimum count."""
SEEDS = (0, 1, 2)
STEPS = (10, 15, 20, 25, 30, 40, 50, 60, 80, 100)
EPOCHS = (1, 2, 3, 5, 10)
TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
FIGURES = ("wordsim353", "simlex999")


def put(record: Record, key: str, words: list[str], vectors: np.ndarray, seconds: float) -> None:
    found = quality(words, vectors)
    for figure in FIGURES:
        record.put(f"{key}.{figure}", getattr(found, figure))
    record.put(f"{key}.seconds", seconds)


def ours(record: Record, corpus: cl.Corpus, least: int, key: str, seed: int, momentum: float) -> None:
    """One run, measured on the way; the counting that precedes it is in the clock."""
    keep = [word for name in TESTS for word in weat(name).words]
    run = train_on(corpus, keep_words=keep, min_count=least, max_words=0, steps=1, seed=seed, momentum=momentum)
    begun = time.perf_counter()
    count_pairs(corpus, run.model.vocabulary, window=run.model.settings.window)
    spent = time.perf_counter() - begun
    record.put(f"{key}.counting", spent)
    field, optimiser, w = run.field, run.trajectory.optimiser, run.trajectory.weights
    state = optimiser.init(field.initial(seed))
    for t in range(max(STEPS)):
        begun = time.perf_counter()
        state = optimiser.step(state, field.gradient(state["theta"], w, t), t)
        spent += time.perf_counter() - begun
        if t + 1 in STEPS:
            view = field.view(state["theta"])
            put(record, f"{key}.{t + 1}", view.words, view.vectors.numpy(), spent)


def theirs(record: Record, sentences: list[list[str]], key: str, epochs: int, seed: int) -> None:
    model = Word2Vec(
        sg=1, vector_size=50, window=5, negative=5, sample=1e-3, min_count=1, seed=seed + 1, workers=2
    )  # fmt: skip
    model.build_vocab(sentences)
    begun = time.perf_counter()
    model.train(sentences, total_examples=len(sentences), epochs=epochs)
    put(record, key, model.wv.index_to_key, model.wv.vectors, time.perf_counter() - begun)


def pieces(case: str) -> list[tuple[str, str, int, int]]:
    """(key, what, seed, epochs) of every run of a case."""
    own = [(f"{case}.crossloss.seed{seed}", "ours", seed, max(STEPS)) for seed in SEEDS]
    return own + [(f"{case}.gensim.seed{seed}.{e}", "theirs", seed, e) for seed in SEEDS for e in EPOCHS]


def measure(record: Record, path: str, case: str, at_most: int | None, momentum: float) -> None:
    last = {"ours": lambda key: f"{key}.{max(STEPS)}.seconds", "theirs": lambda key: f"{key}.seconds"}
    todo = [piece for piece in pieces(case) if last[piece[1]](piece[0]) not in record.figures][:at_most]
    if not todo:
        return
    corpus, least = cl.read(path), CASES[case]
    keep = [word for name in TESTS for word in weat(name).words]
    vocabulary = build_vocabulary(corpus, min_count=least, keep_words=keep)
    record.put(f"{case}.words", len(vocabulary.words))
    rows = token_words(corpus, vocabulary)
    bounds = zip(corpus.indptr[:-1], corpus.indptr[1:], strict=True)
    sentences = [[vocabulary.words[i] for i in rows[a:b] if i >= 0] for a, b in bounds]
    for key, what, seed, epochs in todo:
        if what == "ours":
            ours(record, corpus, least, key, seed, momentum)
        else:
            theirs(record, sentences, key, epochs, seed)


def curve(record: Record, what: str, points: tuple[int, ...], figure: str) -> np.ndarray:
    """A figure by seed and point."""
    return np.array([[record.figures[f"{what}.seed{seed}.{point}.{figure}"] for point in points] for seed in SEEDS])


def draw(record: Record, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    grid, axes = plt.subplots(2, len(CASES), figsize=(9, 6), sharex="col")
    for column, case in enumerate(CASES):
        for row, figure in enumerate(FIGURES):
            axis = axes[row][column]
            for label, colour, points in (("crossloss", "#0072B2", STEPS), ("gensim", "#D55E00", EPOCHS)):
                seconds = curve(record, f"{case}.{label}", points, "seconds").min(0)  # what else runs only adds
                values = curve(record, f"{case}.{label}", points, figure)
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
    parser.add_argument("corpus")
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--at-most", type=int, help="runs in this call; default: all")
    parser.add_argument("--momentum", type=float, default=0.8, help="of ours")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "gensim-curves.json")
    given = parser.parse_args()
    torch.set_num_threads(2)
    record = Record(given.out)
    record.put("settings", f"{Path(given.corpus).name}, d 50, window 5, 5 negatives, gensim {gensim.__version__}")
    for case in given.cases:
        measure(record, given.corpus, case, given.at_most, given.momentum)
    if given.figure is not None:
        draw(record, given.figure)


if __name__ == "__main__":
    main()
