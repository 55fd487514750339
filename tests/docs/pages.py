"""Code and commands of the documentation, as a reader meets them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w+)?([^\n]*)\n(.*?)^\1```$", re.S | re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``kind`` is its language ("" for none), ``note`` what stands behind it, ``line`` where it is."""

    kind: str
    note: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for m in FENCE.finditer(text):
        body = re.sub(f"^{m[1]}", "", m[4], flags=re.M)
        found.append(Block(m[2] or "", m[3].strip(), body, text[: m.start()].count("\n") + 1))
    return found


def commands(page: Path) -> Iterator[str]:
    """Every line that calls crossloss, in blocks of shell or of nothing, without its remark."""
    for block in blocks(page):
        if block.kind in ("", "sh", "bash"):
            for line in block.text.replace("\\\n", " ").splitlines():
                if re.match(r"crossloss [a-z]", line.strip()):
                    yield line.strip().split("  #")[0]
