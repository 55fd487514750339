"""Parts of the flat parameter vector: slices of its last dimension."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from crossloss.core import UserError

Slices = tuple[tuple[int, int], ...]
"""(start, stop) pairs, in the order in which they are laid end to end."""


def slices(where: Tensor | Iterable[Any]) -> Slices:
    """Slices of (start, stop) pairs, or of an int64 tensor of positions: one for each stretch that rises by one."""
    if isinstance(where, Tensor):
        if where.dim() != 1 or where.dtype != torch.int64 or not len(where):
            raise UserError("The positions of a part must be an int64 tensor (m,), with at least one of them.")
        ends = torch.nonzero(where.diff() != 1).flatten() + 1
        bounds = [0, *ends.tolist(), len(where)]
        where = [(int(where[a]), int(where[b - 1]) + 1) for a, b in pairwise(bounds)]
    found = tuple(tuple(pair) if isinstance(pair, Sequence) else pair for pair in where)
    for pair in found:
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(type(n) is int for n in pair)):
            raise UserError(
                f"A part is a list of (start, stop) pairs of whole numbers, or an int64 tensor: not {pair!r}."
            )
        if not 0 <= pair[0] < pair[1]:
            raise UserError(f"The slice {pair!r} of a part is empty or before 0: give start < stop.")
    if not found:
        raise UserError("A part has no slice: give (start, stop) pairs, or leave the part out.")
    ordered = sorted(found)
    for before, after in pairwise(ordered):
        if before[1] > after[0]:
            raise UserError(f"The slices {before!r} and {after!r} overlap: give each parameter one place.")
    return found


def take(x: Tensor, where: Slices) -> Tensor:
    """The slices of ``x`` (..., p) end to end, (..., m): a view where there is one."""
    parts = [x[..., start:stop] for start, stop in where]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def put_(into: Tensor, where: Slices, part: Tensor) -> None:
    """Write ``part`` (..., m) back where ``take`` took it from."""
    at = 0
    for start, stop in where:
        into[..., start:stop] = part[..., at : at + stop - start]
        at += stop - start
