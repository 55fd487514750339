"""Words of a text with their places in it."""

import re
from typing import NamedTuple

LETTER = r"[^\W\d_]"
TOKEN_PATTERN = LETTER + "+"
"""Runs of letters of any script."""
WITH_NUMBERS = TOKEN_PATTERN + r"|\d+(?:[.,]\d+)*"
"""The same and numbers, all of which are one word."""
NUMBER = "<number>"
"""The word that every number is, where the pattern matches numbers."""


class Token(NamedTuple):
    """A word, as ``word_of`` gives it, and the characters of the original text it stands for."""

    start: int
    end: int
    word: str


def tokenize(text: str, pattern: str = TOKEN_PATTERN) -> list[Token]:
    """Tokens of a text; ``word_of(text[token.start:token.end]) == token.word``.

    Each match is lower-cased on its own, so that offsets stay those of the original text.
    """
    return [Token(m.start(), m.end(), word_of(m.group())) for m in re.finditer(pattern, text)]


def word_of(match: str) -> str:
    """What a match of the pattern counts as: itself, lower-cased; ``NUMBER`` where it is digits, points and commas."""
    number = match[:1].isdecimal() and all(c.isdecimal() or c in ".," for c in match)
    return NUMBER if number else match.lower()
