"""Where a run stores its results: in memory, or as files of its folder (``folder.RunFolder``)."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

T = TypeVar("T")


def content_key(*parts: Any) -> str:
    """Sha-256 of JSON-able parts and arrays: the identity of a result's inputs and settings."""

    def plain(array: Any) -> str:
        return hashlib.sha256(array.tobytes()).hexdigest()

    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False, default=plain).encode()).hexdigest()


class Store:
    """Results of a run in this process's memory: values by file name, metrics, and what describes the run.

    A value's form follows from the name's end: ``.json`` plain values, ``.safetensors`` a dict of arrays,
    ``.parquet`` a table. ``path`` is the folder, where there is one; ``manifest`` describes the run.
    """

    path: Path | None = None

    def __init__(self) -> None:
        self.manifest: dict[str, Any] = {"stages": {}}
        self._values: dict[str, Any] = {}

    def load(self, file: str) -> Any | None:
        """What was stored under this name, or None."""
        return self._values.get(file)

    def save(self, file: str, value: Any) -> None:
        """Store a value, complete or not at all."""
        self._values[file] = value

    def save_tables(self, file: str, tables: Iterable[pa.Table]) -> None:
        """Store a table that comes in parts."""
        self.save(file, pa.concat_tables(tables))

    def entry(self, name: str, *key: Any, suffix: str = ".json") -> "Entry":
        """The place of a result that its name and its inputs, plain values and arrays, identify."""
        return Entry(self, f"{name}-{content_key(*key)[:20]}{suffix}")

    def get_or_make(self, name: str, *key: Any, make: Callable[[], T], suffix: str = ".json") -> T:
        """What was stored of these inputs, else what ``make`` gives, stored."""
        return self.entry(name, *key, suffix=suffix).get_or_make(make)

    @property
    def metrics(self) -> dict[str, float]:
        """Flat figures by name."""
        return dict(self.load("metrics.json") or {})

    def log_metrics(self, figures: Mapping[str, float | None]) -> None:
        """Add figures; one that is None is left out."""
        known = {name: float(value) for name, value in figures.items() if value is not None}
        if known:
            self.save("metrics.json", self.metrics | known)

    def set_meta(self, **entries: Any) -> None:
        """Set entries of the manifest."""
        self.manifest |= entries

    def close(self) -> None:
        """Release the folder, where there is one."""


class Entry:
    """One result's place in a store, written as often as there is something to resume from."""

    def __init__(self, store: Store, file: str) -> None:
        self.store, self.file = store, file

    def load(self) -> Any | None:
        """The value, or None."""
        return self.store.load(self.file)

    def save(self, value: Any) -> None:
        """Replace the value."""
        self.store.save(self.file, value)

    def get_or_make(self, make: Callable[[], T]) -> T:
        """The value, made and stored where it is not there."""
        value: T | None = self.load()
        if value is None:
            value = make()
            self.save(value)
        return value
