"""Progress with time left: quiet by default, bars on the terminal's error stream inside of ``with cl.progress():``."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from crossloss.core import Progress, silent
from crossloss.utils import distributed

Tracker = Callable[[str], AbstractContextManager[Progress]]
"""Opens a piece of work by name and gives the function to call with (done, total)."""
_tracker: ContextVar[Tracker] = ContextVar("tracker", default=lambda name: nullcontext(silent))
_shown: ContextVar[RichProgress | None] = ContextVar("shown", default=None)
"""The bars that stand on the terminal."""


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    """Show one bar with elapsed and remaining time while the block runs; one inside of another goes when it is done."""
    if (outer := _shown.get()) is not None:
        task = outer.add_task(name, total=None)
        try:
            yield lambda done, total: outer.update(task, completed=done, total=total)
        finally:
            outer.remove_task(task)
        return
    times = (MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    console = Console(stderr=True, quiet=not distributed.first())
    with RichProgress(TextColumn("{task.description:<28}"), BarColumn(), *times, console=console) as shown:
        token, task = _shown.set(shown), shown.add_task(name, total=None)
        try:
            yield lambda done, total: shown.update(task, completed=done, total=total)
        finally:
            _shown.reset(token)


def track(name: str) -> AbstractContextManager[Progress]:
    """Open a piece of work: ``with track("training") as progress: ... progress(done, total)``."""
    return _tracker.get()(name)


@contextmanager
def progress(tracker: Tracker = _bar) -> Iterator[None]:
    """Show progress of everything that runs inside of the block.

    Parameters
    ----------
    tracker : callable, optional
        Opens a piece of work by its name and gives a function of (done, total); a bar on the terminal by default.

    Examples
    --------
    >>> with cl.progress():
    ...     scores = cl.score(run, [weat])
    """
    token = _tracker.set(tracker)
    try:
        yield
    finally:
        _tracker.reset(token)


@contextmanager
def part(label: str) -> Iterator[None]:
    """Put a label before the name of every piece of work inside of the block."""
    outer = _tracker.get()
    with progress(lambda name: outer(f"{label}: {name}")):
        yield
