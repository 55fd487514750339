"""Quality of vectors against scipy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from crossloss.models.skipgram.quality import analogies, neighbours, neighbours_kept, quality

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


def test_analogies_equal_a_computation_of_our_own():
    with open(gensim_utils.datapath("questions-words.txt"), encoding="utf-8") as lines:
        asked = [line.lower().split() for line in lines if not line.startswith(":")]
    words = sorted({w for question in asked[:400:7] for w in question})
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(len(words), 6))
    index = {word: i for i, word in enumerate(words)}
    for a, b, c, d in asked[:400:21]:  # so that some are right
        vectors[index[d]] = vectors[index[b]] - vectors[index[a]] + vectors[index[c]]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    right = []
    for a, b, c, d in asked:
        if all(w in index for w in (a, b, c, d)):
            near = unit @ (unit[index[b]] - unit[index[a]] + unit[index[c]])
            near[[index[a], index[b], index[c]]] = -np.inf
            right.append(words[int(near.argmax())] == d)
    assert analogies(words, vectors) == pytest.approx(np.mean(right))
    assert 0 < np.mean(right) < 1
    assert analogies(["he", "she"], np.ones((2, 2))) is None


def test_neighbours_kept():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(60, 8))
    near = neighbours(vectors, 20)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for row in range(20):
        order = [i for i in np.argsort(-(unit @ unit[row])) if i != row][:10]
        assert set(near[row]) == set(order)
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    assert neighbours_kept(near, 3 * vectors @ rotation) == 1.0
    assert neighbours_kept(near, rng.normal(size=(60, 8))) < 0.5
