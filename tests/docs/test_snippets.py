"""Python of the README and of the pages runs as it stands, from a folder with a corpus.txt and a plots.txt."""

import io
import re
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from functools import cache

import pytest
from pages import PAGES, ROOT, blocks, corpus
from test_generated import generate

import crossloss as cl

# Not run here: the sketches of the design. Tutorial, corrections and names of Python have tests of their own.
ELSEWHERE = {"design.md", "tutorial.md", "correct.md", "api.md"}
SNIPPETS = [p for p in PAGES if p.name not in ELSEWHERE and any(b.kind == "python" for b in blocks(p))]


# What other pages' corpora are about.
PLOTS = ["dooku", "vader", "sidious", "kirk", "man", "work"]


def word2vec(gensim) -> object:
    """A live gensim model of corpus.txt, and its two matrices as the files that the page of formats names."""
    lines = [line.lower().rstrip(".").split() for line in corpus()]
    model = gensim.models.Word2Vec(lines, sg=1, hs=0, vector_size=4, min_count=1, seed=1, workers=1)
    model.wv.save_word2vec_format("vectors.txt")
    model.wv.save_word2vec_format("vectors.bin", binary=True)
    contexts = gensim.models.KeyedVectors(model.vector_size)
    contexts.add_vectors(model.wv.index_to_key, model.syn1neg)
    contexts.save_word2vec_format("contexts.bin", binary=True)
    return model


def test_the_how_to_pages_have_snippets():
    assert {p.name for p in SNIPPETS} >= {"README.md", "gensim.md", "pytorch.md", "large.md", "objective.md"}


@dataclass(frozen=True)
class Executed:
    """A page that has run: its names as they were after the block with a plan and a report, and what it printed."""

    planned: dict[str, object]
    printed: str


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Run a page's snippets, once for all tests."""

    @cache
    def run(page):
        gensim = pytest.importorskip("gensim") if page.name in ("gensim.md", "formats.md") else None
        folder, names, planned = tmp_path_factory.mktemp("page"), {}, {}
        (folder / "corpus.txt").write_text("\n".join(corpus()), encoding="utf-8")
        plots = [*PLOTS, *cl.objectives.weat("weat6").words]
        (folder / "plots.txt").write_text("\n".join(corpus(more=plots)), encoding="utf-8")
        with chdir(folder), redirect_stdout(io.StringIO()) as out:
            if page.name == "formats.md":
                names["model"] = word2vec(gensim)
            if page.name == "contextual.md":
                pytest.importorskip("transformers")
                start = {}
                exec(generate.PRELUDE + generate.TRANSFORMERS, start)
                names |= {"run": start["bert"], "tokenizer": start["tokenizer"]}
            for block in blocks(page):
                # with wefe: a package that tests have not; notest: on data that are not here
                if block.kind == "python" and "with " not in block.note and block.note != "notest":
                    # Lines of the page, so that a traceback names them.
                    exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
                    if is_short(block):
                        planned = dict(names) | {"page": (names["run"].store.path / "report.html").read_text("utf-8")}
        return Executed(planned, out.getvalue())

    return run


def is_short(block):
    """Whether it is one of the snippets that go all the way."""
    return "cl.plan(" in block.text and "cl.report(run)" in block.text


@pytest.mark.parametrize("page", SNIPPETS, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_snippets_of_a_page_run_in_their_order(page, executed):
    executed(page)


def python_of(page):
    """Whole, and what of it checks itself."""
    text = "\n".join(block.text for block in blocks(page) if block.kind == "python")
    return text, [line.strip() for line in text.splitlines() if line.strip().startswith("assert")]


def test_the_readmes_torch_example_runs_when_it_is_pasted(tmp_path, monkeypatch):
    """By itself, with nothing that stood above it."""
    (block,) = (b for b in blocks(ROOT / "README.md") if b.kind == "python" and "TorchField" in b.text)
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, "README.md", "exec"), {})


HOWTO = ROOT / "docs" / "howto"


@pytest.mark.parametrize("page", [ROOT / "README.md", HOWTO / "gensim.md", HOWTO / "pytorch.md"], ids=lambda p: p.name)
def test_twelve_lines_end_in_a_plan_checked_by_retraining_and_a_report(page, executed):
    (block,) = (b for b in blocks(page) if b.kind == "python" and is_short(b))
    assert len(block.text.splitlines()) <= 12
    names = executed(page).planned
    plan, objective = names["plan"], names["scores"].objectives[0]
    assert plan.size > 0
    assert plan.retrained == pytest.approx(float(objective(names["fixed"].view)), rel=1e-4)
    assert abs(plan.retrained - plan.target) < abs(plan.value - plan.target) / 2
    assert objective.name in names["page"]


def test_the_pytorch_page_shows_predictions_within_a_tenth(executed):
    """What the page prints, read again: five samples, each predicted to a tenth of what retraining gives."""
    page = HOWTO / "pytorch.md"
    _, checks = python_of(page)
    assert "assert abs(s.effect_if_removed - found) < 0.1 * abs(found)" in checks
    printed = re.findall(r"sample \d+: predicted ([+-][\d.]+), found ([+-][\d.]+)", executed(page).printed)
    assert len(printed) == 5
    assert all(abs(float(p) / float(f) - 1) < 0.1 for p, f in printed)
