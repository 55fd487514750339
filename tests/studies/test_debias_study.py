"""The debias study: every correction in every table, figures of what was measured, the same bytes again."""

import csv
import json
import re

import numpy as np
import pytest

import crossloss as cl
from crossloss import cli, pipeline
from crossloss.core import UserError
from crossloss.models.skipgram.hard_debias import HardDebias
from crossloss.objectives.weat import Weat
from crossloss.plans import debias as debiasing
from crossloss.studies import debias as studying
from crossloss.studies import debias_page
from crossloss.studies.debias import debias_study
from dense import random_sentences
from train_on import train_on

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TWO = Weat("two<b>", tuple(WORDS[1:5]), tuple(WORDS[16:20]), tuple(WORDS[20:24]), tuple(WORDS[24:28]))
HARD = HardDebias("gender", (("waa", "wae"), ("wab", "waf")), (("wac", "wag"),), ("waa", "wae", "wab"))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 15, "lr": 0.3, "momentum": 0.9, "dtype": "float64"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(debiasing, "hard_debias", lambda group: HARD)
        patch.setattr("crossloss.plans.outcome.hard_debias", lambda group: HARD)
        patch.setattr(studying, "MOST_STEPS", 600)
        patch.setattr(debias_study, "__kwdefaults__", debias_study.__kwdefaults__ | {"most_steps": 600})
        out = tmp_path_factory.mktemp("study") / "run"
        with train_on(cl.from_sentences(random_sentences(7, sentences=120)), out=out, **SETTINGS) as run:
            study, page = pipeline.study_debias(run, [ONE, TWO], starts=2, others=2, least=1, seeds=2)
            first = {path.name: path.read_bytes() for path in out.glob("study-*")}
            trained, retrain = [], type(run).retrain
            patch.setattr(type(run), "retrain", lambda self, *a, **b: trained.append(1) or retrain(self, *a, **b))
            pipeline.study_debias(run, [ONE, TWO], starts=2, others=2, least=1, seeds=2)
            again = {path.name: path.read_bytes() for path in out.glob("study-*")}
            yield run, study, page, first, again, len(trained)


def test_every_correction_is_in_it(made):
    _, study, *_ = made
    hows = [o.how for o in study.outcomes]
    assert hows[:6] == ["reweight", "reweight-one-start", "remove", "remove-one-start", "hard", "hard+reweight"]
    assert hows[6:] == ["undo"] * 2 + ["reinforce"] * 2 + ["both"] * 2
    assert set(study.cells) == {(way, test) for way in ("undo", "reinforce", "both") for test in ("one", "two<b>")}
    for cells in study.cells.values():
        assert len(cells) == 16
        assert all({"one", "two<b>", "loss"} <= set(c.figures) for c in cells if not c.failed)
        assert any(c.failed for c in cells)
    for test in study.tests:
        assert study.over.effects[test][1] * np.sign(study.original[test]) > abs(study.original[test])


def test_walks_are_the_cells(made):
    run, study, *_ = made
    walk = study.walk("undo", "one", 5, "two<b>")
    assert walk[0] == (0, float(TWO(run.view)))
    by_passes = {c.passes: c.figures["two<b>"] for c in study.cells["undo", "one"] if c.size == 5 and not c.failed}
    assert dict(walk[1:]) == by_passes
    best = study.best_update("one")
    assert list(best.targets) == ["one"]


def test_tables_hold_the_figures(made):
    _, study, *_ = made
    found = {title: (headings, rows) for title, headings, rows in debias_page.tables(study)}
    assert all(len(row) == len(headings) for headings, rows in found.values() for row in rows)
    headings, rows = found["Effects from the run's own start (the paper's Table 3)"]
    assert headings == ["correction", "one", "two<b>"]
    effects = {row[0]: row[1:] for row in rows}
    hard = study.outcomes[4]
    assert effects["hard"] == [debias_page.words.value(hard.effects[test][1]) for test in study.tests]
    assert len(effects) == 10
    chosen = next(rows for title, (_, rows) in found.items() if "Table 8" in title)
    undo = next(o for o in study.outcomes if o.how == "undo").chosen
    assert chosen[0][1] == f"{undo['size']}/0, {undo['passes']} passes"
    assert chosen[2][1].split("/")[0] == chosen[2][1].split("/")[1].split(",")[0]


