"""What a backward walk over a run saves of itself, and takes up again after a stop."""

from collections.abc import Mapping

import torch
from torch import Tensor, tensor

from crossloss.core import Accumulator, Checkpoint, State
from crossloss.utils import distributed


def resume(
    checkpoint: Checkpoint | None, into: Accumulator, alike: Mapping[str, Tensor] | None = None
) -> tuple[int, State] | None:
    """The step to go on before and the ``bar`` there, with the sums copied into ``into``; None at the start.

    Also None where sums of other names were saved, such as of pairs in another order, or what must be ``alike`` is not,
    by any process.
    """
    saved = checkpoint.load() if checkpoint else None
    if saved is None:
        return None
    sums = {f"sum.{name}": live for name, live in into.tensors().items()}
    others = sums.keys() != {name for name in saved if name.startswith("sum.")}
    others |= any(not torch.equal(saved[f"bar.{name}"], wanted) for name, wanted in (alike or {}).items())
    if distributed.add_(tensor([float(others)])) > 0:
        return None
    for name, live in sums.items():
        live.copy_(saved[name])
    return int(saved["step"]), {name[4:]: t.clone() for name, t in saved.items() if name.startswith("bar.")}


def save(checkpoint: Checkpoint | None, t: int, bar: dict[str, Tensor], into: Accumulator) -> None:
    """Save where the walk is, if it is time to."""
    if checkpoint and t > 0 and checkpoint.due(t):
        sums = {f"sum.{name}": live for name, live in into.tensors().items()}
        checkpoint.save({"step": tensor(t)} | sums | {f"bar.{name}": live for name, live in bar.items()})
