"""Packages that an extra brings: where one is missing, one sentence that says what to install. Anything may use it."""

from collections.abc import Iterator
from contextlib import contextmanager

from crossloss.core import UserError


@contextmanager
def needed(extra: str, what: str) -> Iterator[None]:
    """Import inside of this what ``extra`` installs.

    Parameters
    ----------
    extra : str
        As in pyproject.toml.
    what : str
        What needs it, for the sentence.

    Raises
    ------
    UserError
        A package is not installed.
    """
    try:
        yield
    except ImportError as missing:
        raise UserError(f'{what} needs {missing.name}: run `pip install "crossloss[{extra}]"`.') from missing
