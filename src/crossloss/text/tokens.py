"""Words of a text with their places in it: one rule for corpora, words of tests and every sentence that is explained.

A text is first prepared: default-ignorable characters (soft hyphen, zero-width joiner, ...) go, letters, marks and
digits get their normal form. Then a regular expression finds words in it, and each is case-folded. References: Unicode
Standard Annexes 15 (normal forms) and 44 (Default_Ignorable_Code_Point); Unicode Standard 3.13 (caseless matching).
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Literal, NamedTuple
from unicodedata import normalize

import regex

from crossloss.core import UserError
from crossloss.utils.extras import needed

Form = Literal["NFKC", "NFC"]
FORM: Form = "NFKC"
"""Normal form of letters, marks and digits unless another is asked for."""
LETTER = r"[\p{L}\p{Nl}\p{No}]"
IN_WORD = r"[\p{L}\p{Nl}\p{No}\p{M}]"
TOKEN_PATTERN = f"{LETTER}{IN_WORD}*"
"""Runs of letters of any script with the marks on them."""
PLAIN = ((TOKEN_PATTERN, r"[^\W\d_]+"), (IN_WORD, r"[^\W\d_]"), (LETTER, r"[^\W\d_]"))
"""What parts of patterns are in plain text, as the digest of a corpus has them."""
WITH_NUMBERS = TOKEN_PATTERN + r"|\d+(?:[.,]\d+)*"
"""The same and numbers, all of which are one word."""
SPLIT = r"\S+"
"""What stands between white space: the pattern of texts whose tokens are split already."""
NUMBER = "<number>"
"""The word that every number is, where the pattern matches numbers."""
UNSPACED = r"\p{lb=SA}\p{Han}\p{Hiragana}\p{Katakana}\p{Tibetan}\p{Javanese}\p{Balinese}"
"""Characters of scripts that put no space between words; lb=SA are Thai, Lao, Khmer, Burmese and their kin."""

_COMPATIBLE = regex.compile(r"[[\p{L}\p{M}\p{Nd}]&&\p{NFKC_QC=No}]", regex.V1)
_IGNORED = regex.compile(r"\p{DI}+")
_SPACE = regex.compile(rf"(?<=[{UNSPACED}]\p{{DI}}*)\u200b|\u200b(?=\p{{DI}}*[{UNSPACED}])")
"""Zero-width spaces, which part words of these scripts and are noise between other letters."""
_FOLDED_OTHERWISE = r"[\p{CWCF}~~\p{CWL}]\u0130\u03a3\u1e9e\u1f88-\u1ffc"
"""Letters that fold to something else than their small letter."""
_BEARS = regex.compile(
    rf"[\p{{M}}\p{{DI}}\p{{NFC_QC=No}}\p{{NFC_QC=Maybe}}[[\p{{L}}\p{{Nd}}]&&\p{{NFKC_QC=No}}]{_FOLDED_OTHERWISE}]",
    regex.V1,
)
_CLUSTER = regex.compile(r"(?s)\s|.[\p{M}\p{NFC_QC=Maybe}]*")
_DOT = regex.compile("(?<=i\u0328?)\u0307+")
"""The dot that is left of a capital I with a dot, which small i has anyway."""
_ASCII_WORDS = re.compile("[A-Za-z]+").findall
"""What the default pattern finds in ASCII text, faster."""


class Token(NamedTuple):
    """A word and the characters of the original text it stands for."""

    start: int
    end: int
    word: str


def plain(text: str) -> bool:
    """Whether no character of a text is changed by normal form, ignored characters, marks or case folding."""
    return text.isascii() or not _BEARS.search(text)


def prepared(text: str, form: Form = FORM) -> str:
    """The text that patterns are matched with; NFKC of letters, marks and digits only, so "km²" gets no digit."""
    if plain(text):
        return text
    seen = _IGNORED.sub("", _SPACE.sub(" ", text))
    if form == "NFKC":
        seen = _COMPATIBLE.sub(lambda match: _compatible(match.group()), seen)
    return normalize("NFC", seen)


@cache
def _compatible(character: str) -> str:
    """NFKC of a character; itself where that has white space, which would make two words of one."""
    changed = normalize("NFKC", character)
    return character if any(map(str.isspace, changed)) else changed


def tokenize(text: str, pattern: str = TOKEN_PATTERN, form: Form = FORM) -> list[Token]:
    """Tokens of a text, with offsets into it as it was given; a pattern that is no regular expression is refused."""
    seen = prepared(text, form)
    spans = [match.span() for match in compiled(pattern).finditer(seen) if match.group()]
    starts, ends = (range(len(text)), range(1, len(text) + 1)) if seen is text else _places(text, form)
    return [Token(starts[start], ends[end - 1], word_of(seen[start:end], form)) for start, end in spans]


def _places(text: str, form: Form) -> tuple[list[int], list[int]]:
    """Where in the text each character of the prepared text starts and ends."""
    changed = ["" if _IGNORED.match(character) else character for character in _SPACE.sub(" ", text)]
    if form == "NFKC":
        changed = [_compatible(character) if _COMPATIBLE.match(character) else character for character in changed]
    origin = [i for i, part in enumerate(changed) for _ in part]
    starts: list[int] = []
    ends: list[int] = []
    for cluster in _CLUSTER.finditer("".join(changed)):
        size = len(normalize("NFC", cluster.group()))
        starts += [origin[cluster.start()]] * size
        ends += [origin[cluster.end() - 1] + 1] * size
    return starts, ends


def finder(pattern: str) -> Callable[[str], list[str]]:
    """Function that lists the words of a prepared text as they stand there; groups of the pattern mean nothing."""
    rule = compiled(pattern)
    if pattern == TOKEN_PATTERN:
        return lambda text: _ASCII_WORDS(text) if text.isascii() else rule.findall(text)
    if rule.groups:
        return lambda text: [match.group() for match in rule.finditer(text) if match.group()]
    return lambda text: list(filter(None, rule.findall(text)))


@cache
def compiled(pattern: str) -> "regex.Pattern[str]":
    r"""A token pattern, compiled by ``regex``: ``\w`` has marks in it, and ``\p{L}`` is any letter."""
    if not isinstance(pattern, str):
        raise UserError(f"--token-pattern is of type {type(pattern).__name__}: give a regular expression as a string.")
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise UserError(f"--token-pattern {pattern!r} is no regular expression ({error}).") from error


def word_of(match: str, form: Form = FORM) -> str:
    """Word that a match in a prepared text counts as: ``NUMBER`` where it is digits, points, commas."""
    number = match[:1].isdecimal() and all(c.isdecimal() or c in ".," for c in match)
    return NUMBER if number else _folded(match, form)


def _folded(match: str, form: Form) -> str:
    """Case folded, which maps ß to ss and ς to σ; İ is i."""
    if match.isascii():
        return match.lower()
    folded = normalize("NFD", _DOT.sub("", normalize("NFD", match).casefold())).casefold()
    return prepared(normalize("NFC", folded), form)


def normal(word: str, form: Form = FORM) -> str:
    """A word that a user gives, such as a test's, as the vocabulary has the same word of a text; "" for white space."""
    return _folded(" ".join(prepared(word, form).split()), form)


