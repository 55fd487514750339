"""Files that are complete or absent: written aside, fsynced, renamed; in a run folder checked against its ledger.

The ledger has a line ``sha256  name`` for each write, as ``sha256sum`` prints it. The line is there before the file is,
so that a process may be killed between the two; a file is as it was written if any of its lines has its hash.

Of several processes the first one writes, while the others wait: all of them ask for the same files at the same points
of the program, and from there on all can read them.
"""

import hashlib
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

PARTIAL = ".partial"
LEDGER = "SHA256SUMS"
_UMASK = os.umask(0o022)
os.umask(_UMASK)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
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
        _enter(path, aside)
        os.replace(aside, path)
        _sync_folder(path.parent)
    except (OSError, safetensors.SafetensorError, pa.ArrowException, UnicodeEncodeError) as error:
        _forget(aside)
        raise UserError(f"Cannot write {path} ({_reason(error)}); free space or choose another folder.") from error
    except BaseException:
        _forget(aside)
        raise


def _forget(aside: Path) -> None:
    with suppress(OSError):  # a read-only folder: then there is nothing to forget
        aside.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def digest(array: np.ndarray) -> str:
    """Sha-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


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
        raise UserError(f"Cannot make the folder {path} ({_reason(error)}); choose another folder.") from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # which opens no folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def on_first_rank(work: Callable[[], object]) -> None:
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

    on_first_rank(unlink)


def write(path: Path, write: Callable[[Path], object]) -> None:
    """Replace a file by what ``write`` writes to the path it is given."""

    def replace() -> None:
        with atomic_path(path) as aside:
            write(aside)

    on_first_rank(replace)


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
        _check(path)
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({_reason(error)}); run again with overwrite=True.") from error


def read_json_or_empty(path: Path | None) -> dict[str, Any]:
    """Object of a JSON file in which results are kept; empty where there is none yet. UserError as ``read_json``."""
    return dict(read_json(path)) if path is not None and path.exists() else {}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a safetensors file of torch tensors."""
    write(path, lambda aside: _save(tensors, aside))


def write_own(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a file that belongs to this process alone: no other waits for it, and none reads it."""
    with atomic_path(path) as aside:
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
        _check(path)
        return dict(safetensors.torch.load_file(path))
    except (OSError, safetensors.SafetensorError, UnicodeEncodeError) as error:
        raise UserError(f"{path} is damaged ({_reason(error)}); delete it and run again.") from error


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
        _check(path)
        with pq.ParquetFile(path) as file:
            return file.read()
    except (OSError, pa.ArrowException, UnicodeEncodeError) as error:
        raise UserError(f"{path} is not a readable Parquet file ({_reason(error)}).") from error


def _ledger_of(path: Path) -> Path | None:
    """The ledger of the run folder that a file lies in, itself or one folder down; None outside of run folders."""
    for folder in (path.parent, path.parent.parent):
        if (folder / LEDGER).is_file():
            return folder / LEDGER
    return None


def _line(ledger: Path, path: Path, content: Path) -> bytes:
    with content.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{digest}  {path.relative_to(ledger.parent)}\n".encode(errors="surrogateescape")


def _enter(path: Path, content: Path) -> None:
    """Write down that ``path`` is about to become what ``content`` holds."""
    ledger = _ledger_of(path)
    if ledger is None:
        return
    line = _line(ledger, path, content)
    with ledger.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line  # a full disk cut the line before
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _check(path: Path) -> None:
    """Refuse a file that is not as it was written; one that was not written here passes.

    Raises
    ------
    UserError
        The file's hash is none of its lines'.
    OSError
        The file cannot be read.
    """
    ledger = _ledger_of(path)
    if ledger is None:
        return
    lines = ledger.read_bytes()
    name = f"  {path.relative_to(ledger.parent)}\n".encode(errors="surrogateescape")
    if name in lines and _line(ledger, path, path) not in lines:
        raise UserError(
            f"{path} was changed, cut off or exchanged since crossloss wrote it: put it back, or delete it and give "
            "the command that made the run again."
        )
