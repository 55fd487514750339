"""The run folder: one writer, a manifest of finished stages, nothing overwritten unasked."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import pyarrow as pa
from filelock import FileLock, Timeout

from crossloss.core import UserError
from crossloss.run.store import Store
from crossloss.utils import distributed, files
from crossloss.utils.files import LEDGER, LOCK, PARTIAL

OPEN: "WeakValueDictionary[Path, RunFolder]" = WeakValueDictionary()
"""Folders that this process has open: a notebook's cell that is run again takes over its own."""
MANIFEST = "manifest.json"
OWN = (
    "states/*.safetensors", "retrains/*.json", "retrains/*.safetensors", f"*-{'[0-9a-f]' * 20}.*", "counted-*",
    "plan-*.parquet", "evaluation-*.json",
    *(f"{name}.json" for name in ("vocabulary", "metrics", "validation", "robustness")),
    *(f"{name}.safetensors" for name in ("model", "pairs", "corpus")),
    *(f"{name}.parquet" for name in ("samples", "scores", "edits")),
)  # fmt: skip
"""What a run may take for its own; the ledger, where nobody has deleted it, knows of the rest too."""
FORMAT = 3


class RunFolder(Store):
    """A folder held by one process, or by the first of several that run together.

    Where this process has it open already, the newer takes it over: the older reaches its files no longer, which may be
    another run's by then.

    Files: manifest.json, SHA256SUMS, model.safetensors, states/, scores.parquet, plan-NAME.parquet, retrains/,
    metrics.json, report.html, samples.parquet, and results by the hash of their inputs (NAME-KEY.json, .safetensors);
    of skip-gram vocabulary.json and pairs.safetensors.

    Parameters
    ----------
    path : Path
    create : bool
        Make the folder where it is absent; otherwise its absence is an error.
    overwrite : bool
        Start anew where there is no manifest, or it cannot be read.

    Raises
    ------
    UserError
        The folder is no run folder, cannot be made, its manifest was changed, or another process works in it.
    """

    path: Path
    _lock: FileLock | None

    def __init__(self, path: Path, *, create: bool = False, overwrite: bool = False) -> None:
        super().__init__()
        self.path, self._lock, self._superseded = path, None, False
        self._check_place(create, overwrite)
        files.on_first_rank(self._acquire)
        OPEN[path.resolve()] = self
        self.manifest = {"format": FORMAT, "stages": {}}
        try:
            if (path / MANIFEST).exists():
                self.manifest = self._read_manifest()
            elif overwrite:
                self.clear()  # what is there is of a run that nothing is known of
        except UserError:
            if not overwrite:
                self.close()
                raise
            self.clear()
        distributed.wait()

    def _check_place(self, create: bool, overwrite: bool) -> None:
        path, make = self.path, f"cl.train(field, ..., out={str(self.path)!r}) or `crossloss run`"
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise UserError(f"The name {path} is not UTF-8: choose another folder.") from error
        if not path.exists():
            if not create:
                raise UserError(f"{path} does not exist: make a run there with {make}.")
            return
        if not path.is_dir():
            raise UserError(f"{path} is a file, not a run folder: choose another folder.")
        if not (path / MANIFEST).exists():
            own = (LOCK, LEDGER)
            others = [p.name for p in path.iterdir() if p.name not in own and not p.name.endswith(PARTIAL)]
            if others and not (overwrite and all((path / name).exists() for name in own)):
                raise UserError(f"{path} holds files but no run (no {MANIFEST}): choose another folder.")
            if not create:
                raise UserError(f"{path} holds no run: make one with {make}.")

    def _acquire(self) -> None:
        """Take the lock, and clean up after a process that was killed."""
        path = self.path
        earlier = OPEN.get(path.resolve())
        if earlier is not None:
            earlier.close()
            earlier._superseded = True
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path / LOCK, mode=0o644, thread_local=False)  # any thread may collect it
            lock.acquire(blocking=False)
            self._lock = lock
            for leftover in path.rglob(f".*{PARTIAL}"):
                leftover.unlink()
            (path / LEDGER).touch()
        except Timeout as error:
            raise UserError(f"{path} is in use by another crossloss process: wait for it or stop it.") from error
        except OSError as error:
            self.close()
            self._refuse_writing(error)

    def _refuse_writing(self, error: OSError) -> NoReturn:
        raise UserError(f"{self.path} cannot be written ({error}); choose another folder.") from error

    def _read_manifest(self) -> dict[str, Any]:
        try:
            manifest: Any = files.read_json(self.path / MANIFEST)
        except UserError as error:
            raise UserError(
                f"{self.path / MANIFEST} was changed or cut off since crossloss wrote it: put it back, or make the run "
                "again with overwrite=True."
            ) from error
        if isinstance(manifest, dict) and manifest.get("format") == FORMAT and isinstance(manifest.get("stages"), dict):
            return manifest
        raise UserError(f"{self.path} was written by another version of crossloss: choose another folder.")

    def close(self) -> None:
        """Release the folder."""
        if self._lock is not None:
            self._lock.release(force=True)
            self._lock = None

    def __del__(self) -> None:
        if hasattr(self, "_lock"):
            self.close()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def file(self, name: str) -> Path:
        """Path of a file in the folder; UserError where this process has opened the folder again."""
        if self._superseded:
            raise UserError(f"{self.path} was opened again since this run was: go on with the newer run.")
        return self.path / name

    def load(self, file: str) -> Any | None:
        """What the file holds, by its suffix; None where there is none. UserError as ``crossloss.utils.files``."""
        path = self.file(file)
        if not path.exists():
            return None
        if path.suffix == ".json":
            return files.read_json(path)
        return files.read_table(path) if path.suffix == ".parquet" else files.read_arrays(path)

    def save(self, file: str, value: Any) -> None:
        """Replace a file by a value."""
        path = self.file(file)
        if path.parent != self.path:
            files.make_folder(path.parent)
        if path.suffix == ".json":
            files.write_json(path, value)
        elif isinstance(value, pa.Table):
            files.write_table(path, value)
        else:
            files.write_arrays(path, value)

    def save_tables(self, file: str, tables: Iterable[pa.Table]) -> None:
        """Replace a table by parts, written as they come."""
        files.write_tables(self.file(file), tables)

    def set_meta(self, **entries: Any) -> None:
        """Set entries of the manifest."""
        super().set_meta(**entries)
        files.write_json(self.file(MANIFEST), self.manifest)

    def is_done(self, stage: str, key: str, *names: str) -> bool:
        """Whether the stage finished with these inputs and its files are there."""
        known = self.manifest["stages"].get(stage)
        return known is not None and known["key"] == key and all(self.file(name).exists() for name in names)

    def mark_done(self, stage: str, key: str) -> None:
        """Record that the stage's files are complete."""
        self.manifest["stages"][stage] = {"key": key}
        self.set_meta()

    def clear(self) -> None:
        """Delete what crossloss wrote here, and nothing else; the manifest last, so that a stop leaves no other run."""
        try:
            files.delete(self.path, *OWN, names=[n for n in files.ledger_names(self.path) if n != MANIFEST])
            files.delete(self.path, MANIFEST, LEDGER)
            files.on_first_rank((self.path / LEDGER).touch)
        except OSError as error:
            self._refuse_writing(error)
        self.manifest = {"format": FORMAT, "stages": {}}
