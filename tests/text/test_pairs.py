"""Vocabulary and expected counts against a slow double loop."""

import math
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.text import pairs as pairs_module
from crossloss.text.pairs import PairCounts, count_pairs, estimate_pairs, pairs_of
from crossloss.text.vocabulary import Vocabulary, build_vocabulary

LETTERS = st.lists(st.sampled_from("abcdefg"), min_size=0, max_size=7)
SENTENCES = st.lists(LETTERS.map(" ".join), min_size=1, max_size=8).filter(lambda s: len(set("".join(s).split())) > 0)


def test_more_distinct_pairs_than_short_numbers_hold_are_refused():
    with pytest.raises(UserError, match=r"2,147,483,648 distinct pairs are 2\^31 or more: take fewer words"):
        pairs_of(np.broadcast_to(np.int64(0), (2**31,)), 10)


def plain_counts(sentence, vocabulary, window):
    """Expected counts of one sentence, both orders: every way to drop words, with its probability."""
    words = [w for w in sentence.split() if w in vocabulary.index]
    keep = dict(zip(vocabulary.words, vocabulary.keep, strict=True))
    expected = defaultdict(float)
    for kept in product([False, True], repeat=len(words)):
        chance = math.prod(keep[w] if k else 1 - keep[w] for w, k in zip(words, kept, strict=True))
        left = [i for i, k in enumerate(kept) if k]
        for (m, p), (n, q) in product(enumerate(left), enumerate(left)):
            if m != n and abs(m - n) <= window:
                expected[p, q] += chance * (window + 1 - abs(m - n)) / window
    table = defaultdict(float)
    for (p, q), value in expected.items():
        if value > pairs_module.FAR * keep[words[p]] * keep[words[q]]:
            table[words[p], words[q]] += value
    return table


def as_table(counts, vocabulary, row):
    found = {}
    for j, value in zip(*(lambda r: (r.indices, r.data))(counts.matrix[row]), strict=True):
        a, b = (vocabulary.words[i] for i in counts.pairs[j])
        found[a, b] = found[b, a] = value
    return found


@given(SENTENCES, st.integers(1, 6), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_counts_are_word2vecs_in_expectation(sentences, window, min_count):
    corpus = cl.from_sentences([*sentences, "a b a b a b"])
    vocabulary = build_vocabulary(corpus, min_count=min_count, subsample=0.02)
    counts = count_pairs(corpus, vocabulary, window=window)
    assert (counts.pairs[:, 0] <= counts.pairs[:, 1]).all()
    for row, sentence in enumerate(corpus.texts):
        expected = plain_counts(sentence, vocabulary, window)
        found = as_table(counts, vocabulary, row)
        assert set(found) == set(expected)
        for pair, value in expected.items():
            assert found[pair] == pytest.approx(value, rel=1e-6)


def test_blocks_do_not_show(monkeypatch):
    rng = np.random.default_rng(0)
    corpus = cl.from_sentences([" ".join(rng.choice(list("abcdefgh"), size=rng.integers(0, 12))) for _ in range(200)])
    vocabulary = build_vocabulary(corpus, min_count=1)
    whole = count_pairs(corpus, vocabulary, window=4)
    monkeypatch.setattr(pairs_module, "TOKENS_AT_ONCE", 7)
    cut = count_pairs(corpus, vocabulary, window=4)
    assert np.array_equal(whole.pairs, cut.pairs)
    assert (whole.matrix != cut.matrix).nnz == 0


def test_a_repeated_sentence_counts_twice_and_order_does_not_matter():
    texts = ["red green blue", "blue green", "red red blue"]
    base = cl.from_sentences([*texts, texts[0]])
    vocabulary = build_vocabulary(base, min_count=1)
    counts = count_pairs(base, vocabulary, window=2)
    assert (counts.matrix[0] != counts.matrix[3]).nnz == 0
    turned = count_pairs(cl.from_sentences([texts[0], *texts[::-1]]), vocabulary, window=2)
    np.testing.assert_allclose(counts.matrix.sum(0), turned.matrix.sum(0), rtol=1e-6)


def test_vocabulary_order_sizes_and_kept_words():
    corpus = cl.from_sentences(["a a a a b b b c c d", "e d"], candidates=["e e e e e e z z z z z"])
    assert build_vocabulary(corpus, min_count=1).words == ["a", "b", "c", "d", "e"]
    assert build_vocabulary(corpus, min_count=2).words == ["a", "b", "c", "d"]
    assert build_vocabulary(corpus, min_count=1, max_words=2).words == ["a", "b"]
    kept = build_vocabulary(corpus, min_count=3, max_words=2, keep_words=["E", "z", "absent"])
    assert kept.words == ["a", "b", "e"]
    assert kept.counts.tolist() == [4, 3, 1]
    with pytest.raises(UserError, match="Only 1 words occur 4 times"):
        build_vocabulary(corpus, min_count=4)


def test_keep_is_word2vecs_formula():
    counts = Counter("a" * 90 + "b" * 9 + "c")
    corpus = cl.from_sentences([" ".join(counts.elements())])
    vocabulary = build_vocabulary(corpus, min_count=1, subsample=0.01)
    for word, keep in zip(vocabulary.words, vocabulary.keep, strict=True):
        f = counts[word] / 100
        assert keep == pytest.approx(min(1, (math.sqrt(f / 0.01) + 1) * 0.01 / f))
    assert build_vocabulary(corpus, min_count=1, subsample=0).keep.tolist() == [1, 1, 1]


def test_files_bring_both_back_and_damage_is_seen():
    corpus = cl.from_sentences(["red green blue", "blue green"])
    vocabulary = build_vocabulary(corpus, min_count=1)
    counts = count_pairs(corpus, vocabulary, window=2)
    again = PairCounts.from_tensors(counts.to_tensors())
    assert (again.matrix != counts.matrix).nnz == 0
    assert again.window == 2
    back = Vocabulary.from_json(vocabulary.to_json())
    assert back.words == vocabulary.words
    assert np.array_equal(back.keep, vocabulary.keep)
    with pytest.raises(UserError, match="damaged"):
        PairCounts.from_tensors(counts.to_tensors() | {"indices": counts.matrix.indices + 100})
    with pytest.raises(UserError, match="damaged"):
        Vocabulary.from_json(vocabulary.to_json() | {"counts": [1]})


def test_no_pairs_is_an_error():
    corpus = cl.from_sentences(["red", "red", "blue", "blue"])
    with pytest.raises(UserError, match="two words of the vocabulary"):
        count_pairs(corpus, build_vocabulary(corpus, min_count=2), window=2)


def test_the_estimate_is_near():
    rng = np.random.default_rng(1)
    corpus = cl.from_sentences([" ".join(rng.choice(list("abcdefghijklmnop"), size=12)) for _ in range(50)])
    vocabulary = build_vocabulary(corpus, min_count=1)
    counts = count_pairs(corpus, vocabulary, window=3)
    entries, columns = estimate_pairs(corpus, vocabulary, 3)
    assert entries == pytest.approx(counts.matrix.nnz, rel=0.05)
    assert counts.matrix.shape[1] <= columns
