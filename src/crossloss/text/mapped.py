"""A corpus in one file: words and texts are looked at where they lie, so that memory does not grow with the text.

The file is complete or absent. It is a safetensors file: word types (int32), where each sample's words start, weights,
and for ids, documents, texts and the words themselves their UTF-8 bytes with where each ends. Beside them stand what
the corpus was read from and how, so that no other corpus is taken for it.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError, safe_open

from crossloss.core import Progress, UserError, refusing
from crossloss.text.rows import Columns, Row, SourceInfo
from crossloss.text.samples import Corpus, Kinds, tokenised
from crossloss.utils import files
from crossloss.utils.mapping import NUMBERS, forget, map_arrays, number_pieces, write_pieces

AT_ONCE = 10_000
"""Samples of a block."""
COLUMNS = ("ids", "documents", "texts")
NOTES = "crossloss"


class Strings(Sequence[str]):
    """Texts that lie one behind the other in a file: ``raw`` are all their bytes, text i is ``ends[i]:ends[i + 1]``."""

    def __init__(self, raw: np.ndarray, ends: np.ndarray) -> None:
        self.raw, self.ends = raw, ends

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: int | slice) -> str | list[str]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        start, end = self.ends[i % len(self) :][:2].tolist()
        return self.raw[start:end].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), AT_ONCE):
            ends = self.ends[first : first + AT_ONCE + 1].tolist()
            raw = self.raw[ends[0] : ends[-1]].tobytes()
            forget(self.raw)
            for start, end in pairwise(ends):
                yield raw[start - ends[0] : end - ends[0]].decode()


class _Column:
    """Bytes of texts and where each ends, written to files without a name as they come."""

    def __init__(self, bytes_file: IO[bytes], ends_file: IO[bytes]) -> None:
        self.bytes_file, self.ends_file, self.count, self.size = bytes_file, ends_file, 0, 0
        np.zeros(1, dtype="<i8").tofile(ends_file)

    def add(self, texts: Sequence[str]) -> None:
        raw = [text.encode() for text in texts]
        self.bytes_file.write(b"".join(raw))
        ends = self.size + np.cumsum([len(part) for part in raw], dtype="<i8")
        ends.tofile(self.ends_file)
        self.count, self.size = self.count + len(raw), int(ends[-1]) if len(raw) else self.size


def map_corpus(file: Path, key: Callable[[], dict[str, Any]], write: Callable[[Path, dict[str, Any]], None]) -> Corpus:
    """The corpus of a file, which ``write`` makes where it is absent; refused where it is of another ``key``.

    Of several processes the first one reads the source.
    """

    def made() -> None:
        wanted = key()
        if not file.exists():
            with _alone(file):
                if not file.exists():
                    files.write_alone(file, lambda aside: write(aside, wanted))
        known = _notes(file)["key"]
        if different := sorted(name for name in known | wanted if known.get(name) != wanted.get(name)):
            raise UserError(
                f"{file} holds another corpus (different: {', '.join(different)}): choose another file, or delete it."
            )

    files.on_first_rank(made)
    return open_corpus(file)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait while another process makes the same file."""
    lock = FileLock(file.with_name(f".{file.name}.lock"))
    with refusing(OSError, f"Cannot write {file}", "free space or choose another folder"):
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes it by itself; who waits finds no name and tries again
            Path(lock.lock_file).unlink()
        lock.release()


def open_corpus(file: Path) -> Corpus:
    """The corpus of a file that ``write_corpus`` wrote."""
    return _corpus(map_arrays(file), _notes(file), file)


def write_corpus(
    file: Path,
    rows: Iterable[tuple[Row, float]],
    notes: dict[str, Any],
    check: Callable[[Corpus], SourceInfo | None],
    progress: Progress | None = None,
) -> None:
    """Write the corpus of rows with their weights, of which a block at a time is held.

    ``notes`` are token_pattern, form, source and key, ``check`` refuses it or says what its source is, all of it read.
    Parts of the file lie beside it, without names, while it is written.
    """
    with ExitStack() as opened:

        def part() -> IO[bytes]:
            return opened.enter_context(tempfile.TemporaryFile(dir=file.parent))

        columns = {name: _Column(part(), part()) for name in (*COLUMNS, "types")}
        words, ends, mass = part(), part(), part()
        kinds, count, total = Kinds(notes["form"]), 0, 0
        np.zeros(1, dtype="<i8").tofile(ends)
        each = iter(rows)
        while block := list(islice(each, AT_ONCE)):
            fields = list(zip(*(row for row, _ in block), strict=True))
            for name, values in zip(COLUMNS, fields, strict=True):
                columns[name].add(values)
            tokens, indptr = tokenised(fields[-1], notes["token_pattern"], kinds)
            tokens.tofile(words)
            (indptr[1:] + total).astype("<i8").tofile(ends)
            np.array([weight for _, weight in block], dtype="<f8").tofile(mass)
            count, total = count + len(block), total + len(tokens)
            if progress:
                progress(count, count)
        columns["types"].add(list(kinds.words))
        parts: dict[str, tuple[str, int, IO[bytes]]] = {
            "indptr": ("I64", count + 1, ends), "weights": ("F64", count, mass),
            **{f"{name}_ends": ("I64", c.count + 1, c.ends_file) for name, c in columns.items()},
            "tokens": ("I32", total, words), **{name: ("U8", c.size, c.bytes_file) for name, c in columns.items()},
        }  # fmt: skip
        made = _corpus({name: _mapped(*part) for name, part in parts.items()}, notes)
        if (info := check(made)) is not None:
            notes = notes | {"info": asdict(info)}
        text = json.dumps(notes | {"digest": made.digest})
        arrays = [(n, kind, (size,), number_pieces(where, kind)) for n, (kind, size, where) in parts.items()]
        for _, _, where in parts.values():
            where.seek(0)
        write_pieces(file, arrays, {NOTES: text})


def _mapped(kind: str, size: int, file: IO[bytes]) -> np.ndarray:
    file.flush()
    return np.memmap(file, NUMBERS[kind], "r", shape=(size,)) if size else np.empty(0, NUMBERS[kind])


def _notes(file: Path) -> dict[str, Any]:
    """What a file says of its corpus; refused where it has none, as it may be somebody's own."""
    errors = (KeyError, ValueError, OSError, SafetensorError)
    what = f"{file} is no complete corpus that crossloss wrote"
    with refusing(errors, what, "choose another file"), safe_open(file, "numpy") as opened:
        return dict(json.loads((opened.metadata() or {})[NOTES]))


def _corpus(arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any], file: Path | None = None) -> Corpus:
    """A corpus whose columns lie in files."""
    with refusing((KeyError, TypeError, ValueError), f"{file} is damaged", "delete it and run again"):
        ids, documents, texts = (Strings(arrays[name], arrays[f"{name}_ends"]) for name in COLUMNS)
        info = SourceInfo(**notes["info"]) if notes.get("info") else None
        if info is not None and info.columns is not None:
            info.columns = Columns(*info.columns)
        settings = (notes["token_pattern"], notes["source"], info, notes["form"])
        corpus = Corpus(ids, documents, texts, arrays["weights"], *settings, None, file)
        types = list(Strings(arrays["types"], arrays["types_ends"]))
        vars(corpus)["_tokenised"] = arrays["tokens"], arrays["indptr"], types
        if "digest" in notes:
            vars(corpus)["digest"] = notes["digest"]
    return corpus
