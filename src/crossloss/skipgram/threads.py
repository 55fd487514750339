"""One thread a tile: Python threads that each run torch's operations on one core.

Torch would split every operation of a tile between the cores and wait for all of them at its end, thousands of
times a pass; one busy core more on the machine, and all wait for it (docs/performance.md). Here each thread takes
its own strips of words and meets the others once a pass.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def each_in_a_thread(work: Callable[[T], object], shares: Sequence[T]) -> None:
    """Call ``work`` with every share, at the same time; inline where there is one.

    An exception of any share is raised once all have ended.
    """
    if len(shares) == 1:
        work(shares[0])
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(shares), initializer=_on_one_core) as pool:
            for done in [pool.submit(work, share) for share in shares]:
                done.result()
    finally:
        torch.set_num_threads(threads)


def _on_one_core() -> None:
    # The first call makes torch's settings for this thread, which would otherwise replace those of the second.
    torch.get_num_threads()
    torch.set_num_threads(1)
