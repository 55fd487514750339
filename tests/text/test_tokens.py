"""Words of any script against a slow reading of the same rules, character by character; offsets into the original."""

import re
import unicodedata
from functools import cache

import pytest
import regex
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.text.tokens import (
    NUMBER,
    SPLIT,
    TOKEN_PATTERN,
    cut,
    finder,
    foreign,
    normal,
    plain,
    prepared,
    tokenize,
    word_of,
)
from slowwords import slow_tokens, strange

FORMS = ("NFKC", "NFC")
TRICKY = [
    "e", "E", "\u0301", "\u0323", "\u0345", "\u0307", "i", "I", "İ", "ı", "ß", "ẞ", "Σ", "ς", "ﬁ", "™", "²",
    "ｗ", "\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\ufe0f", "ก", "ា", "字", "カ", "\uff9e",
    "ㄱ", "ㅏ", "\u1161", "क", "\u093c", "ि", "م",
    "\u064e", " ", "-", "_", "'", "1", "١", "𝟙", "ﷺ", "Ǆ", "ŉ", "\u0344", "\u212b", "\ud800", "🧑", "\U000e0041",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(TRICKY), max_size=12).map("".join),
    st.lists(st.sampled_from(["a", "\u0301", "\u0327", "\u00ad", "\u200b", "é", "\u0307", "I", " "]), max_size=10).map(
        "".join
    ),
)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from(FORMS))
@example("e\u00ad\u0301", "NFKC")
@example("a\u3164b c\uffa0\u0301", "NFKC")  # fillers: ignored, though NFKC makes a letter of them
def test_words_and_offsets_are_those_of_a_slow_reading(text, form):
    assume(not strange(text))
    assert [tuple(token) for token in tokenize(text, form=form)] == slow_tokens(text, form)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from([TOKEN_PATTERN, SPLIT, r"\w+", r"(\w)+|\S", r"[^ ]*"]), st.sampled_from(FORMS))
def test_offsets_point_at_the_words_of_the_original(text, pattern, form):
    tokens = tokenize(text, pattern, form)
    seen = prepared(text, form)
    words = [word_of(word, form) for word in finder(pattern)(seen)]
    assert [token.word for token in tokens] == words, "offsets and counting see the same words"
    before = 0
    for token in tokens:
        assert 0 <= token.start < token.end <= len(text)
        assert token.start >= before or pattern not in (TOKEN_PATTERN, SPLIT)
        before = token.end
        if pattern == SPLIT:
            assert word_of(prepared(text[token.start : token.end], form), form) == token.word
    if pattern == SPLIT and not any(c in text for c in "\u200b"):
        ignored = regex.compile(r"[\p{DI}\s]")
        inside = {i for token in tokens for i in range(token.start, token.end)}
        assert inside >= {i for i, c in enumerate(text) if not ignored.match(c)}, "no character is lost"


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(FORMS))
def test_equivalent_texts_have_equal_words(text, form):
    """Decomposed, composed and with soft hyphens strewn in: the same words."""
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        return
    words = [token.word for token in tokenize(text, form=form)]
    for other in (unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text), "\u00ad".join(text)):
        assert [token.word for token in tokenize(other, form=form)] == words


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(FORMS))
def test_a_word_found_is_found_again_and_is_its_own_normal_form(text, form):
    for token in tokenize(text, form=form):
        assert normal(token.word, form) == token.word
        if " " not in token.word:
            assert cut([token.word], TOKEN_PATTERN, form) == {}


@cache
def every_character():
    return [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]


def test_plain_characters_are_left_alone_and_fold_to_their_small_letter():
    for c in every_character():
        if plain(c):
            assert unicodedata.normalize("NFC", f"a{c}b") == f"a{c}b"
            assert unicodedata.category(c)[0] != "M"
            assert word_of(c) == (NUMBER if c.isdecimal() else c.lower())


