"""Reading aids: what is found has what was asked for and nothing is missing; near-duplicates are by Jaccard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.scores import reading
from crossloss.scores.reading import ALIKE, group_near_duplicates, select
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TEXTS = random_sentences(5)
NAMES = [f"d{i % 4}" for i in range(len(TEXTS))]


@pytest.fixture(scope="module")
def scores():
    run = train_on(cl.from_sentences(TEXTS, NAMES), min_count=1, dimension=4, steps=8, lr=0.5, dtype="float64")
    return cl.score(run, [TEST])


@given(st.sampled_from([None, "d1"]), st.sampled_from([None, "WAA", "wab"]), st.sampled_from([-1, 0, 1]))
@settings(max_examples=18, deadline=None)
def test_found_is_what_was_asked_for(scores, document, word, sign):
    values = scores.of()
    wanted = {
        i
        for i, text in enumerate(TEXTS)
        if (document is None or NAMES[i] == document)
        and (word is None or word.lower() in text.lower().split())
        and (sign == 0 or values[i] * sign > 0)
    }
    found = select(scores, document=document, word=word, sign=sign)
    assert set(found.tolist()) == wanted
    assert len(found) == len(wanted)
    assert (np.diff(np.abs(values[found])) <= 0).all()


def test_what_is_not_there(scores):
    with pytest.raises(UserError, match="no document 'd9'"):
        select(scores, document="d9")
    with pytest.raises(UserError, match="no word 'zzz'"):
        select(scores, word="zzz")


words = st.lists(st.sampled_from("abcdefg"), max_size=8)


@pytest.mark.parametrize("at_once", [3, 50_000])
@given(st.lists(words, min_size=1, max_size=12), st.integers(1, 12), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_folding_by_jaccard(at_once, rows, count, random):
    reading.AT_ONCE = at_once
    corpus = cl.from_sentences([*map(" ".join, rows), "end"])
    order = np.array(random.sample(range(len(rows)), len(rows)))
    expected, left = [], order.tolist()
    while left and len(expected) < count:
        one = set(rows[left[0]])

        def alike(i, one=one):
            both = one | set(rows[i])
            return bool(both) and len(one & set(rows[i])) >= ALIKE * len(both)

        group = [left[0], *(i for i in left[1:] if alike(i))]
        expected.append(group)
        left = [i for i in left if i not in group]
    assert [group.tolist() for group in group_near_duplicates(corpus, order, count)] == expected


def test_totals_are_sums(scores):
    table = scores.totals(NAMES)
    assert {name: size for name, _, size in table} == {f"d{i}": NAMES.count(f"d{i}") for i in range(4)}
    for name, effect, _ in table:
        assert effect == pytest.approx(scores.group([i for i, d in enumerate(NAMES) if d == name]))
    assert table == scores.documents()
    with pytest.raises(UserError, match="3 labels were given"):
        scores.totals(["a", "b", "c"])