def stop_words() -> frozenset[str]:
    """Stop words of English, as gensim has them (337, of Stone, Dennis, Kwantes 2010)."""
    with needed("gensim", "The list of stop words"):
        from gensim.parsing.preprocessing import STOPWORDS
    return frozenset(STOPWORDS)


def pattern_without(words: Iterable[str]) -> str:
    """Regular expression of a word that is none of these, whatever its case: what stands beside them is neighbours."""
    left_out = "|".join(sorted(regex.escape(prepared(word)) for word in words))
    if not left_out:
        return TOKEN_PATTERN
    return rf"(?<!{IN_WORD})(?!(?i:{left_out})(?!{IN_WORD})){TOKEN_PATTERN}"


def cut(words: Iterable[str], pattern: str, form: Form = FORM) -> dict[str, list[str]]:
    """Those of some words that the pattern can find in no text, with what it makes of each."""
    made = {word: [token.word for token in tokenize(word, pattern, form)] for word in words if word != NUMBER}
    return {word: parts for word, parts in made.items() if parts != [word]}


def foreign(words: Iterable[str], known: Iterable[str]) -> str:
    """What to do about missing words that have marks or digits which no known word has; "" where none has."""
    in_words = compiled(IN_WORD)
    others = {word: marks for word in words if (marks := {c for c in word if not in_words.match(c)})}
    seen: set[str] = set().union(*known) if others else set()
    for word, marks in others.items():
        if left := sorted(marks - seen):
            shown = "a space" if left[0] == " " else f"a {left[0]!r}"
            return (
                f"no word here has {shown} as {word!r} has, because the token pattern cuts there: read the corpus with "
                "a --token-pattern that matches it, with --tokens if its spaces part words, or write the word otherwise"
            )
    return ""
