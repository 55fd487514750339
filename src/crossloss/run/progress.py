"""Progress with time left: quiet by default, bars on the terminal's error stream when asked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from crossloss import distributed
from crossloss.core import Progress

Track = Callable[[str], AbstractContextManager[Progress]]
"""Opens a piece of work by name and gives the function to call with (done, total)."""


@contextmanager
def quiet(name: str) -> Iterator[Progress]:
    """Show nothing."""
    yield lambda done, total: None


@contextmanager
def bars(name: str) -> Iterator[Progress]:
    """Show one bar with elapsed and remaining time while the block runs."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True, quiet=not distributed.first())) as shown:
        task = shown.add_task(name, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def part_of(track: Track, label: str) -> Track:
    """The same, with a label before every name: which part of a long piece of work it belongs to."""
    return lambda name: track(f"{label}: {name}")
