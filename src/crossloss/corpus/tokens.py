"""Words of a text with their places in it."""

import re
from typing import NamedTuple

LETTER = r"[^\W\d_]"
TOKEN_PATTERN = LETTER + "+"
"""Runs of letters of any script."""


class Token(NamedTuple):
    """A word, lower-cased, and the characters of the original text it stands for."""

    start: int
    end: int
    word: str


def tokenize(text: str, pattern: str = TOKEN_PATTERN) -> list[Token]:
    """Tokens of a text; ``text[token.start:token.end].lower() == token.word``.

    Each match is lower-cased on its own, so that offsets stay those of the original text.
    """
    return [Token(m.start(), m.end(), m.group().lower()) for m in re.finditer(pattern, text)]
