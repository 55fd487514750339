"""Python of the README and of the pages runs as it stands, from a folder with a corpus.txt and a plots.txt."""

import random
from collections.abc import Sequence

import pytest
import torch
from pages import PAGES, ROOT, blocks
from torch import nn
from torch.nn import functional as F

import crossloss as cl

# Not run here: the design's own sketches; formats, whose snippets take the reader's models; the tutorial has its own test.
ELSEWHERE = {"design.md", "formats.md", "tutorial.md"}
SNIPPETS = [p for p in PAGES if p.name not in ELSEWHERE and any(b.kind == "python" for b in blocks(p))]


# What other pages' corpora are about.
PLOTS = ["dooku", "vader", "sidious", "kirk", "man", "work"]


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


def given() -> dict[str, object]:
    """What the README's torch snippet takes from its reader."""
    torch.manual_seed(0)
    x, y = torch.randn(40, 3), torch.randint(0, 2, (40,))
    model = nn.Linear(3, 2)
    return {
        "x": x, "y": y, "x_test": x[:4], "y_test": y[:4], "model": model, "F": F,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "batches": [torch.arange(20), torch.arange(20, 40)],
        "loss": lambda m, rows: F.cross_entropy(m(x[rows]), y[rows]),
    }  # fmt: skip


def test_the_how_to_pages_have_snippets():
    assert {p.name for p in SNIPPETS} >= {"README.md", "gensim.md", "pytorch.md", "large.md", "objective.md"}


@pytest.mark.parametrize("page", SNIPPETS, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_snippets_of_a_page_run_in_their_order(page, tmp_path, monkeypatch):
    if page.name == "gensim.md":
        pytest.importorskip("gensim")
    (tmp_path / "corpus.txt").write_text("\n".join(corpus()), encoding="utf-8")
    plots = [*PLOTS, *cl.objectives.weat("weat6").words]
    (tmp_path / "plots.txt").write_text("\n".join(corpus(more=plots)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = given()
    for block in blocks(page):
        if block.kind == "python":
            # Lines of the page, so that a traceback names them.
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
