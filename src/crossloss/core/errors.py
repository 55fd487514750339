"""What a user can put right, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can put right: one sentence that says what is wrong and what to do.

    Examples
    --------
    >>> try:
    ...     cl.score(run, [])
    ... except cl.UserError as error:
    ...     print(error)
    Name at least one objective to score.
    """


class Absent(UserError, KeyError):
    """A name that is not there: what a mapping raises, and a sentence to the user."""

    __str__ = Exception.__str__


@contextmanager
def refusing(errors: type[Exception] | tuple[type[Exception], ...], what: str, advice: str) -> Iterator[None]:
    """Turn errors of a library into one sentence, WHAT (REASON): ADVICE."""
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{what} ({reason}): {advice}.") from error
