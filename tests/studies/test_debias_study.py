"""The debias study: every correction in every table, figures of what was measured, the same bytes again."""

import csv
import json
import re
import sys

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram.hard_debias import HardDebias, hard_debias
from crossloss.objectives.weat import Weat
from crossloss.utils.display import value
from dense import random_sentences
from studies import debias, tables
from train_on import train_on

pytest.importorskip("matplotlib")
WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TWO = Weat("two<b>", tuple(WORDS[1:5]), tuple(WORDS[16:20]), tuple(WORDS[20:24]), tuple(WORDS[24:28]))
PATCHED = (
    "crossloss.plans.make",
    "crossloss.plans.evaluate",
    "crossloss.models.skipgram.hard_debias",
    "studies.debias",
)
PAIRS = list(zip(WORDS[:4], WORDS[4:8], strict=True))
HARD = HardDebias("gender", (("waa", "wae"), ("wab", "waf")), (("wac", "wag"),), ("waa", "wae", "wab"))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 15, "lr": 0.3, "momentum": 0.9, "dtype": "float64"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for module in PATCHED:
            patch.setattr(sys.modules[module], "hard_debias", lambda group: HARD)
        patch.setattr(debias, "DRAWS", 2)
        out = tmp_path_factory.mktemp("study") / "run"
        corpus = cl.with_swaps(cl.from_sentences(random_sentences(7, sentences=120)), PAIRS)
        with train_on(corpus, out=out, **SETTINGS) as run:

            def studied():
                study = debias.study(run, [ONE, TWO], starts=2, seeds=2, most_steps=600, least=1, models=2)
                page = tables.write(out, "debias", "Debias", debias.NOTES, debias.page(study))
                return study, page, {path.name: path.read_bytes() for path in out.glob("study-*")}

            study, page, first = studied()
            trained, retrain = [], type(run).retrain
            patch.setattr(type(run), "retrain", lambda self, *a, **b: trained.append(1) or retrain(self, *a, **b))
            *_, again = studied()
            yield run, study, page, first, again, len(trained)


def test_every_correction_is_in_it(made):
    _, study, *_ = made
    methods, rows = [e.method for e in study.evaluations], len(debias.TOGETHER)
    assert methods[:rows] == list(debias.TOGETHER)
    assert methods[rows:] == ["undo"] * 2 + ["reinforce"] * 2 + ["both"] * 2
    for e in study.evaluations:
        assert {"one", "two<b>"} <= set(e.effects), "every correction is measured by every test"
        assert len(e.seeds) == 2
        assert set(e.purity) == {"gender"}
        held = {"one", "two<b>"} if e.method in debias.TOGETHER and debias.TOGETHER[e.method].halves else set()
        assert set(e.held_out_words) == held
        assert all(len(words.after) == 2 for words in e.held_out_words.values())
    wide = study.evaluations[methods.index("wide")]
    assert list(wide.targets) == ["direct-bias"]
    assert wide.effects["direct-bias"][1] == pytest.approx(0.5 * wide.effects["direct-bias"][0], abs=3e-4)
    for test in study.tests:
        assert study.over.effects[test][1] * np.sign(study.original[test]) > abs(study.original[test])


def test_walks_are_of_the_best_update_and_as_its_passes_give(made):
    run, study, *_ = made
    for name, test in (("one", ONE), ("two<b>", TWO)):
        best, walk = study.best_update(name), study.walks[name]
        judged = [e.chosen["figures"][f"{name}.judged"] for e in study.evaluations if e.chosen and name in e.targets]
        assert abs(best.chosen["figures"][f"{name}.judged"]) == min(map(abs, judged))
        assert list(best.targets) == [name]
        assert walk[0] == (0, {t.name: float(t(run.view)) for t in (ONE, TWO)})
        assert len(walk) > 2
        at = dict(walk)[best.chosen["passes"]]
        assert at[name] == pytest.approx(best.effects[name][1], rel=1e-12)
        assert at == pytest.approx({other: after for other, (_, after) in best.effects.items()}, rel=1e-12)
        assert [count for count, _ in walk] == sorted(count for count, _ in walk)
        assert test.name == name


def shown(study):
    return {p.title: p for p in debias.page(study) if isinstance(p, tables.Table)}


def test_tables_hold_the_figures(made):
    _, study, *_ = made
    assert all(len(row) == len(table.headings) for table in shown(study).values() for row in table.rows)
    table = shown(study)["Effects from the run's own start (the paper's Table 3)"]
    assert table.headings == ["correction", "one", "two<b>"]
    effects = {row[0]: row[1:] for row in table.rows}
    hard = next(e for e in study.evaluations if e.method == "hard")
    assert effects["hard"] == [value(hard.effects[test][1]) for test in study.tests]
    assert len(effects) == 1 + len(debias.TOGETHER) + len(debias.UPDATES)
    held = next(table for title, table in shown(study).items() if title.startswith("Fitted to half"))
    assert [row[0] for row in held.rows] == ["swap", "swap-copies", "swap-fewest", "reweight"]
    chosen = next(table.rows for title, table in shown(study).items() if "Table 8" in title)
    undo = next(e for e in study.evaluations if e.method == "undo").chosen
    assert chosen[0][1] == f"{undo['size']}/0, {undo['passes']} passes"
    assert chosen[2][1].split("/")[0] == chosen[2][1].split("/")[1].split(",")[0]
    costs = next(table for title, table in shown(study).items() if title.startswith("What it costs"))
    assert [row[0] for row in costs.rows] == [*(e.name for e in study.evaluations), "over-biased"]


