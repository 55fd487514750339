"""Reading into a file: rows pass one after the other, and what is refused or remarked is that of any corpus."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np

from crossloss.core import Progress, UserError, refusing
from crossloss.text.builtin import BUILTIN, wikipedia
from crossloss.text.checks import CANDIDATE, encodable, is_builtin, name_of, refuse_unusable, repeated
from crossloss.text.mapped import map_corpus, write_corpus
from crossloss.text.remarks import remarks
from crossloss.text.rows import Columns, Row, SourceInfo
from crossloss.text.samples import Corpus
from crossloss.text.sources import REPEATED, each_row, has_paragraphs, parted
from crossloss.text.tokens import Form

READING = 1
"""Raised where the same file would be read otherwise than before."""


def read_mapped(
    file: Path,
    path: Any,
    candidates: Any,
    asked: Columns,
    split: bool,
    pattern: str,
    form: Form,
    progress: Progress | None,
) -> Corpus:
    """``read`` into a file, of which a block of samples at a time is held."""

    def key() -> dict[str, Any]:
        sources = {"source": _fingerprint(path), "candidates": candidates and _fingerprint(candidates)}
        how = {"columns": list(asked), "split": split, "token_pattern": pattern, "form": form}
        return sources | how | {"reading": READING}

    def write(aside: Path, key: dict[str, Any]) -> None:
        notes = {"token_pattern": pattern, "form": form, "source": name_of(path), "key": key}

        def attempt(numbered: set[int]) -> None:
            """Read both sources, 0 and 1, those that are ``numbered`` by their rows."""
            columns = [asked._replace(id="") if i in numbered else asked for i in (0, 1)]
            rows, info = _each(path, columns[0], split, pattern, form, progress)
            others = _each(candidates, columns[1], split, pattern, form, None)[0] if candidates else iter(())
            named = (row._replace(id=CANDIDATE + row.id) for row in others)
            ids = _Ids(0), _Ids(1)

            def check(corpus: Corpus) -> SourceInfo:
                for each in ids:
                    each.refuse_repeated(corpus)
                refuse_unusable(corpus)
                info.notes += [*([REPEATED] if 0 in numbered else []), *remarks(corpus.texts, len(corpus.tokens))]
                return info

            both = chain(zip(ids[0].seen(rows), repeat(1.0)), zip(ids[1].seen(named), repeat(0.0)))
            write_corpus(aside, both, notes, check, progress)

        numbered: set[int] = set()
        while True:
            try:
                attempt(numbered)
                return
            except _RepeatedIdError as error:
                if asked.id is not None or error.source in numbered:
                    raise
                numbered.add(error.source)

    return map_corpus(file, key, write)


def _each(
    path: Any, asked: Columns, split: bool, pattern: str, form: Form, progress: Progress | None
) -> tuple[Iterator[Row], SourceInfo]:
    """Rows of a source one after the other, and what it turns out to be."""
    if is_builtin(path):
        info = SourceInfo("builtin")

        def counted() -> Iterator[Row]:
            for row in wikipedia(pattern, form, progress):
                info.rows += 1
                yield row

        return counted(), info
    rows, info = each_row(path, asked)
    return (parted(rows, info, has_paragraphs(*each_row(path, asked))) if split else rows), info


def _fingerprint(path: Any) -> str:
    """What changes where a source does: a hash of its files."""
    if is_builtin(path):
        return BUILTIN
    if not isinstance(path, str | Path):
        raise UserError(f"A {type(path).__name__} lies in no file that mapped= could be made of: save it, give a path.")
    with refusing((OSError, ValueError), f"{path} cannot be read", "check the path"):
        source = Path(path)
        named = sorted(filter(Path.is_file, source.rglob("*"))) if source.is_dir() else [source]
        hashed = hashlib.sha256()
        for file in named:
            with file.open("rb") as opened:
                name = file.relative_to(source) if source.is_dir() else "".join(file.suffixes[-2:])  # choose the layout
                hashed.update(f"{name}\0{hashlib.file_digest(opened, 'sha256').hexdigest()}".encode())
        return hashed.hexdigest()


class _RepeatedIdError(UserError):
    """An id that two samples of a source, 0 or 1, have."""

    def __init__(self, message: str, source: int) -> None:
        super().__init__(message)
        self.source = source


class _Ids:
    """Whether ids of a source repeat, by their hashes: 8 bytes each."""

    def __init__(self, source: int) -> None:
        self.source, self.hashes = source, array("q")

    def seen(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, of plain Unicode, whose ids are noted as they pass."""
        for row in rows:
            clean = Row(*map(encodable, row))
            self.hashes.append(hash(clean.id))
            yield clean

    def refuse_repeated(self, corpus: Corpus) -> None:
        """Refuse a corpus of the rows that have passed if two have one id."""
        hashes = np.sort(np.array(self.hashes))
        twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        found = Counter(id for id in corpus.ids if hash(id) in twice) if twice else Counter[str]()
        if twice and (most := found.most_common(1)[0])[1] > 1:
            raise _RepeatedIdError(repeated(corpus.source, most[0]), self.source)
