"""Packages that an extra brings: where one is missing, one sentence that says what to install. Anything may use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

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
        raise UserError(
            f'{what} needs {missing.name}: run `pip install "crossloss[{extra}]"{_pin(extra)}`.'
        ) from missing


def _pin(extra: str) -> str:
    """For an extra that would replace torch by the newest (ekfac, by way of torchvision): the torch that is here."""
    return f" torch=={version('torch').partition('+')[0]}" if extra == "ekfac" else ""
