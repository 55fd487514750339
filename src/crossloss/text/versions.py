"""Pairs of versions of sentences, as the Wiki Neutrality Corpus (WNC) has them, and both as samples of one corpus.

WNC: Pryzant, Diehl Martinez, Dass, Kurohashi, Jurafsky and Yang 2020, "Automatically Neutralizing Subjective Bias in
Text" (AAAI).
"""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from crossloss.core import UserError
from crossloss.text.encoding import decode
from crossloss.text.layouts import lines_of, packing
from crossloss.text.read import Corpus
from crossloss.text.rows import Found
from crossloss.text.tokens import WITH_NUMBERS

WNC = "https://github.com/rpryzant/neutralizing-bias"
"""Where WNC's authors link it (Pryzant et al. 2020)."""
WNC_FILES = ("biased.full", "biased.word.train", "biased.word.dev", "biased.word.test", "neutral")
Layout = Literal["header", "original", "two columns"]
Side = Literal["before", "after"]
_HEADERS = (("biased", "neutral"), ("before", "after"))
_RAW = 3, 4
"""Fields of the original layout with the text as it was written; those before hold word pieces."""


@dataclass(frozen=True)
class Versions:
    """Pairs of versions of sentences.

    Attributes
    ----------
    source : str
    layout : "header", "original" or "two columns"
    before, after : list of str
        m each, different from each other.
    same : list of str
        Sentences of one version.
    malformed : list of int
        Lines left out: too few fields, or without the later version.
    """

    source: str
    layout: Layout
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    malformed: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of the file, malformed ones too."""
        return len(self.before) + len(self.same) + len(self.malformed)


def read_versions(path: str | Path) -> Versions:
    """Read pairs of versions from a file (each layout also as .gz) or a folder with WNC.

    A file has a header line with the columns biased and neutral, or before and after (a row without the first is a
    sentence of one version); or it is in WNC's original layout (tab-separated, no header: rev_id, src_tok, tgt_tok,
    src_raw, tgt_raw, ..., of which the raw texts are taken); or it has two columns, before and after, and no header. Of
    a folder, biased.full is read, or where it is absent biased.word.train, .dev and .test.

    Raises
    ------
    UserError
        No such file, not UTF-8, none of these layouts, or no pair in it.
    """
    first, *others = [_read(file) for file in _files(Path(path))]
    versions = replace(first, source=Path(path).name)
    for more in others:
        versions.before.extend(more.before)
        versions.after.extend(more.after)
        versions.same.extend(more.same)
        versions.malformed.extend(more.malformed)
    if not versions.before:
        raise UserError(f"{path} holds no two different versions of a sentence. WNC is published at {WNC}.")
    return versions


def look(path: str | Path) -> list[Versions]:
    """Every WNC file of a folder, or the one file given, each read on its own.

    Raises
    ------
    UserError
        As ``read_versions``, but for a file without pairs.
    """
    start = Path(path)
    if not start.is_dir():
        return [_read(start)]
    return [_read(file) for file in _present(start, WNC_FILES)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return _present(path, WNC_FILES[:1]) if _at(path, WNC_FILES[0]) else _present(path, WNC_FILES[1:4])


def _at(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)


def _present(folder: Path, names: tuple[str, ...]) -> list[Path]:
    found = [file for name in names if (file := _at(folder, name)) is not None]
    if not found:
        raise UserError(f"{folder} has none of WNC's files ({', '.join(names)}): WNC is published at {WNC}.")
    return found


def _read(path: Path) -> Versions:
    lines = _lines(path)
    first = next(lines, (0, [""]))
    layout, needed, at, to = _layout(path, first[1])
    versions = Versions(path.name, layout)
    for number, fields in lines if layout == "header" else chain([first], lines):
        whole = len(fields) >= needed if layout == "original" else len(fields) == needed
        before, after = (fields[at].strip(), fields[to].strip()) if whole else ("", "")
        if not after or (not before and layout != "header"):
            versions.malformed.append(number)
        elif before in ("", after):
            versions.same.append(after)
        else:
            versions.before.append(before)
            versions.after.append(after)
    return versions


def _layout(path: Path, first: list[str]) -> tuple[Layout, int, int, int]:
    """Layout that the first line tells, the fields it needs, and where the earlier and the later version stand."""
    for before, after in _HEADERS:
        if {before, after} <= set(first):
            return "header", len(first), first.index(before), first.index(after)
    if len(first) > max(_RAW):
        return "original", max(_RAW) + 1, *_RAW
    if len(first) == 2:
        return "two columns", 2, 0, 1
    raise UserError(
        f"{path} is in no layout of pairs: give before<TAB>after, columns named biased and neutral, "
        f"or a file of WNC, published at {WNC}."
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every line that is not blank."""
    opened = gzip.open if packing(path) == ".gz" else open
    try:
        with opened(path, "rb") as file:
            raw = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): check the path, or copy it again.") from error
    for number, line in enumerate(lines_of(decode(path, raw), Found()), 1):
        if line.strip():
            yield number, line.split("\t")


@dataclass(frozen=True, eq=False)
class Sides:
    """Both versions of every sentence as samples of one corpus: the sides differ in weights only.

    The corpus's own weights are the mean of the two sides (1/2 for a version, 1 for what both have), so vocabulary,
    expected counts, noise and step sizes are one for both, and going from one side to the other is applying edits.

    Attributes
    ----------
    corpus : Corpus
        All earlier versions, all later ones, the sentences of one version, the background.
    pairs : int
        m.
    own : int
        Samples that are not background.
    """

    corpus: Corpus
    pairs: int
    own: int

    @property
    def before(self) -> np.ndarray:
        """Samples of the earlier versions, (m,)."""
        return np.arange(self.pairs)

    @property
    def after(self) -> np.ndarray:
        """Samples of the later versions, (m,)."""
        return np.arange(self.pairs, 2 * self.pairs)

    def weights(self, side: Side) -> np.ndarray:
        """Weights (n,) of one side: 1 for its versions and for what both have, 0 for the others."""
        weights = np.ones(len(self.corpus))
        weights[self.after if side == "before" else self.before] = 0.0
        return weights


def sides(versions: Versions, background: Corpus | None = None) -> Sides:
    """Make one corpus of both sides, with a background added to both alike.

    Numbers are one word. Sample ids are those of ``versions`` (pair 1 is 1.before and 1.after) and, behind
    "background:", of the background.
    """
    m = len(versions.before)
    numbers = range(1, m + 1)
    texts = [*versions.before, *versions.after, *versions.same]
    ids = [f"{i}.before" for i in numbers] + [f"{i}.after" for i in numbers]
    ids += [f"same:{i + 1}" for i in range(len(versions.same))]
    own, documents = len(texts), [""] * len(texts)
    if background is not None:
        texts += background.texts
        ids += [f"background:{name}" for name in background.ids]
        documents += background.documents
    weights = np.ones(len(texts))
    weights[: 2 * m] = 0.5
    return Sides(Corpus(ids, documents, texts, weights, WITH_NUMBERS, versions.source), m, own)
