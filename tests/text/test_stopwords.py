"""Stop words leave the text as if they had never stood in it, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import crossloss as cl
from crossloss.text.pairs import count_pairs
from crossloss.text.tokens import TOKEN_PATTERN, pattern_without, stop_words, tokenize
from crossloss.text.vocabulary import build_vocabulary

LEFT_OUT = ["the", "of", "a", "é"]
pieces = st.sampled_from(
    ["The", "the", "then", "of", "often", "a", "A", "cat", "été", "É", "don't", "3", "_", "-", "a1b"]
)


@given(st.lists(pieces, max_size=12), st.sampled_from([" ", "", ", "]))
def test_it_is_filtering_the_words(parts, between):
    text = between.join(parts)
    kept = [t for t in tokenize(text) if t.word not in LEFT_OUT]
    assert tokenize(text, pattern_without(LEFT_OUT)) == kept


def test_nothing_to_leave_out():
    assert pattern_without([]) == TOKEN_PATTERN


def test_pairs_are_those_of_the_text_without_them():
    text, plain = ["The cat of a house sat.", "A dog sat"], ["cat house sat", "dog sat"]
    found = []
    for corpus in (cl.from_sentences(text, token_pattern=pattern_without(LEFT_OUT)), cl.from_sentences(plain)):
        vocabulary = build_vocabulary(corpus, min_count=1, subsample=0)
        found.append((vocabulary.words, count_pairs(corpus, vocabulary, window=2).matrix.toarray().tolist()))
    assert found[0] == found[1]


def test_the_list_holds_what_it_should():
    pytest.importorskip("gensim")
    assert {"the", "of", "and"} <= stop_words()
    assert not {"doctor", "kirk", "dooku"} & stop_words()
