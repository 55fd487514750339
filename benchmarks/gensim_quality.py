"""Quality and seconds beside gensim's Word2Vec: same corpus, tokens, vocabulary and settings; and expected against
drawn counts.

    python benchmarks/gensim_quality.py ../shared/data/wikipedia-180k.tsv.gz --min-count 100

Figures already in the JSON are not measured again.
"""

import argparse
import time
from pathlib import Path

import gensim
import numpy as np
from gensim.models import Word2Vec
from record import RESULTS, Record
from trained import train_on

import crossloss as cl
from crossloss.models.skipgram.quality import quality
from crossloss.objectives import weat
from crossloss.text import pairs as pairs_module
from crossloss.text.vocabulary import build_vocabulary, token_words

SEEDS = (0, 1, 2)
TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")


def drawn(seed: int):
    """One draw of word2vec's counts: words kept at random, gaps closed, window drawn for each centre."""
    rng = np.random.default_rng(seed)

    def near(words, sample, keep, window):
        left = np.flatnonzero(rng.random(len(words)) < keep[words])
        reach = rng.integers(1, window + 1, len(left))
        for distance in range(1, window + 1):
            p, q = left[:-distance], left[distance:]
            same = sample[p] == sample[q]
            # Half a count for each of the two centres whose window reaches the other.
            count = ((reach[:-distance] >= distance) * 0.5 + (reach[distance:] >= distance) * 0.5)[same]
            yield p[same], q[same], count

    return near


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--min-count", type=int, default=100)
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--out", type=Path, default=RESULTS / "gensim-quality.json")
    given = parser.parse_args()
    record = Record(given.out)
    record.put("settings", f"{Path(given.corpus).name}, min count {given.min_count}, gensim {gensim.__version__}")
    corpus = cl.read(given.corpus)
    keep_words = [word for name in TESTS for word in weat(name).words]
    vocabulary = build_vocabulary(corpus, min_count=given.min_count, keep_words=keep_words)
    rows = token_words(corpus, vocabulary)

    def put(name: str, words: list[str], vectors: np.ndarray, seconds: float) -> None:
        found = quality(words, vectors)
        record.put(f"{name}.wordsim353", found.wordsim353)
        record.put(f"{name}.simlex999", found.simlex999)
        record.put(f"{name}.seconds", seconds)

    def ours(label: str, seed: int) -> None:
        start = time.perf_counter()
        run = train_on(
            corpus, keep_words=keep_words, min_count=given.min_count, max_words=0, seed=seed
        )  # fmt: skip
        put(f"{label}.seed{seed}", run.model.vocabulary.words, run.view.vectors.numpy(), time.perf_counter() - start)

    expected = pairs_module.expected_cooccurrences
    for seed in SEEDS:
        if f"crossloss.seed{seed}.seconds" not in record.figures:
            ours("crossloss", seed)
        if f"crossloss-drawn.seed{seed}.seconds" not in record.figures:
            pairs_module.expected_cooccurrences = drawn(seed)
            ours("crossloss-drawn", seed)
            pairs_module.expected_cooccurrences = expected
    sentences = [
        [vocabulary.words[i] for i in rows[a:b] if i >= 0]
        for a, b in zip(corpus.indptr[:-1], corpus.indptr[1:], strict=True)
    ]
    for epochs in given.epochs:
        for seed in SEEDS:
            name = f"gensim-{epochs}.seed{seed}"
            if f"{name}.seconds" in record.figures:
                continue
            start = time.perf_counter()
            model = Word2Vec(
                sentences, sg=1, vector_size=50, window=5, negative=5, sample=1e-3, min_count=1, epochs=epochs,
                seed=seed + 1, workers=2,
            )  # fmt: skip
            put(name, model.wv.index_to_key, model.wv.vectors, time.perf_counter() - start)
    for label in ("crossloss", "crossloss-drawn", *(f"gensim-{e}" for e in given.epochs)):
        for figure in ("wordsim353", "simlex999", "seconds"):
            values = [record.figures[f"{label}.seed{seed}.{figure}"] for seed in SEEDS]
            record.put(f"{label}.{figure}.mean", float(np.mean(values)))
            record.put(f"{label}.{figure}.sd", float(np.std(values, ddof=1)))


if __name__ == "__main__":
    main()
