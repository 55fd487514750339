"""The run folder: one writer, a manifest of finished stages, nothing overwritten unasked."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from filelock import FileLock, Timeout

from crossloss import distributed
from crossloss.core import UserError
from crossloss.run.atomic import PARTIAL, alone, delete, read_json, write_json
from crossloss.run.ledger import LEDGER

OPEN: "WeakValueDictionary[Path, RunFolder]" = WeakValueDictionary()
"""Folders that this process has open: a notebook's cell that is run again takes over its own."""
MANIFEST = "manifest.json"
FORMAT = 2


def content_key(*parts: Any) -> str:
    """Sha-256 of JSON-able parts: the identity of a stage's inputs and settings."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def array_key(values: np.ndarray) -> str:
    """Sha-256 of an array's bytes: such as the weights that a retraining is kept by."""
    return hashlib.sha256(values.tobytes()).hexdigest()


def _undecodable(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return True
    return False


class RunFolder:
    """A folder held by one process, or by the first of several that run together.

    Where this process has it open already, the newer takes it over: the older reaches its files no longer, which may be
    another run's by then.

    Files: manifest.json, SHA256SUMS, samples.parquet, vocabulary.json, pairs.safetensors, model.safetensors, states/,
    influence-ESTIMATOR.safetensors, scores.parquet, plan-NAME.parquet, retrains/, metrics.json, report.html; of
    corrections fit-KEY.safetensors, ranking-KEY.safetensors, sweep-KEY.json (.safetensors), cost-KEY.json,
    transfer-KEY.json, plan-HOW.parquet, sweep-HOW.csv, debias-HOW.json, robustness.json, decisive.json;
    concepts-NAME.json; of edits edits.parquet, plan-edits-NAME.parquet; of studies study-NAME.*, scifi.json, and of
    the WNC study the run folders neutral/, paper-biased/ and paper-neutral/.

    Parameters
    ----------
    path : Path
    create : bool
        Make the folder where it is absent; otherwise its absence is an error.
    overwrite : bool
        Start anew where the manifest cannot be read.

    Raises
    ------
    UserError
        The folder is no run folder, cannot be made, its manifest was changed, or another process works in it.
    """

    def __init__(self, path: Path, *, create: bool = False, overwrite: bool = False) -> None:
        self.path = path
        if _undecodable(path):
            raise UserError(f"The name {path} is not UTF-8: choose another --out.")
        if not path.exists() and not create:
            raise UserError(f"{path} does not exist: make a run with `crossloss run CORPUS --out {path}`.")
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file, not a run folder: choose another --out.")
        if path.is_dir() and not (path / MANIFEST).exists():
            own = (".lock", LEDGER)
            strangers = [p.name for p in path.iterdir() if p.name not in own and not p.name.endswith(PARTIAL)]
            if strangers and not (overwrite and (path / LEDGER).exists()):
                raise UserError(f"{path} holds files but no run (no {MANIFEST}): choose another folder.")
            if not create:
                raise UserError(f"{path} holds no run: make one with `crossloss run CORPUS --out {path}`.")
        self._lock: FileLock | None = None
        self._passed_on = False
        alone(self._hold)
        OPEN[path.resolve()] = self
        self.manifest: dict[str, Any] = {"format": FORMAT, "stages": {}}
        try:
            if (path / MANIFEST).exists():
                self.manifest = self._read_manifest()
        except UserError:
            if not overwrite:
                self.close()
                raise
            self.clear()
        distributed.wait()

    def _hold(self) -> None:
        """Take the lock, and clean up after a process that was killed."""
        path = self.path
        earlier = OPEN.get(path.resolve())
        if earlier is not None:
            earlier.close()
            earlier._passed_on = True
        try:
            path.mkdir(parents=True, exist_ok=True)
            # Let go of by whatever thread collects it.
            self._lock = FileLock(path / ".lock", mode=0o644, thread_local=False)
            self._lock.acquire(blocking=False)
        except Timeout as error:
            self._lock = None
            raise UserError(f"{path} is in use by another crossloss process: wait for it or stop it.") from error
        except OSError as error:
            self._lock = None
            raise UserError(f"{path} cannot be written ({error}); choose another --out.") from error
        try:
            self._tidy()
        except UserError:
            self.close()
            raise

    def _tidy(self) -> None:
        try:
            for leftover in self.path.rglob(f".*{PARTIAL}"):
                leftover.unlink()
            (self.path / LEDGER).touch()
        except OSError as error:
            raise UserError(f"{self.path} cannot be written ({error}); choose another --out.") from error

    def _read_manifest(self) -> dict[str, Any]:
        try:
            manifest: Any = read_json(self.path / MANIFEST)
        except UserError as error:
            raise UserError(
                f"{self.path / MANIFEST} was changed or cut off since crossloss wrote it: put it back, or give the "
                "command that made the run again with --overwrite."
            ) from error
        if isinstance(manifest, dict) and manifest.get("format") == FORMAT and isinstance(manifest.get("stages"), dict):
            return manifest
        raise UserError(f"{self.path} was written by another version of crossloss: choose another --out.")

    def close(self) -> None:
        """Let go of the folder."""
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
        """Path of a file in the folder.

        Raises
        ------
        UserError
            The folder was opened again by this process.
        """
        if self._passed_on:
            raise UserError(f"{self.path} was opened again since this run was: go on with the newer run.")
        return self.path / name

    def describe(self, **entries: Any) -> None:
        """Set entries of the manifest."""
        self.file(MANIFEST)
        self.manifest |= entries
        write_json(self.path / MANIFEST, self.manifest)

    def done(self, stage: str, key: str, *files: str) -> bool:
        """Whether the stage finished with these inputs and its files are there."""
        known = self.manifest["stages"].get(stage)
        return known is not None and known["key"] == key and all(self.file(f).exists() for f in files)

    def finish(self, stage: str, key: str) -> None:
        """Record that the stage's files are complete."""
        manifest = self.file(MANIFEST)
        self.manifest["stages"][stage] = {"key": key}
        write_json(manifest, self.manifest)

    @property
    def metrics(self) -> dict[str, float]:
        """The flat metrics.json."""
        path = self.file("metrics.json")
        return dict(read_json(path)) if path.exists() else {}

    def record(self, figures: Mapping[str, float | None]) -> None:
        """Add figures to metrics.json; a figure that is None is left out."""
        kept = {name: float(value) for name, value in figures.items() if value is not None}
        write_json(self.path / "metrics.json", self.metrics | kept)

    def clear(self) -> None:
        """Delete what crossloss wrote here, and nothing else (``--overwrite``)."""
        written = ("*.parquet", "*.safetensors", "*.json", "sweep-*.csv", "study-*.*", "plan-*.tsv", "report.html")
        try:
            delete(self.path, *written, "states/*.safetensors", "retrains/*.json", LEDGER)
            alone((self.path / LEDGER).touch)
        except OSError as error:
            raise UserError(f"{self.path} cannot be written ({error}); choose another --out.") from error
        self.manifest = {"format": FORMAT, "stages": {}}