def test_letters_are_what_they_were():
    """Of characters that Python's own tables know; they are one Unicode version behind."""
    old = re.compile(r"[^\W\d_]")
    for c in every_character():
        if unicodedata.category(c) != "Cn":
            assert bool(finder(TOKEN_PATTERN)(c)) == bool(old.match(c)), hex(ord(c))


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_the_faster_way_through_ascii_is_the_pattern(text):
    assert finder(TOKEN_PATTERN)(text) == regex.findall(TOKEN_PATTERN, text) == re.findall(r"[^\W\d_]+", text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ångström's naïve_x 42 U.S.", ["ångström", "s", "naïve", "x", "u", "s"]),
        ("A\u030angstro\u0308m", ["ångström"]),
        ("İstanbul I\u0307stanbul istanbul ISTANBUL", ["istanbul"] * 4),
        ("Straße STRASSE STRAẞE", ["strasse"] * 3),
        ("ΟΔΟΣ οδος", ["οδοσ"] * 2),
        ("ﬁnance ｆｉｎａｎｃｅ 𝐟inance", ["finance"] * 3),
        ("Windows™ km²", ["windows", "km²"]),
        (
            "wo\u00adman wo\u200bman wo\u200dman wo\u2060man wo\ufeffman wo\u034fman wo\ufe0fman wo\u200eman",
            ["woman"] * 8,
        ),
        ("हिन्दी में लड़की लड\u093cकी", ["हिन्दी", "में", "लड\u093cकी", "लड\u093cकी"]),
        ("می\u200cخواهم میخواهم", ["میخواهم"] * 2),
        ("الكِتَاب", ["الكِتَاب"]),
        ("இந்தியா শিক্ষা", ["இந்தியா", "শিক্ষা"]),
        ("ภาษา\u200bไทย", ["ภาษา", "ไทย"]),
        ("שָׁלוֹם", [unicodedata.normalize("NFC", "שָׁלוֹם")]),
    ],
)
def test_words_as_people_read_them(text, words):
    assert [token.word for token in tokenize(text)] == words


def test_nfc_keeps_letters_of_compatibility_apart():
    assert [t.word for t in tokenize("ｗ w", form="NFC")] == ["ｗ", "w"]
    assert [t.word for t in tokenize("e\u0301", form="NFC")] == ["é"]


def test_groups_mean_nothing_and_empty_matches_are_no_words():
    rows = ["man's book", "won't go"]
    grouped = cl.from_sentences(rows, token_pattern=r"\w+('\w+)?")
    assert grouped.types == ["man's", "book", "won't", "go"]
    assert cl.from_sentences(rows, token_pattern=r"(?P<x>\w)+('(\w)+)?").types == grouped.types
    assert cl.from_sentences(rows, token_pattern=r"[\w']*").types == grouped.types
    assert [t.word for t in grouped[0].tokens] == ["man's", "book"]
    with pytest.raises(UserError, match=r"none matches '\\\\b'"):
        cl.from_sentences(rows, token_pattern=r"\b")
    for pattern in ("[", "(", "a{2,1}", "(?P<1>a)"):
        with pytest.raises(UserError, match="no regular expression"):
            cl.from_sentences(rows, token_pattern=pattern)
    with pytest.raises(UserError, match="of type int"):
        cl.from_sentences(rows, token_pattern=3)


def test_words_that_a_pattern_never_finds_are_known():
    words = ["new_york", "new york", "well-known", "o'clock", "r2d2", "woman", "café"]
    assert cut(words, TOKEN_PATTERN) == {
        "new_york": ["new", "york"],
        "new york": ["new", "york"],
        "well-known": ["well", "known"],
        "o'clock": ["o", "clock"],
        "r2d2": ["r", "d"],
    }
    assert list(cut(words, r"\w+")) == ["new york", "well-known", "o'clock"]
    assert list(cut(words, SPLIT)) == ["new york"]
    assert foreign(["absent", "new_york"], ["york", "new"]).startswith("no word here has a '_' as 'new_york' has")
    assert foreign(["new_york"], ["los_angeles"]) == foreign(["absent"], ["york"]) == ""


def test_the_digest_has_the_form_where_it_bears_on_a_text():
    def digest(text, form):
        return cl.from_sentences([text], form=form).digest

    assert digest("red blue café", "NFKC") == digest("red blue café", "NFC")
    assert digest("red ﬁ", "NFKC") != digest("red ﬁ", "NFC")
    with pytest.raises(UserError, match="NFKC or NFC"):
        cl.from_sentences(["red"], form="NFD")


def test_the_form_comes_back_with_the_table():
    corpus = cl.from_sentences(["ｗ w"], form="NFC")
    again = type(corpus).from_table(corpus.to_table())
    assert (again.form, again.types, again.digest) == ("NFC", ["ｗ", "w"], corpus.digest)
    assert [t.word for t in again[0].tokens] == ["ｗ", "w"]


def test_split_tokens_are_taken_as_they_are():
    corpus = cl.from_sentences(["男人 在 城市 New_York won't 1999 ，"], tokens=True)
    assert corpus.types == ["男人", "在", "城市", "new_york", "won't", NUMBER, "，"]
    with pytest.raises(UserError, match="leave --token-pattern out"):
        cl.from_sentences(["a b"], tokens=True, token_pattern=r"\w+")
