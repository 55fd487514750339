"""Several processes, one run: started by torchrun, each does its part of a pass, and sums make the whole.

Every process holds all parameters and walks through the same program, with words of its own in a dense pass and samples
of its own in counting and scoring; a sum (all-reduce) leaves the same bytes everywhere. One process is one of one.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from crossloss.core import UserError

TIMEOUT = "CROSSLOSS_TIMEOUT"
"""Environment variable: seconds to wait for another process within a pass before it counts as dead (60)."""
PATIENCE = timedelta(hours=2)
"""How long the others wait where the first process works alone, as it writes files; a death is noticed at once."""

_patient: "dist.ProcessGroup | None" = None


@contextmanager
def joined() -> Iterator[None]:
    """Belong to the processes that torchrun started, by gloo and nccl, for the length of the block; else do nothing."""
    global _patient
    if "TORCHELASTIC_RUN_ID" not in os.environ or dist.is_initialized():
        yield
        return
    limit = timedelta(seconds=float(os.environ.get(TIMEOUT, "60")))
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=limit)
        _patient = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"The processes do not find each other ({_reason(error)}): see docs/cluster.md.") from error
    try:
        yield
    finally:
        _patient = None
        if not isinstance(sys.exc_info()[1], UserError):  # beside a dead one there is nobody to take leave of
            dist.destroy_process_group()


def count() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if count() > 1 else 0


def first() -> bool:
    """Whether this is the one that writes files and speaks."""
    return rank() == 0


def part(length: int) -> slice:
    """Own part of ``length`` things in a row; the parts of all are the whole."""
    return slice(*(length * i // count() for i in (rank(), rank() + 1)))


def blocks(length: int, at_once: int) -> Iterator[slice]:
    """Yield own part of ``length`` things in a row, some at a time."""
    mine = part(length)
    for start in range(mine.start, mine.stop, at_once):
        yield slice(start, min(start + at_once, mine.stop))


def add_(tensor: Tensor) -> Tensor:
    """Sum a contiguous tensor over the processes, in place, to the same bytes in each; UserError if another died."""
    if count() > 1:
        _together(lambda: dist.all_reduce(tensor))
    return tensor


def wait() -> None:
    """Go on when every process is here: what the first one wrote can then be read. UserError if another died."""
    if count() > 1:
        _together(lambda: dist.all_reduce(torch.zeros(1), group=_patient))


def _together(work: Callable[[], object]) -> None:
    try:
        work()
    except RuntimeError as error:
        raise UserError(
            f"Process {rank()} of {count()} lost another one ({_reason(error)}): it died, or did not answer within "
            f"{os.environ.get(TIMEOUT, '60')} s ({TIMEOUT}). Give the same command again to go on from the last state."
        ) from error


def _reason(error: Exception) -> str:
    """What gloo or nccl says, without the place in their sources and the advice to developers."""
    return re.sub(r"^\[\S*\] *|\. This is .*", "", str(error).strip().splitlines()[0])
