"""The WNC study on a tiny corpus: both sides trained alike, edits applied, the page, and going on after a stop."""

import csv
import gzip
import re
from dataclasses import replace

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.text.versions import Versions, read_versions
from dense import random_sentences
from studies import command, tables, wnc
from studies.versioned import combine_versions
from studies.wnc import CONVENTIONS, enough_text

pytest.importorskip("matplotlib")
WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TWO = Weat("two<b>", tuple(WORDS[1:5]), tuple(WORDS[16:20]), tuple(WORDS[20:24]), tuple(WORDS[24:28]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "dtype": "float64"}
HOSTILE = "<script>alert(1)</script>"


def versions():
    """Every edit takes the second word out; the first of them brings mark-up."""
    before = random_sentences(7, sentences=39)
    after = [" ".join([w for i, w in enumerate(t.split()) if i != 1]) for t in before]
    before[0] = f"{before[0]} {HOSTILE} \x1b[31m 1999"
    return Versions("tiny.tsv", "header", before, after, random_sentences(8, sentences=9), [])


def both():
    return combine_versions(versions(), cl.from_sentences(random_sentences(9, sentences=59)))


def written(out):
    return {p.name: p.read_bytes() for p in out.glob("study-wnc*")}


def trained(both, tests, out):
    model = cl.SkipGram(
        both.corpus, keep_words=[w for t in tests for w in t.words], **SETTINGS, **CONVENTIONS["word2vec"]
    )
    return cl.train(model, cl.HeavyBall(0.5), steps=15, weights=both.weights("before"), out=out)


def studied(out):
    with trained(both(), [ONE, TWO], out) as run:
        study = wnc.study(run, both(), [ONE, TWO])
        page = tables.write(out, "wnc", "WNC", wnc.notes(study), wnc.page(study))
    return study, page


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("wnc") / "run"
    study, page = studied(out)
    first = written(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossloss.run.trajectory.steps_from", lambda *a: pytest.fail("trained again"))
        studied(out)
    return study, page, out, first, written(out)


@pytest.mark.parametrize("label", CONVENTIONS)
def test_both_sides_are_trained_alike(made, label):
    study, _, out, *_ = made
    sizes = versions()
    assert study.sizes == {"pairs": 40, "same": 10, "background": 60, "words": study.sizes["words"]}
    measured = study.conventions[label].measured
    wanted, n = CONVENTIONS[label], combine_versions(sizes).pairs
    folders = {"biased": out if label == "word2vec" else out / "paper-biased"}
    folders["neutral"] = out / ("neutral" if label == "word2vec" else "paper-neutral")
    runs = {}
    for side, folder in folders.items():
        with cl.load(folder) as run:
            runs[side] = run
            settings = run.model.settings.model_dump()
            assert {name: settings[name] for name in wanted} == wanted
            assert run.weights[:n].all() == (side == "biased")
            assert run.weights[n : 2 * n].all() == (side == "neutral")
            for test in (ONE, TWO):
                expected = cl.permutation_test(test, run.view)
                assert measured[side, test.name] == expected
    a, b = runs.values()
    assert a.model.settings == b.model.settings
    assert a.model.vocabulary.words == b.model.vocabulary.words
    assert np.array_equal(a.trajectory.initial, b.trajectory.initial)
    assert not np.array_equal(a.trajectory.theta, b.trajectory.theta)


@pytest.mark.parametrize("label", CONVENTIONS)
def test_applied_edits_are_what_retraining_and_the_other_side_give(made, label):
    study, _, out, *_ = made
    convention = study.conventions[label]
    with cl.load(out if label == "word2vec" else out / "paper-biased") as run:
        scores = cl.score(run, [ONE, TWO])
        effects = scores.samples[:, 40:80] - scores.samples[:, :40]
        for row, test in zip(effects, (ONE, TWO), strict=True):
            value = float(test(run.view))
            everything = convention.applied[test.name, "all"]
            assert everything.predicted == pytest.approx(row.sum())
            neutral = convention.measured["neutral", test.name].effect
            assert everything.retrained == pytest.approx(neutral - value, abs=1e-12)
            order = [edit.number for edit in convention.edits[test.name]]
            assert order == np.argsort(-np.abs(row))[:10].tolist()
            nearer = np.flatnonzero(row * np.sign(value) < 0)
            weights = run.weights.copy()
            weights[nearer], weights[nearer + 40] = 0, 1
            done = convention.applied[test.name, "nearer"]
            assert done.edits == len(nearer)
            assert done.predicted == pytest.approx(row[nearer].sum())
            assert done.retrained == pytest.approx(float(test(run.retrain(weights).view)) - value)
            control = convention.applied[test.name, "random"]  # all of the 40: as many as are applied
            assert (control.edits, control.predicted) == (40, pytest.approx(row.sum()))
            assert control.retrained == pytest.approx(neutral - value, abs=1e-3)
            with cl.load(out / ("neutral" if label == "word2vec" else "paper-neutral")) as other:
                back = cl.score(other, [test]).of()
            expected = np.corrcoef(row, back[40:80] - back[:40])[0, 1]
            assert convention.agreement[test.name] == pytest.approx(expected, rel=1e-4)


def test_sentences_are_of_the_side_and_ranked_among_all(made):
    study, _, out, *_ = made
    with cl.load(out / "neutral") as run:
        scores = cl.score(run, [ONE, TWO])
    for test in (ONE, TWO):
        sign = np.sign(scores.values[test.name])
        size = np.where(run.weights > 0, sign * scores.of(test), -np.inf)
        strongest = study.conventions["word2vec"].sentences["neutral", test.name, "A"]
        assert strongest, "a test that is not zero has amplifiers"
        for s in strongest:
            i = run.model.corpus.texts.index(s.text)
            assert 40 <= i < 90, "of D_N or of both, not of the background"
            assert s.effect == -scores.of(test)[i]
            assert s.rank == 1 + (size > size[i]).sum()
            assert sum(v for *_, v in s.spans) == pytest.approx(s.effect, rel=1e-5)
        shared = study.conventions["word2vec"].shared[test.name]
        assert all(a * b > 0 for _, _, a, b in shared)


def test_near_duplicates_are_one_sentence(tmp_path):
    planted = ["waa wai wac wal", "wac wal waa wai", "waa wai wac wal"]
    found = versions()
    both = combine_versions(replace(found, same=[*found.same, *planted]))
    with trained(both, [ONE], tmp_path / "run") as run:
        scores = cl.score(run, [ONE])
        numbers = [i for i, text in enumerate(run.model.corpus.texts) if text in planted]
        sign = float(np.sign(scores.of()[numbers[0]]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wnc, "SENTENCES_SHOWN", len(run.model.corpus))
            shown = wnc._sentences(scores, both, "one", sign)
    sets = [set(s.text.split()) for s in shown]
    assert all(len(a & b) < 0.8 * len(a | b) for i, a in enumerate(sets) for b in sets[:i])
    (mine,) = (s for s in shown if s.text in planted)
    assert mine.alike == 2


def test_the_page_is_escaped_marks_what_changed_and_needs_nothing(made):
    study, page, _, first, *_ = made
    text = page.read_text()
    assert set(first) == {"study-wnc.html", "study-wnc.csv", "study-wnc-effects.svg", "study-wnc-edits.svg"}
    assert "two<b>" not in text
    assert HOSTILE not in text
    assert "\x1b" not in text
    assert not re.search(r"(src|href)=\"https?:", text)
    assert text.count("<svg") == 2
    for edit in study.conventions["paper"].edits["one"]:
        (gone,) = [edit.before[a:b] for a, b, _ in edit.removed] if edit.number else [None]
        if gone:
            assert re.search(rf"<del[^>]*>{gone}</del>", text)
            assert f"[-{gone}-]" in first["study-wnc.csv"].decode()
    rows = list(csv.reader(first["study-wnc.csv"].decode().splitlines()))
    assert ["side", "one", "two<b>"] in rows


def test_the_figures_are_in_the_metrics(made):
    study, *_ = made
    metrics = study.metrics()
    top = study.conventions["word2vec"].applied["one", "top"]
    assert metrics["edits.one.top100.predicted"] == top.predicted
    assert metrics["edits.one.top100.retrained"] == top.retrained
    assert (
        metrics["wnc.paper.edits.one.nearer100.retrained"]
        == study.conventions["paper"].applied["one", "nearer"].retrained
    )
    assert metrics["wnc.word2vec.neutral.one.effect"] == study.conventions["word2vec"].measured["neutral", "one"].effect


def test_a_second_study_trains_nothing_and_writes_the_same_bytes(made):
    *_, first, again = made
    assert first == again


def test_the_paper_stands_beside_its_own_tests_only(made):
    study, *_ = made
    assert not any("Table 3" in str(row[0]) for row in wnc.page(study)[0].rows)
    named = dict(zip(command.PAPER_TESTS, ("one", "two<b>") * 2, strict=True))
    both_sides = {
        label: type(c)(
            **vars(c)
            | {"measured": {(side, t): c.measured[side, old] for side in wnc.NAMES for t, old in named.items()}}
            | {"applied": {(t, s): c.applied[old, s] for s in wnc.SETS for t, old in named.items()}}
            | {"overlap": dict.fromkeys(named, 1), "agreement": dict.fromkeys(named, 1.0)}
            | {"edits": {t: [] for t in named}, "shared": {t: [] for t in named}}
            | {"sentences": {(side, t, kind): [] for side in wnc.NAMES for t in named for kind in "AM"}}
        )
        for label, c in study.conventions.items()
    }
    whole = type(study)(list(named), study.sizes, study.applied, both_sides)
    table, figure, *_ = wnc.page(whole)
    assert ["D_B, the paper (Table 3)", "0.48", "0.52", "\u22120.43", "0.53"] in table.rows
    assert figure.svg.count("printed in the paper") == 4


def test_too_little_text_asks_for_a_background(tmp_path):
    few = combine_versions(Versions("few.tsv", "header", ["waa wab wac"], ["waa wab"], [], []))
    with pytest.raises(UserError, match="--background FILE adds"):
        enough_text(few.corpus, [ONE])


@pytest.fixture
def download(tmp_path):
    """A folder as WNC is unpacked, with one row cut off."""
    found = versions()
    rows = [f"7\tto ##k\ttok\t{a}\t{b}\tNOUN\tdet\n" for a, b in zip(found.before, found.after, strict=True)]
    (tmp_path / "WNC").mkdir()
    (tmp_path / "WNC" / "biased.full").write_text("".join([*rows, "7\tcut off\n"]))
    (tmp_path / "WNC" / "neutral.gz").write_bytes(gzip.compress(b"7\tx\tx\tthe same\tthe same\n"))
    return tmp_path / "WNC"


def test_the_command(download, tmp_path, as_user):
    (tmp_path / "t.yaml").write_text(str({"mine": {s: list(getattr(ONE, s)) for s in "XYAB"}}).replace("'", '"'))
    (tmp_path / "more.txt").write_text("\n".join(random_sentences(9, sentences=59)))
    given = ("--corpus", download, "--out", tmp_path / "run", "--objective", tmp_path / "t.yaml", "--dimension", 4)
    given += ("--steps", 8, "--min-count", 1)
    code, _, errors = as_user("wnc", *given[:-6], "--corpus", few_in(tmp_path))
    assert (code, errors.count("Error: ")) == (2, 1)
    assert "--background FILE adds the same text to both sides." in errors
    assert not (tmp_path / "run").exists()
    code, text, errors = as_user("wnc", *given, "--background", tmp_path / "more.txt")
    assert code == 0, errors
    assert re.search(r"WNC │ original │ 41 │ 40 │ 0 │ 1 ", text)
    assert text.index("about 10 trainings and 4 scorings") < text.index("D_N, paper")
    assert "strongest either way" in text
    assert "study-wnc.html" in text
    with cl.load(tmp_path / "run") as run:
        versions = read_versions(download)
        scores = cl.score(run, [Weat("mine", ONE.X, ONE.Y, ONE.A, ONE.B)])
        edits = cl.score_edits(scores, versions.before, versions.after)
        assert len(edits) == 40
        assert not edits.unseen.any(), "both versions are samples of the run"
        metrics = run.store.metrics
        top = edits.of()[edits.strongest(100)].sum()
        assert metrics["edits.mine.top100.predicted"] == pytest.approx(top, rel=1e-6)
        assert metrics["wnc.word2vec.biased.mine.effect"] == pytest.approx(scores.values["mine"])
        assert [o["name"] for o in run.store.manifest["objectives"]] == ["mine"]


def few_in(tmp_path):
    (tmp_path / "few.tsv").write_text("before\tafter\nwaa wab wac\twaa wab\n")
    return tmp_path / "few.tsv"
