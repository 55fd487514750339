"""One thread a tile: Python threads that each run torch's operations on one core.

Torch would split every operation of a tile between the cores and wait for all of them at its end, thousands of
times a pass; one busy core more on the machine, and all wait for it (docs/performance.md). Here each thread takes
its own strips of words and meets the others once a pass.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")


@contextmanager
def one_core() -> Iterator[None]:
    """Torch's operations run on one core, in this thread and in those started meanwhile; also as a decorator."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def each_in_a_thread(work: Callable[[T], object], shares: Sequence[T]) -> None:
    """Call ``work`` with every share, at the same time; inline where there is one. For use under ``one_core``.

    An exception of any share is raised once all have ended.
    """
    if len(shares) == 1:
        work(shares[0])
        return
    with ThreadPoolExecutor(len(shares)) as pool:
        for done in [pool.submit(work, share) for share in shares]:
            done.result()
