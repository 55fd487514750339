import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossloss.report.text import CONTEXT, LONGEST, clean, highlight

any_text = st.text(st.characters(exclude_categories=()), max_size=60)
spans = st.lists(
    st.tuples(st.integers(-5, 70), st.integers(-5, 70), st.floats(-10, 10) | st.just(math.nan)), max_size=12
)


@given(any_text, spans)
def test_pieces_joined_are_the_text_and_carry_the_sum_of_the_spans_over_each_character(text, spans):
    pieces = highlight(text, spans)
    assert "".join(p.text for p in pieces) == text
    at = 0
    for piece in pieces:
        for i in range(at, at + len(piece.text)):
            expected = sum(v for a, b, v in spans if a <= i < b and not math.isnan(v))
            assert piece.contribution == pytest.approx(expected, abs=1e-12)
        at += len(piece.text)


@given(any_text, spans)
def test_level_has_the_sign_of_the_contribution_and_grows_with_it(text, spans):
    pieces = sorted(highlight(text, spans), key=lambda p: abs(p.contribution))
    assert all(abs(p.level) <= 4 and p.level * p.contribution >= 0 for p in pieces)
    levels = [abs(p.level) for p in pieces]
    assert levels == sorted(levels)
    if pieces and pieces[-1].contribution:
        assert levels[-1] == 4


def test_levels_of_known_contributions():
    pieces = highlight("abcdef", [(0, 1, 1.0), (1, 2, -0.5), (2, 3, 0.26), (3, 4, -0.2), (4, 5, 0.05)])
    assert [(p.text, p.level) for p in pieces] == [
        ("a", 4), ("b", -2), ("c", 2), ("d", -1), ("e", 0), ("f", 0)
    ]  # fmt: skip


def test_overlapping_spans_add_up():
    pieces = highlight("my sister", [(0, 9, 0.5), (3, 9, -1.5)])
    assert [(p.text, p.contribution) for p in pieces] == [("my ", 0.5), ("sister", -1.0)]


def test_a_long_text_is_cut_around_its_strongest_words():
    text = "x " * 250_000 + "sister" + " y" * 250_000 + " calculus"
    a, b = text.index("sister"), text.index("calculus")
    pieces = highlight(text, [(a, a + 6, 2.0), (b, b + 8, -1.0), (0, 1, 0.001)])
    kept = "".join(p.text for p in pieces)
    assert "sister" in kept
    assert "calculus" in kept
    assert len(kept) <= LONGEST
    assert len(kept) + sum(p.left_out for p in pieces) == len(text)
    assert next(p.level for p in pieces if p.text == "sister") == 4
    at = 0  # Every piece stands where it stood.
    for p in pieces:
        assert text.startswith(p.text, at)
        at += len(p.text) + p.left_out
    assert text[a - CONTEXT : a] in kept


def test_a_long_text_of_many_strong_words_keeps_its_share_of_them():
    text = "sister calculus " * 10_000
    pieces = highlight(text, [(i * 1600, i * 1600 + 6, 1.0 + i) for i in range(100)])
    kept = sum(len(p.text) for p in pieces)
    assert LONGEST - 2 * CONTEXT < kept <= LONGEST
    assert pieces[-1].left_out > 0
    assert max(p.contribution for p in pieces) == 100.0


@pytest.mark.parametrize("spans", [[], [(0, 1_000_000, 1.0)]])
def test_a_long_text_of_no_word_or_one_is_cut_too(spans):
    kept = highlight("a" * 1_000_000, spans)
    assert sum(len(p.text) for p in kept) == LONGEST
    assert sum(p.left_out for p in kept) == 1_000_000 - LONGEST


@given(any_text)
def test_clean_keeps_length_and_encodes(text):
    shown = clean(text)
    assert len(shown) == len(text)
    shown.encode("utf-8")
    for old, new in zip(text, shown, strict=True):
        hidden = (ord(old) < 32 and old not in "\t\n") or 127 <= ord(old) < 160 or 0xD800 <= ord(old) < 0xE000
        assert new == ("\ufffd" if hidden or ord(old) in (0xFFFE, 0xFFFF) else old)


def test_clean_shows_what_terminals_would_obey():
    assert clean("a\x00b\x1b[31mc\x9b2J\ud800\tד\n") == "a\ufffdb\ufffd[31mc\ufffd2J\ufffd\tד\n"
