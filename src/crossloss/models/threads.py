"""One thread where torch's would only wait for each other, at the end of every operation (docs/performance.md).

Large skip-gram passes have Python threads instead: each takes its own strips of words.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

import torch

T = TypeVar("T")
_given: ContextVar[bool] = ContextVar("threads of a loop", default=False)
SMALL = 20_000_000
"""Parameters times samples of a pass below which torch's threads cost more than they save (benchmarks/threads.py)."""


@contextmanager
def one_core() -> Iterator[None]:
    """Torch's operations run on one core, in this thread and in those started meanwhile; also as a decorator."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def threads_of_a_loop(count: int) -> Iterator[None]:
    """As many threads as a loop had, small or not: sums in another order round otherwise."""
    threads, before = torch.get_num_threads(), _given.get()
    torch.set_num_threads(count)
    _given.set(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        _given.set(before)


def one_core_where_small(work: int, device: torch.device) -> AbstractContextManager[None]:
    """``one_core`` for a pass on the CPU of fewer than ``SMALL`` parameters times samples; else nothing."""
    small = device.type == "cpu" and work < SMALL and not _given.get()
    return one_core() if small else nullcontext()


def dealt(things: Iterable[T], threads: int) -> list[list[T]]:
    """Things dealt in turn to so many threads, or to fewer where they are fewer."""
    every = list(things)
    return [every[i :: min(threads, len(every))] for i in range(min(threads, len(every)))]


def each_in_a_thread(work: Callable[[T], object], shares: Sequence[T]) -> None:
    """Call ``work`` with every share at the same time, under ``one_core``; an error is raised once all have ended."""
    if len(shares) < 2:
        for share in shares:
            work(share)
        return
    with ThreadPoolExecutor(len(shares)) as pool:
        for done in [pool.submit(work, share) for share in shares]:
            done.result()
