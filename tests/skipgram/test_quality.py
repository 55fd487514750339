"""Quality of vectors against scipy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from crossloss.skipgram.quality import quality

gensim_utils = pytest.importorskip("gensim.test.utils")


def judged(name):
    with open(gensim_utils.datapath(name), encoding="utf-8") as lines:
        rows = [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
    return [(a.lower(), b.lower(), float(score)) for a, b, score in (row[:3] for row in rows)]


@pytest.mark.parametrize("part", [1, 3])
def test_both_lists_equal_a_computation_of_our_own(part):
    known = sorted({w for name in ("wordsim353.tsv", "simlex999.txt") for a, b, _ in judged(name) for w in (a, b)})
    words = known[::part]
    vectors = np.random.default_rng(0).normal(size=(len(words), 8))
    index = {word: i for i, word in enumerate(words)}
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = quality(words, vectors)
    for name, value, pairs in (
        ("wordsim353.tsv", found.wordsim353, found.wordsim353_pairs),
        ("simlex999.txt", found.simlex999, found.simlex999_pairs),
    ):
        rows = [(unit[index[a]] @ unit[index[b]], s) for a, b, s in judged(name) if a in index and b in index]
        assert pairs == len(rows)
        assert value == pytest.approx(spearmanr(*zip(*rows, strict=True))[0], abs=2e-3)


def test_too_few_pairs_are_no_figure():
    found = quality(["tiger", "cat", "zebra"], np.eye(3))
    assert found.wordsim353 is None
    assert found.wordsim353_pairs == 2, "tiger with cat and with tiger"
