"""Pairs of versions of sentences, as the Wiki Neutrality Corpus (WNC) has them.

WNC: Pryzant, Diehl Martinez, Dass, Kurohashi, Jurafsky and Yang 2020, "Automatically Neutralizing Subjective Bias in
Text" (AAAI).
"""

from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from crossloss.core import UserError
from crossloss.text.encoding import read_text
from crossloss.text.layouts import lines_of
from crossloss.text.rows import SourceInfo
from crossloss.utils.display import Table, count

WNC = "https://github.com/rpryzant/neutralizing-bias"
"""Where WNC's authors link it."""
WNC_FILES = ("biased.full", "biased.word.train", "biased.word.dev", "biased.word.test", "neutral")
Layout = Literal["header", "original", "two columns"]
_HEADERS = (("biased", "neutral"), ("before", "after"))
_RAW = 3, 4
"""Fields of the original layout with the text as it was written; those before hold word pieces."""


@dataclass(frozen=True)
class Versions:
    """Pairs of versions of sentences."""

    source: str
    layout: Layout
    before: list[str] = field(default_factory=list)  # m, each different from its later version
    after: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)  # sentences of one version
    malformed: list[int] = field(default_factory=list)  # lines left out: too few fields, or no later version

    @property
    def rows(self) -> int:
        """Rows of the file, malformed ones too."""
        return len(self.before) + len(self.same) + len(self.malformed)

    @property
    def left_out(self) -> str:
        """Say which rows are left out as malformed; "" where none is."""
        lines = ", ".join(map(str, self.malformed[:5])) + (", ..." if len(self.malformed) > 5 else "")
        return f"{self.source}: malformed rows are left out (lines {lines})." if self.malformed else ""


def read_versions(path: str | Path) -> Versions:
    """Read pairs of versions from a file (each layout also as .gz or .bz2) or a folder with WNC.

    A file has a header line with the columns biased and neutral, or before and after (a row without the first is a
    sentence of one version); or it is in WNC's original layout (tab-separated, no header: rev_id, src_tok, tgt_tok,
    src_raw, tgt_raw, ..., of which the raw texts are taken); or it has two columns, before and after, and no header. Of
    a folder, biased.full is read, or where it is absent biased.word.train, .dev and .test. None of these, and a file
    without a pair, is refused.
    """
    first, *others = [_read(file) for file in _files(Path(path), WNC_FILES[:1], WNC_FILES[1:4])]
    versions = replace(first, source=Path(path).name)
    for more in others:
        for name in ("before", "after", "same", "malformed"):
            getattr(versions, name).extend(getattr(more, name))
    if not versions.before:
        raise UserError(f"{path} holds no two different versions of a sentence. WNC is published at {WNC}.")
    return versions


def inspect_files(path: str | Path) -> list[Versions]:
    """Every WNC file of a folder, or the one file given, each read on its own, with pairs or without."""
    return [_read(file) for file in _files(Path(path), WNC_FILES)]


def versions_table(inspected: list[Versions]) -> Table:
    """What files with pairs of versions hold."""
    headings = ("file", "layout", "rows", "pairs", "of one version", "malformed")
    rows = []
    for v in inspected:
        rows.append((v.source, v.layout, *map(count, (v.rows, len(v.before), len(v.same), len(v.malformed)))))
    return Table("Files", headings, rows)


def _files(path: Path, *choices: tuple[str, ...]) -> list[Path]:
    """A file itself; of a folder, those files of the first choice that it has any of."""
    if not path.is_dir():
        return [path]
    for names in choices:
        places = ([path / name, path / f"{name}.gz"] for name in names)
        if files := [next(filter(Path.exists, both)) for both in places if any(map(Path.exists, both))]:
            return files
    raise UserError(f"{path} has none of WNC's files ({', '.join(choices[-1])}): WNC is published at {WNC}.")


def _read(path: Path) -> Versions:
    lines = enumerate(lines_of(read_text(path), SourceInfo()), 1)
    rows = ((number, line.split("\t")) for number, line in lines if line.strip())
    first = next(rows, (0, [""]))
    layout, at, to = _layout(path, first[1])
    versions, width = Versions(path.name, layout), len(first[1])
    for number, fields in rows if layout == "header" else chain([first], rows):
        whole = len(fields) > max(_RAW) if layout == "original" else len(fields) == width
        before, after = (fields[at].strip(), fields[to].strip()) if whole else ("", "")
        if not after or (not before and layout != "header"):
            versions.malformed.append(number)
        elif before in ("", after):
            versions.same.append(after)
        else:
            versions.before.append(before)
            versions.after.append(after)
    return versions


def _layout(path: Path, first: list[str]) -> tuple[Layout, int, int]:
    """Layout by the first line, and the fields of the earlier and the later version."""
    for before, after in _HEADERS:
        if {before, after} <= set(first):
            return "header", first.index(before), first.index(after)
    if len(first) > max(_RAW):
        return "original", *_RAW
    if len(first) == 2:
        return "two columns", 0, 1
    raise UserError(
        f"{path} is in no layout of pairs: give before<TAB>after, columns named biased and neutral, "
        f"or a file of WNC, published at {WNC}."
    )
