"""Words that a user gives, as the vocabulary has them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crossloss.core import UserError
from crossloss.text.tokens import normal

LONGEST = 200
"""Characters of a word."""


def normalise(word: Any) -> str:
    """A word as the vocabulary has it: in normal form, case-folded; UserError for what is no word, or too long."""
    if not isinstance(word, str):
        raise UserError(f"A word of an objective is of type {type(word).__name__}: give strings.")
    if any("\ud800" <= character <= "\udfff" for character in word):
        raise UserError(f"{word!r} holds half of a character, which no text has: give words.")
    made = normal(str(word))
    if not made:
        raise UserError("A word of an objective is empty: give words.")
    if len(made) > LONGEST:
        raise UserError(f"A word of an objective is {len(made)} characters long: a word has at most {LONGEST}.")
    return made


def normalise_all(
    words: str | Iterable[str], what: str = "a set of words", least: int = 1, *, unique: bool = True
) -> tuple[str, ...]:
    """Words of a list, tuple, set, one-dimensional array or column, as the vocabulary has them.

    Where one is enough it may be given alone. A Python set is put into order. UserError, which calls them ``what``, for
    what is no list of words (a text, a dict, a table), for fewer than ``least``, and for one twice if ``unique``.
    """
    if isinstance(words, str):
        if least > 1 or words.replace(",", " ").split() != [words.strip()]:
            raise UserError(f"{words!r} is one string where {what} is wanted: give a list of words.")
        return (normalise(words),)
    if isinstance(words, bytes | Mapping) or not isinstance(words, Iterable) or len(getattr(words, "shape", ())) > 1:
        raise UserError(f"A {type(words).__name__} was given where {what} is wanted: give a list of words.")
    cleaned = [normalise(word) for word in words]
    if unique and len(set(cleaned)) < len(cleaned):
        twice = next(word for word in cleaned if cleaned.count(word) > 1)
        raise UserError(f"{twice!r} stands twice in {what}: name each word once.")
    if len(cleaned) < least:
        has = f"has {len(cleaned)} word{'s' * (len(cleaned) != 1)}" if cleaned else "is empty"
        raise UserError(f"{what.capitalize() if what[0] == 'a' else what} {has}: give {least} or more.")
    return tuple(sorted(cleaned) if isinstance(words, set | frozenset) else cleaned)


def join_words(words: Sequence[str]) -> str:
    """Words for a sentence: all of three, else the first two and how many more."""
    if len(words) <= 3:
        return ", ".join(words)
    return f"{words[0]}, {words[1]} and {len(words) - 2} more"


def name_from_words(kind: str, *sets: Sequence[str]) -> str:
    """Name of an objective that was given none: similarity-he-nurse, margin-dooku-vader_and_2-kirk."""
    parts = [words[0] if len(words) == 1 else f"{words[0]}_and_{len(words) - 1}" for words in sets if words]
    return "-".join("".join(c if c.isalnum() or c in "-_" else "_" for c in part) for part in (kind, *parts))
