"""Code and commands of the documentation, as a reader meets them."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import crossloss as cl

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


def corpus(lines: int = 600, more: Sequence[str] = ()) -> list[str]:
    """Sentences of a weat7's words and fillers in which male terms lean to mathematics."""
    draw, weat = random.Random(0), cl.objectives.weat("weat7")
    fillers = [a + b for a in ("ba", "do", "ki", "lu", "me") for b in ("nor", "tal", "rim", "sek", "vop", "gat")]
    found = []
    for _ in range(lines):
        male = draw.random() < 0.5
        attributes = weat.A if male == (draw.random() < 0.7) else weat.B
        words = [
            draw.choice(weat.X if male else weat.Y),
            draw.choice(attributes),
            *draw.choices([*fillers, *more], k=6),
        ]
        draw.shuffle(words)
        found.append(" ".join(words).capitalize() + ".")
    return found
