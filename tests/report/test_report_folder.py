"""The page of a run folder, written by a process that did not make its results."""

import re

import pytest
from test_report_page import Page

import crossloss as cl
from crossloss.folders.restore import save_flip
from crossloss.objectives import Weat
from dense import random_sentences
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
MINE = Weat("mine", WORDS[:4], WORDS[4:8], WORDS[8:12], WORDS[12:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with two plans, a validation, starts and a flip; and the page of the process that made it."""
    out = tmp_path_factory.mktemp("report") / "run"
    corpus = cl.from_sentences(random_sentences(3, sentences=60))
    with train_on(corpus, keep_words=MINE.words, min_count=1, dimension=3, steps=6, lr=0.5, out=out) as run:
        run.remember([MINE])
        cl.measure(run, [MINE], starts=3)
        scores = cl.score(run, [MINE])
        target = scores.values["mine"] * 0.9
        reweight = cl.plan(scores, target, method="reweight", starts=2, rounds=2)
        reweight.save(run)
        cl.evaluate(reweight, run, [MINE], seeds=2, halves=2).save(run)
        cl.plan(scores, target).save(run)
        cl.validate(run, subsets=4, share=0.2, strongest=2, seeds=2, removals=2)
        save_flip(run, cl.smallest_flip(scores, "mine", most=0.1), "mine")
        page = cl.report(run).read_text(encoding="utf-8")
    return out, page


def test_a_loaded_run_has_the_whole_page(folder):
    out, page = folder
    with cl.load(out) as run:
        again = cl.report(run)
        assert again == out / "report.html"
        shown = Page(again.read_text(encoding="utf-8")).text
        removal = run.results.plans["mine"]
        validation = run.results.validation
    assert f"Removing {removal.size} of 61 sentences brings mine from" in shown
    assert "The plan reweight" in shown
    assert "Over 3 starts of the initial parameters" in shown
    assert "Checked by retraining 4 times without a random 20 %" in shown
    assert "from 2 other starts, which it was not fitted to" in shown
    assert f"Each of the {len(validation.strongest['mine'].samples)} strongest of mine was left out alone" in shown
    assert "of 61 sentences" in shown.split("How few sentences decide it")[1].split("How well")[0]
    assert re.search(
        "From 2 starts that it was not fitted to: .* to .*It (carries|does not carry) over to words", shown
    )
    for word in ("Not measured yet", "not checked by retraining", "No plan yet"):
        assert word not in shown
    first = Page(page).text
    # What one process prints of its plan, its rounds too, the other does.
    assert re.search(r"Retrained: .*? without \d+", shown)[0] == re.search(r"Retrained: .*? without \d+", first)[0]


def test_the_same_folder_has_the_same_bytes(folder):
    out, _ = folder
    pages = []
    for _ in range(2):
        with cl.load(out) as run:
            pages.append(cl.report(run).read_bytes())
    assert pages[0] == pages[1]


def test_a_folder_without_objectives_says_to_score_first(tmp_path):
    corpus, out = cl.from_sentences(random_sentences(3, sentences=30)), tmp_path / "run"
    run = train_on(corpus, min_count=1, dimension=3, steps=3, lr=0.5, out=out)
    with run, pytest.raises(cl.UserError, match="score at least one objective first"):
        cl.report(run)
    assert not (out / "report.html").exists()
