"""Safetensors files whose arrays are looked at where they lie, and that are written a piece at a time."""

import json
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors

from crossloss.core import refusing
from crossloss.utils.files import ERRORS, check

Pieces = Iterable[np.ndarray]
"""Parts of an array in their order, each of one dimension."""
NUMBERS = {"I64": "<i8", "I32": "<i4", "F32": "<f4", "F64": "<f8", "U8": "|u1"}
"""Numpy's names of what safetensors calls the kinds of numbers."""


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file as they lie in it, read-only: what is not looked at takes no memory."""
    with refusing((*ERRORS, ValueError), f"{path} is damaged", "delete it and run again"):
        check(path)
        with safetensors.safe_open(path, "numpy") as checked:  # the header is what the file's length asks for
            names = list(checked.keys())
        with path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        size = int.from_bytes(whole[:8], "little")
        header = json.loads(whole[8 : 8 + size])
        arrays = {}
        for name in names:
            kind, shape = np.dtype(NUMBERS[header[name]["dtype"]]), header[name]["shape"]
            start = 8 + size + header[name]["data_offsets"][0]
            arrays[name] = np.frombuffer(whole, kind, int(np.prod(shape, dtype=np.int64)), start).reshape(shape)
        return arrays


def forget(*arrays: np.ndarray) -> None:
    """Let go of the memory of mapped arrays, which are read from their files when looked at again; others stay."""
    for owner in {id(owner): owner for owner in map(_owner, arrays)}.values():
        if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            owner.madvise(mmap.MADV_DONTNEED)


def _owner(array: np.ndarray) -> object:
    """What an array's numbers lie in."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner.obj if isinstance(owner, memoryview) else owner


def write_pieces(
    path: Path, arrays: Sequence[tuple[str, str, tuple[int, ...], Pieces]], notes: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file of (name, kind as safetensors calls it, shape, pieces), a piece at a time; to be moved.

    Arrays of wide numbers come first, so that all are aligned.
    """
    entries: dict[str, Any] = {} if notes is None else {"__metadata__": dict(notes)}
    start = 0
    for name, kind, shape, _ in arrays:
        end = start + np.dtype(NUMBERS[kind]).itemsize * int(np.prod(shape, dtype=np.int64))
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for _, kind, _, pieces in arrays:
            for piece in pieces:
                np.ascontiguousarray(piece, NUMBERS[kind]).tofile(out)


def number_pieces(file: Path | IO[bytes], kind: str, at_once: int = 1 << 22) -> Iterator[np.ndarray]:
    """Yield a file of numbers of a kind as safetensors calls it, some at a time."""
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as source:
        piece: np.ndarray
        while len(piece := np.fromfile(source, NUMBERS[kind], at_once)):
            yield piece
