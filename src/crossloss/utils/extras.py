"""Packages that an extra brings: where one is missing, one sentence that says what to install."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from crossloss.core import UserError


@contextmanager
def needed(extra: str, what: str) -> Iterator[None]:
    """Import inside of this what the ``extra`` of pyproject.toml installs; refused where ``what`` needs it in vain."""
    try:
        yield
    except ImportError as missing:
        # ekfac brings torchvision, which would replace torch by the newest
        pin = f" torch=={version('torch').partition('+')[0]}" if extra == "ekfac" else ""
        raise UserError(f'{what} needs {missing.name}: run `pip install "crossloss[{extra}]"{pin}`.') from missing
