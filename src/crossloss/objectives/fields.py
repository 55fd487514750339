"""Types of the fields of objectives: how words and numbers are cleaned and checked, whoever gives them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationInfo

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
    """Words of a list, tuple, set, one-dimensional array or column, as the vocabulary has them; a set in order.

    Where one is enough it may be given alone. UserError, which calls them ``what``, for what is no list of words, for
    fewer than ``least``, and for one twice if ``unique``.
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


def _set(least: int) -> PlainValidator:
    return PlainValidator(lambda words, info: normalise_all(words, str(info.field_name), least))


def _numbers(numbers: Any, info: ValidationInfo) -> tuple[float, ...]:
    try:
        if isinstance(numbers, str | bytes):
            raise TypeError("a string")
        return tuple(float(number) for number in numbers)
    except (TypeError, ValueError) as error:
        raise UserError(f"{info.field_name} must be numbers: give a list of numbers ({error}).") from error


Word = Annotated[str, PlainValidator(normalise)]
"""One word."""
Words = Annotated[Sequence[str], _set(1)]
"""A set of words, a tuple when it is read; one may be given alone."""
AnyWords = Annotated[Sequence[str], _set(0)]
"""The same, which may be empty."""
TwoOrMore = Annotated[Sequence[str], _set(2)]
"""A set of two words or more."""
Numbers = Annotated[Sequence[float], PlainValidator(_numbers)]
"""Any number of numbers, a tuple when it is read."""
