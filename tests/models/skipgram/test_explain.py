"""A sentence taken apart: which pair, how much of it, what it says."""

import numpy as np
import pytest

from crossloss.models.skipgram.explain import Explanation, explain_text
from crossloss.text.pairs import count_pairs
from crossloss.text.read import from_sentences
from crossloss.text.vocabulary import build_vocabulary

WINDOW = 2


@pytest.fixture(scope="module")
def counted():
    """Pairs of neighbours; `dog lamp` is in none."""
    corpus = from_sentences(["cat dog", "cat lamp", "dog fish", "cat dog"])
    vocabulary = build_vocabulary(corpus, min_count=1, subsample=0)
    counts = count_pairs(corpus, vocabulary, window=WINDOW)
    return vocabulary, counts


def influence(vocabulary, counts, a, b, value):
    values = np.zeros(len(counts.pairs))
    i, j = sorted((vocabulary.index[a], vocabulary.index[b]))
    values[(counts.pairs == [i, j]).all(1)] = value
    assert values.any()
    return values


def test_a_pair_is_named_in_the_order_of_the_text_and_has_its_expected_count(counted):
    vocabulary, counts = counted
    taken = explain_text(vocabulary, counts, influence(vocabulary, counts, "cat", "dog", 3.0), "cat dog")
    assert [(a, b) for a, b, _ in taken.pairs] == [("cat", "dog")]
    assert taken.pairs[0][2] == pytest.approx(3.0)  # neighbours are in every window, so once
    assert taken.score == pytest.approx(3.0)
    assert [(start, end) for start, end, _ in taken.spans] == [(0, 3), (4, 7)]
    assert [part for *_, part in taken.spans] == pytest.approx([1.5, 1.5])
    assert taken.unseen == 0


def test_pairs_that_no_sample_has_are_left_out_and_their_share_is_told(counted):
    """In `dog lamp cat` dog-lamp is unseen: 1 of 2.5 expected pairs, as dog-cat is in half of the windows."""
    vocabulary, counts = counted
    taken = explain_text(vocabulary, counts, np.ones(len(counts.pairs)), "dog lamp cat")
    assert taken.unseen == pytest.approx(1 / 2.5)
    assert taken.score == pytest.approx(1.5)
    assert ("dog", "lamp", 0.0) in taken.pairs
    last = explain_text(vocabulary, counts, np.ones(len(counts.pairs)), "lamp fish")  # beyond the last key
    assert (last.unseen, last.score) == (1.0, 0.0)
    assert explain_text(vocabulary, counts, np.ones(len(counts.pairs)), "cat").unseen == 0


def test_what_a_summary_and_a_table_say():
    pairs, spans = [("cat", "dog", 0.5), ("dog", "lamp", -0.25)], [(0, 3, 0.1)]
    sample = Explanation("cat dog lamp", 0.25, pairs, spans, 0.0, sample=4, weight=2.0)
    assert (sample.effect_if_removed, sample.effect_if_added) == (-0.5, 0.25)
    assert sample.summary("bias").startswith("Effect if removed −0.5")
    assert "removing it is predicted to lower bias by 0.5" in sample.summary("bias")
    assert [str(row[0]) for row in sample.table().rows] == ["−1.0000", "+0.5000"]
    text = Explanation("cat dog lamp", 0.25, pairs, spans, 0.25)
    assert text.summary("bias").startswith("Not trained on. Effect if added +0.25")
    assert "adding it is predicted to raise bias by 0.25" in text.summary("bias")
    assert "25 % of its expected word pairs occur nowhere" in text.summary("bias")
    assert [str(row[0]) for row in text.table().rows] == ["+0.5000", "−0.2500"]
    assert len(text.table(1).rows) == 1
    none = Explanation("cat", 0.0, [], [], 0.0)
    assert "predicted to leave bias as it is" in none.summary("bias")
