"""Files that are complete or absent: written aside, fsynced, renamed; in a run folder checked against its ledger.

Of several processes the first one writes, while the others wait: all of them ask for the same files at the same points
of the program, and from there on all can read them.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import safetensors.torch
from torch import Tensor

from crossloss import distributed
from crossloss.core import UserError
from crossloss.run import ledger

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
        descriptor = os.open(aside, os.O_RDWR)  # Windows syncs no file that is open for reading
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        ledger.enter(path, aside)
        os.replace(aside, path)
        _sync_folder(path.parent)
    except (OSError, safetensors.SafetensorError, pa.ArrowException, UnicodeEncodeError) as error:
        _forget(aside)
        raise UserError(f"Cannot write {path} ({_said(error)}); free space or choose another --out.") from error
    except BaseException:
        _forget(aside)
        raise


def _forget(aside: Path) -> None:
    with suppress(OSError):  # a read-only folder: then there is nothing to forget
        aside.unlink(missing_ok=True)


def _said(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def make_folder(path: Path) -> None:
    """Make a folder where it is absent.

    Raises
    ------
    UserError
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {path} ({_said(error)}); choose another --out.") from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # which opens no folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def alone(work: Callable[[], object]) -> None:
    """Let the first process do something to files; none goes on before all have come and it is done."""
    distributed.wait()
    if distributed.first():
        work()
    distributed.wait()


def delete(folder: Path, *patterns: str) -> None:
    """Delete the files of a folder that match a pattern."""

    def unlink() -> None:
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()

    alone(unlink)


def write(path: Path, write: Callable[[Path], object]) -> None:
    """Replace a file by what ``write`` writes to the path it is given."""

    def replace() -> None:
        with replacing(path) as aside:
            write(aside)

    alone(replace)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file."""
    write(path, lambda aside: aside.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 text file; lone surrogates become question marks."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file; keys sorted, so that equal values are equal bytes."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    UserError
        The file cannot be read, was changed, or is not JSON.
    """
    try:
        ledger.check(path)
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({_said(error)}); run again with --overwrite.") from error


def read_kept(path: Path | None) -> dict[str, Any]:
    """Object of a JSON file in which results are kept; empty where there is none yet. UserError as ``read_json``."""
    return dict(read_json(path)) if path is not None and path.exists() else {}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a safetensors file of torch tensors."""
    write(path, lambda aside: _save(tensors, aside))


def write_own(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a file that belongs to this process alone: no other waits for it, and none reads it."""
    with replacing(path) as aside:
        _save(tensors, aside)


def _save(tensors: Mapping[str, Tensor], file: Path) -> None:
    safetensors.torch.save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, file)


def map_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file as they lie in it: what is not looked at takes no memory.

    Raises
    ------
    UserError
        The file is cut off, was changed, or is no safetensors file.
    """
    try:
        ledger.check(path)
        return dict(safetensors.torch.load_file(path))
    except (OSError, safetensors.SafetensorError, UnicodeEncodeError) as error:
        raise UserError(f"{path} is damaged ({_said(error)}); delete it and run again.") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """As ``map_tensors``, copied: a file's alignment must not reach a matrix product."""
    return {name: tensor.clone() for name, tensor in map_tensors(path).items()}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace a safetensors file of numpy arrays."""
    contiguous = {n: np.ascontiguousarray(a) for n, a in arrays.items()}
    write(path, lambda aside: safetensors.numpy.save_file(contiguous, aside))


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """As ``map_tensors``, numpy arrays."""
    return {name: tensor.numpy() for name, tensor in map_tensors(path).items()}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """As ``read_tensors``, numpy arrays."""
    return {name: tensor.numpy() for name, tensor in read_tensors(path).items()}


def write_table(path: Path, table: pa.Table) -> None:
    """Replace a Parquet file."""
    write(path, lambda aside: pq.write_table(table, aside, compression="zstd"))


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file.

    Raises
    ------
    UserError
        The file is cut off, was changed, or is no Parquet file.
    """
    try:
        ledger.check(path)
        with pq.ParquetFile(path) as file:
            return file.read()
    except (OSError, pa.ArrowException, UnicodeEncodeError) as error:
        raise UserError(f"{path} is not a readable Parquet file ({_said(error)}).") from error
