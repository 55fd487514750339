"""The batches of a recorded loop as tensors in a file, and back."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.torch.data import Rows
from crossloss.models.torch.steps import Part

FILE = "batches.safetensors"


def pack(steps: Sequence[Sequence[Part]]) -> dict[str, Tensor]:
    """Rows of every micro-batch end to end, their lengths, how many a step has; what they drew; their own data."""
    parts = [part for step in steps for part in step]
    packed = {
        "rows": torch.cat([part.rows for part in parts]),
        "lengths": torch.tensor([len(part.rows) for part in parts]),
        "parts": torch.tensor([len(step) for step in steps]),
    }
    for k, part in enumerate(parts):
        if isinstance(part.draws, tuple):
            packed |= {f"draws {k} {i}": state for i, state in enumerate(part.draws)}
        if part.data is not None:
            packed |= {f"data {k} {json.dumps(path)}": leaf.cpu() for path, leaf in paths(part.data)}
    return packed


def unpack(packed: Mapping[str, Tensor]) -> list[list[Part]]:
    """Inverse of ``pack``."""
    rows = torch.split(packed["rows"], packed["lengths"].tolist())
    draws: dict[int, list[Tensor]] = {}
    data: dict[int, list[tuple[list[str | int], Tensor]]] = {}
    for name in sorted(packed, key=lambda name: (len(name), name)):
        kind, *rest = name.split(" ", 2)
        if kind == "draws":
            draws.setdefault(int(rest[0]), []).append(packed[name])
        elif kind == "data":
            data.setdefault(int(rest[0]), []).append((json.loads(rest[1]), packed[name]))
    parts = iter(
        Part(own, _structure(data[k]) if k in data else None, tuple(draws[k]) if k in draws else None)
        for k, own in enumerate(rows)
    )
    counts = packed["parts"].tolist() if "parts" in packed else [1] * len(rows)
    return [[next(parts) for _ in range(count)] for count in counts]


def paths(rows: Rows, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Tensor]]:
    """Every tensor with the names and numbers that lead to it; UserError for names that are no texts."""
    if isinstance(rows, Tensor):
        yield at, rows
        return
    for key, part in rows.items() if isinstance(rows, Mapping) else enumerate(rows):
        if isinstance(rows, Mapping) and not isinstance(key, str):
            raise UserError(f"A recorded batch has the name {key!r}, which is no text: name its tensors by texts.")
        yield from paths(part, (*at, key))


def _structure(leaves: Sequence[tuple[list[str | int], Tensor]]) -> Any:
    if not leaves[0][0]:
        return leaves[0][1]
    inner: dict[str | int, list[tuple[list[str | int], Tensor]]] = {}
    for (key, *rest), leaf in leaves:
        inner.setdefault(key, []).append((rest, leaf))
    made = {key: _structure(below) for key, below in inner.items()}
    return made if isinstance(leaves[0][0][0], str) else tuple(made[i] for i in range(len(made)))