def test_robustness_and_transfer_are_in_it(made):
    run, study, *_ = made
    found = {title: (headings, rows) for title, headings, rows in debias_page.tables(study)}
    told = found["How few sentences decide a test"][1]
    assert len(told) == len(study.robustness) == 2 * 2 * 2  # tests, verdicts, all words and the frequent ones
    assert all("one" in row[0] or "two<b>" in row[0] for row in told)
    pytest.importorskip("gensim")
    assert set(study.transferred) == {"reweight", "remove"}
    for how, moved in study.transferred.items():
        rows = next(rows for title, (_, rows) in found.items() if "gensim" in title and f"after {how}:" in title)
        assert [row[0] for row in rows] == list(moved) == study.tests
        assert run.store.metrics[f"transfer.{how}.one.after"] == pytest.approx(np.mean(moved["one"].after))
    assert study.transferred["reweight"]["one"].before == study.transferred["remove"]["one"].before
    assert set(study.plans) >= {"reweight", "reweight-one-start", "remove", "remove-one-start", "hard+reweight"}
    assert all(run.store.file(f"plan-{name}.parquet").exists() for name in study.plans)


def test_the_page_is_escaped_and_self_contained(made):
    run, _, page, first, *_ = made
    text = page.read_text()
    assert "two&lt;b&gt;" in text
    assert "two<b>" not in text
    assert not re.search(r"(src|href)=\"https?:", text)
    assert text.count("<svg") == 2
    assert set(first) == {
        "study-debias.html",
        "study-debias.csv",
        "study-debias-passes.svg",
        "study-debias-quality.svg",
    }
    rows = list(csv.reader(first["study-debias.csv"].decode().splitlines()))
    assert ["correction", "one", "two<b>"] in rows
    assert run.store.metrics["debias.reweight.one.effect"] == made[1].outcomes[0].effects["one"][1]


def test_a_second_study_trains_little_and_writes_the_same_bytes(made):
    _, study, _, first, again, trained = made
    # Each correction once, from the own start; robustness anew, by doubling and halving.
    assert trained <= 14 + 8 * len(study.robustness)
    assert first["study-debias-passes.svg"] == again["study-debias-passes.svg"]


def test_one_start_is_not_compared_with_itself(made):
    with pytest.raises(UserError, match="at least two starts"):
        debias_study(made[0], [ONE], starts=1)


def test_the_command_says_what_it_will_take_and_shows_the_tables(made, tmp_path, monkeypatch, capsys):
    _, study, page, *_ = made
    asked = {}

    def studied(run, tests, **more):
        asked.update(more, names=[test.name for test in tests], words=len(run.model.vocabulary.words))
        return study, page

    monkeypatch.setattr(pipeline, "study_debias", studied)
    corpus, mine = tmp_path / "c.txt", tmp_path / "t.yaml"
    corpus.write_text("\n".join(random_sentences(7, sentences=120)))
    mine.write_text(json.dumps({"mine": {side: list(getattr(ONE, side)) for side in "XYAB"}}))
    words = ["study", "debias", "--corpus", str(corpus), "--out", str(tmp_path / "run"), "--objective", str(mine)]
    monkeypatch.setattr("signal.signal", lambda *unused: None)
    monkeypatch.setattr("sys.argv", ["crossloss", *words, "--starts", "2", "--others", "2", "--min-count", "3"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert {name: asked[name] for name in ("starts", "others", "names")} == {
        "starts": 2,
        "others": 2,
        "names": ["mine"],
    }
    assert asked["command"].startswith("crossloss study debias --corpus")
    said = capsys.readouterr().out
    trainings, scorings = studying.passes(1, 2, 2)
    assert f"about {trainings} trainings and {scorings} scorings" in " ".join(said.split())
    assert "Effects from the run's own start" in said
    assert page.name in said
