"""Types of the fields of objectives: how each is cleaned and checked, whoever gives it."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationInfo

from crossloss.core import UserError
from crossloss.objectives.words import normalise, normalise_all


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