def test_flips_and_transfer_are_in_it(made):
    run, study, *_ = made
    flips = shown(study)["How few sentences decide a test"].rows
    assert len(flips) == len(study.flips) == 2 * 2 * 2  # tests, verdicts, all words and the frequent ones
    assert all("one" in row[0] or "two<b>" in row[0] for row in flips)
    assert sum("words of 1 occurrences or more" in row[0] for row in flips) == 4
    pytest.importorskip("gensim")
    moved = {e.method: e for e in study.evaluations if e.transfer}
    assert set(moved) == {e.method for e in study.evaluations if e.method in debias.TRANSFERRED and e.moved}
    assert {"swap", "remove"} <= set(moved)
    for method, e in moved.items():
        rows = next(t.rows for title, t in shown(study).items() if "gensim" in title and title.endswith(f" {method}"))
        assert [row[0] for row in rows] == list(e.transfer) == study.tests
        measured = run.store.metrics[f"evaluate.{method}.one.gensim.mean"]
        assert measured == pytest.approx(np.mean(e.transfer["one"].after))
    assert moved["remove"].transfer["one"].before == moved["swap"].transfer["one"].before
    for name in ("reweight", "reweight-one-start", "remove", "remove-one-start", "hard+reweight", "undo-one"):
        assert run.store.file(f"plan-{name}.parquet").exists()


def test_the_page_is_escaped_and_self_contained(made):
    run, study, page, first, *_ = made
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
    reweight = next(e for e in study.evaluations if e.method == "reweight")
    assert run.store.metrics["debias.reweight.one.effect"] == reweight.effects["one"][1]
    assert run.store.metrics["evaluate.swap-fewest.one.unseen_starts.sd"] >= 0
    assert run.store.metrics["debias.over-bias.one.effect"] == study.over.effects["one"][1]


def test_a_second_study_trains_little_and_draws_the_same(made):
    *_, first, again, trained = made
    # Each correction from the own start.
    assert trained <= 2 * len(debias.TOGETHER)
    assert first["study-debias-passes.svg"] == again["study-debias-passes.svg"]


def test_one_start_is_not_compared_with_itself(made):
    with pytest.raises(UserError, match="at least two starts"):
        debias.study(made[0], [ONE], starts=1)
    with pytest.raises(UserError, match="There is no correction 'prayer'"):
        debias.study(made[0], [ONE], rows=["prayer"])


def test_some_corrections_alone(made):
    """The page has what was made, and what was made before is not made again."""
    run, study, *_ = made
    some = debias.study(run, [ONE, TWO], rows=["hard", "swap"], others=False, starts=2, seeds=2, models=2)
    assert [e.method for e in some.evaluations] == ["hard", "swap"]
    assert some.evaluations[1].rows == study.evaluations[0].rows
    titles = [part.title for part in debias.page(some)]
    assert not any("Table 8" in title or "Over-biased" in title for title in titles)


def test_what_the_study_cannot_do_is_said_before_the_work(as_user, tmp_path, monkeypatch):
    for module in PATCHED:  # as it is, whatever the runs above were given
        monkeypatch.setattr(sys.modules[module], "hard_debias", hard_debias)
    corpus, mine = tmp_path / "c.txt", tmp_path / "t.yaml"
    corpus.write_text("\n".join([*random_sentences(7, sentences=60), "she waa"]))
    sets = {side: list(getattr(ONE, side)) for side in "XYAB"}
    mine.write_text(json.dumps({"mine": sets, "few": sets | {"X": sets["X"][:2], "Y": sets["Y"][:2]}}))
    given = ("--corpus", corpus, "--out", tmp_path / "run", "--min-count", 1, "--dimension", 4, "--steps", 6)
    for name, why in (
        ("t.yaml:few", "halves need four."),
        ("t.yaml:mine", "needs one of these pairs in the vocabulary"),
        ("displacement:waa", "The study is for association tests, and displacement"),
    ):
        path = f"{tmp_path}/{name}" if "yaml" in name else name
        code, text, errors = as_user("debias", *given, "--objective", path)
        assert (code, errors.count("Error: ")) == (2, 1)
        assert why in errors
        assert not list(tmp_path.glob("run/retrains/*"))
    assert "Page:" not in text


@pytest.mark.slow
def test_the_command(as_user, tmp_path, monkeypatch):
    monkeypatch.setattr(debias, "DRAWS", 5)  # the command's own, whichever test is before this one
    pairs = ["he waa wai", "she wae wam", "man wab waj", "woman waf wan", "his wac", "her wag"] * 4
    corpus, mine = tmp_path / "c.txt", tmp_path / "t.yaml"
    corpus.write_text("\n".join([*random_sentences(3, sentences=60), *pairs]))
    mine.write_text(json.dumps({"mine": {side: list(getattr(ONE, side)) for side in "XYAB"}}))
    given = ("--corpus", corpus, "--out", tmp_path / "run", "--objective", mine, "--min-count", 1, "--dimension", 4)
    given += ("--steps", 6, "--starts", 2, "--seeds", 2, "--most-steps", 500, "--models", 1)
    code, text, errors = as_user("debias", *given)
    assert code == 0, errors
    trainings, scorings = debias.passes(1, 2, 2, list(debias.TOGETHER))
    assert text.index(f"about {trainings} trainings and {scorings} scorings") < text.index("Table 3")
    assert "hard+reweight" in text
    assert "study-debias.html" in text
    assert (tmp_path / "run" / "study-debias.html").read_text().count("<svg") == 2
