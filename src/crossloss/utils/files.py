"""Files that are complete or absent: written aside, fsynced, renamed; in a run folder checked against its ledger.

The ledger has a line ``sha256  name`` for each write, as ``sha256sum`` prints it. The line is there before the file is,
so that a process may be killed between the two; a file is as it was written if any of its lines has its hash.

Of several processes the first one writes, while the others wait: all of them ask for the same files at the same points
of the program, and from there on all can read them. What cannot be read or written is a UserError.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import safetensors.torch
from torch import Tensor

from crossloss.core import UserError, refusing
from crossloss.utils import distributed

PARTIAL = ".partial"
LEDGER, LOCK = "SHA256SUMS", ".lock"
"""Files of a run folder; a ledger without a lock is somebody else's."""
_UMASK = os.umask(0o022)
os.umask(_UMASK)
ERRORS = (OSError, safetensors.SafetensorError, pa.ArrowException, UnicodeEncodeError)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes the place of ``path`` when the block ends well."""
    aside = path.with_name(f".{path.name}{PARTIAL}")
    try:
        with refusing(ERRORS, f"Cannot write {path}", "free space or choose another folder"):
            yield aside
            aside.chmod(0o666 & ~_UMASK)  # safetensors would leave it to its owner alone
            _sync(aside, os.O_RDWR)  # Windows syncs no file that is open for reading
            _enter(path, aside)
            os.replace(aside, path)
            if os.name != "nt":  # which opens no folder
                _sync(path.parent, os.O_RDONLY)
    except BaseException:
        with suppress(OSError):  # a read-only folder has nothing to delete
            aside.unlink(missing_ok=True)
        raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(array: np.ndarray) -> str:
    """Sha-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def make_folder(path: Path) -> None:
    """Make a folder where it is absent."""
    with refusing(OSError, f"Cannot make the folder {path}", "choose another folder"):
        path.mkdir(parents=True, exist_ok=True)


def on_first_rank(work: Callable[[], object]) -> None:
    """Let the first process do something to files; none goes on before all have come and it is done."""
    distributed.wait()
    if distributed.first():
        work()
    distributed.wait()


def delete(folder: Path, *patterns: str, names: Iterable[str] = ()) -> None:
    """Delete the files of a folder that match a pattern, and those of these names."""

    def unlink() -> None:
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()
        for name in names:
            (folder / name).unlink(missing_ok=True)

    on_first_rank(unlink)


def write(path: Path, write: Callable[[Path], object]) -> None:
    """Replace a file by what ``write`` writes to the path it is given."""
    on_first_rank(lambda: write_alone(path, write))


def write_alone(path: Path, write: Callable[[Path], object]) -> None:
    """As ``write``, in this process alone."""
    with atomic_path(path) as aside:
        write(aside)


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
    """Read a JSON file."""
    with refusing((OSError, ValueError, RecursionError), f"{path} cannot be read", "run again with overwrite=True"):
        check(path)
        return json.loads(path.read_text("utf-8"))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a safetensors file of torch tensors."""
    write(path, lambda aside: _save(tensors, aside))


def link(path: Path, source: Path) -> None:
    """Make a file the same as another one: by its name where the disk allows it, else a copy."""

    def put(aside: Path) -> None:
        try:
            aside.hardlink_to(source)
        except (OSError, NotImplementedError):
            shutil.copyfile(source, aside)

    write(path, put)


def write_own(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace a file that belongs to this process alone: no other waits for it, and none reads it."""
    write_alone(path, lambda aside: _save(tensors, aside))


def _save(tensors: Mapping[str, Tensor], file: Path) -> None:
    safetensors.torch.save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, file)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace a safetensors file of numpy arrays."""
    contiguous = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    write(path, lambda aside: safetensors.numpy.save_file(contiguous, aside))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, copied: a file's alignment must not reach a matrix product."""
    with refusing(ERRORS, f"{path} is damaged", "delete it and run again"):
        check(path)
        return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """As ``read_tensors``, numpy arrays."""
    return {name: tensor.numpy() for name, tensor in read_tensors(path).items()}


def write_table(path: Path, table: pa.Table) -> None:
    """Replace a Parquet file."""
    write(path, lambda aside: pq.write_table(table, aside, compression="zstd"))


def write_tables(path: Path, tables: Iterable[pa.Table]) -> None:
    """Replace a Parquet file by tables of one schema, each a row group or more, written as they come."""

    def put(aside: Path) -> None:
        writer = None
        try:
            for table in tables:
                writer = writer or pq.ParquetWriter(aside, table.schema, compression="zstd")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()

    write(path, put)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file."""
    with refusing(ERRORS, f"{path} is not a readable Parquet file", "write it again"):
        check(path)
        with pq.ParquetFile(path) as file:
            return file.read()


def _ledger_of(path: Path) -> Path | None:
    """The ledger of the run folder that a file lies in, itself or one folder down; None outside of run folders."""
    folders = (folder for folder in (path.parent, path.parent.parent) if (folder / LOCK).exists())
    return next(filter(Path.is_file, (folder / LEDGER for folder in folders)), None)


def _name(ledger: Path, path: Path) -> bytes:
    """What follows the hash in a line of the ledger."""
    return f"  {path.relative_to(ledger.parent)}\n".encode(errors="surrogateescape")


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()


def _enter(path: Path, content: Path) -> None:
    """Write down that ``path`` is about to become what ``content`` holds."""
    if (ledger := _ledger_of(path)) is None:
        return
    line = _hash(content) + _name(ledger, path)
    with ledger.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line  # a full disk cut the line before
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def ledger_names(folder: Path) -> list[str]:
    """Names of all files that were ever written in a run folder, by its ledger."""
    lines = (folder / LEDGER).read_bytes().decode(errors="surrogateescape").splitlines()
    return sorted({name for line in lines if (name := line[66:]) and line[64:66] == "  "})


def check(path: Path) -> None:
    """Refuse a file of which the ledger has lines, none of them with its hash."""
    if (ledger := _ledger_of(path)) is None:
        return
    lines, name = ledger.read_bytes(), _name(ledger, path)
    if name in lines and _hash(path) + name not in lines:
        raise UserError(
            f"{path} was changed, cut off or exchanged since crossloss wrote it: put it back, or delete it and give "
            "the command that made the run again."
        )
