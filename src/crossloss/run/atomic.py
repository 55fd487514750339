"""Files that are complete or absent: written aside, fsynced, renamed."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import safetensors.torch
from torch import Tensor

from crossloss.core import UserError

PARTIAL = ".partial"
_UMASK = os.umask(0o022)
os.umask(_UMASK)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    Raises
    ------
    UserError
        The disk is full or the folder cannot be written; what was there before is still there.
    """
    aside = path.with_name(f".{path.name}{PARTIAL}")
    try:
        yield aside
        aside.chmod(0o666 & ~_UMASK)  # safetensors would leave it to its owner alone
        descriptor = os.open(aside, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(aside, path)
        _sync_folder(path.parent)
    except (OSError, safetensors.SafetensorError) as error:
        aside.unlink(missing_ok=True)
        raise UserError(f"Cannot write {path} ({error}); free space or choose another --out.") from error
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 text file; lone surrogates become question marks."""
    with replacing(path) as aside:
        aside.write_bytes(text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file; keys sorted, so that equal values are equal bytes."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    UserError
        The file cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); run again with --overwrite.") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a safetensors file of torch tensors."""
    with replacing(path) as aside:
        safetensors.torch.save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, aside)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, copied: a file's alignment must not reach a matrix product.

    Raises
    ------
    UserError
        The file is cut off or no safetensors file.
    """
    try:
        return {name: t.clone() for name, t in safetensors.torch.load_file(path).items()}
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run again.") from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace a safetensors file of numpy arrays."""
    with replacing(path) as aside:
        safetensors.numpy.save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, aside)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file.

    Raises
    ------
    UserError
        The file is cut off or no safetensors file.
    """
    try:
        return dict(safetensors.numpy.load_file(path))
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run again.") from error


def write_table(path: Path, table: pa.Table) -> None:
    """Replace a Parquet file."""
    with replacing(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file.

    Raises
    ------
    UserError
        The file is cut off or no Parquet file.
    """
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path} is not a readable Parquet file ({error}).") from error
