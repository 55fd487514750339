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
from crossloss.utils.display import effect, value
from dense import random_sentences
from studies import command, tables, wnc
from studies.sentences import HEADINGS, strongest
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
        figures, parts = wnc.study(run, both(), [ONE, TWO])
        page = tables.write(out, "wnc", "WNC", wnc.notes(figures), parts)
    return figures, {part.title: part for part in parts}, page


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Figures, tables by title, the page, the folder, and the bytes of what was written, twice."""
    out = tmp_path_factory.mktemp("wnc") / "run"
    study = studied(out)
    first = written(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossloss.run.trajectory.steps_from", lambda *a: pytest.fail("trained again"))
        studied(out)
    return *study, out, first, written(out)


def rows(table):
    return [dict(zip(table.headings, row, strict=True)) for row in table.rows]


FOLDERS = {
    ("word2vec", "biased"): "",
    ("word2vec", "neutral"): "neutral",
    ("paper", "biased"): "paper-biased",
    ("paper", "neutral"): "paper-neutral",
}


@pytest.mark.parametrize("label", CONVENTIONS)
def test_both_sides_are_trained_alike(made, label):
    figures, shown, _, out, *_ = made
    sizes = {name: figures[f"wnc.{name}"] for name in ("pairs", "same", "background")}
    assert sizes == {"pairs": 40, "same": 10, "background": 60}
    wanted, n, runs = CONVENTIONS[label], 40, {}
    table = {
        row["side"]: row for row in rows(shown[next(title for title in shown if title.startswith("Effect sizes"))])
    }
    for side, name in (("biased", "D_B"), ("neutral", "D_N")):
        with cl.load(out / FOLDERS[label, side]) as run:
            runs[side] = run
            settings = run.model.settings.model_dump()
            assert {name: settings[name] for name in wanted} == wanted
            assert run.weights[:n].all() == (side == "biased")
            assert run.weights[n : 2 * n].all() == (side == "neutral")
            for test in (ONE, TWO):
                expected = cl.permutation_test(test, run.view)
                for figure in ("effect", "p_value", "p_value_two_sided"):
                    assert figures[f"wnc.{label}.{side}.{test.name}.{figure}"] == getattr(expected, figure)
                assert table[f"{name}, {label} convention"][test.name].startswith(value(expected.effect))
    a, b = runs.values()
    assert a.model.settings == b.model.settings
    assert a.model.vocabulary.words == b.model.vocabulary.words
    assert len(a.model.vocabulary.words) == figures["wnc.words"]
    assert np.array_equal(a.trajectory.initial, b.trajectory.initial)
    assert not np.array_equal(a.trajectory.theta, b.trajectory.theta)


@pytest.mark.parametrize("label", CONVENTIONS)
def test_applied_edits_are_what_retraining_and_the_other_side_give(made, label):
    figures, shown, _, out, *_ = made

    def change(name, chosen):
        start = "" if label == "word2vec" else "wnc.paper."
        return [figures[f"{start}edits.{name}.{chosen}.{figure}"] for figure in ("predicted", "retrained")]

    made_on = {row["edits"]: row for row in rows(next(t for title, t in shown.items() if "made on D_B" in title))}
    with cl.load(out / FOLDERS[label, "biased"]) as run:
        scores = cl.score(run, [ONE, TWO])
        effects = scores.samples[:, 40:80] - scores.samples[:, :40]
        for each, test in zip(effects, (ONE, TWO), strict=True):
            now = float(test(run.view))
            whole = figures[f"wnc.{label}.neutral.{test.name}.effect"] - now
            assert change(test.name, "all") == [pytest.approx(each.sum()), pytest.approx(whole, abs=1e-12)]
            assert made_on[f"all (D_N), {label} convention"][test.name].startswith(effect(each.sum()))
            strongest = shown[f"{test.name}, {label}: the strongest edits"].rows
            assert [row[0] for row in strongest] == [effect(each[i]) for i in np.argsort(-np.abs(each))[:10]]
            nearer = np.flatnonzero(each * np.sign(now) < 0)
            weights = run.weights.copy()
            weights[nearer], weights[nearer + 40] = 0, 1
            retrained = float(test(run.retrain(weights).view)) - now
            assert change(test.name, "nearer100") == [pytest.approx(each[nearer].sum()), pytest.approx(retrained)]
            control = change(test.name, "random100")  # all of the 40: as many as are applied
            assert control == [pytest.approx(each.sum()), pytest.approx(whole, abs=1e-3)]
            with cl.load(out / FOLDERS[label, "neutral"]) as other:
                back = cl.score(other, [test]).of()
            expected = np.corrcoef(each, back[40:80] - back[:40])[0, 1]
            assert figures[f"wnc.{label}.{test.name}.agreement"] == pytest.approx(expected, rel=1e-4)


def test_sentences_are_of_the_side_and_ranked_among_all(made):
    _, shown, _, out, *_ = made
    with cl.load(out / "neutral") as run:
        scores = cl.score(run, [ONE, TWO])
    for test in (ONE, TWO):
        sign = np.sign(scores.values[test.name])
        size = np.where(run.weights > 0, sign * scores.of(test), -np.inf)
        table = rows(
            next(t for title, t in shown.items() if title.startswith(f"{test.name}, word2vec: sentences that"))
        )
        strongest = [row for row in table if (row["side"], row["set"]) == ("D_N", "A")]
        assert strongest, "a test that is not zero has amplifiers"
        for row in strongest:
            i = run.model.corpus.texts.index(row["sentence"])
            assert 40 <= i < 90, "of D_N or of both, not of the background"
            assert row["effect if removed"] == effect(-scores.of(test)[i])
            assert int(row["rank"]) == 1 + (size > size[i]).sum()
        for first, second, _ in shown[f"{test.name}, word2vec: sentences strong in both"].rows:
            assert first[0] == second[0], "one direction"


def test_near_duplicates_are_one_sentence(tmp_path):
    planted = ["waa wai wac wal", "wac wal waa wai", "waa wai wac wal"]
    found = versions()
    both = combine_versions(replace(found, same=[*found.same, *planted]))
    with trained(both, [ONE], tmp_path / "run") as run:
        scores = cl.score(run, [ONE])
        numbers = [i for i, text in enumerate(run.model.corpus.texts) if text in planted]
        sign = float(np.sign(scores.of()[numbers[0]]))
        shown = strongest(scores, "one", sign, len(run.model.corpus), both.own)
    texts = [run.model.corpus.texts[i] for i in shown]
    sets = [set(text.split()) for text in texts]
    assert all(len(a & b) < 0.8 * len(a | b) for i, a in enumerate(sets) for b in sets[:i])
    (mine,) = (i for i, text in zip(shown, texts, strict=True) if text in planted)
    assert shown[mine][HEADINGS.index("near-duplicates")] == f"2, together {effect(scores.group(numbers, ONE))}"


def test_the_page_is_escaped_shows_what_changed_and_needs_nothing(made):
    _, _, page, _, first, _ = made
    text = page.read_text()
    assert set(first) == {"study-wnc.html", "study-wnc.csv", "study-wnc-edits.svg"}
    assert "two<b>" not in text
    assert HOSTILE not in text
    assert "\x1b" not in text
    assert not re.search(r"(src|href)=\"https?:", text)
    assert text.count("<svg") == 1
    listed = list(csv.reader(first["study-wnc.csv"].decode().splitlines()))
    assert ["side", "one", "two<b>"] in listed
    before = dict(zip((t.replace("\x1b", "\ufffd") for t in both().corpus.texts[1:40]), range(1, 40), strict=True))
    edits = [row for row in listed if len(row) == 4 and row[1].replace("[-", "").replace("-]", "") in before]
    assert edits
    for row in edits:
        assert re.findall(r"\[-(\w+)-\]", row[1]) == [row[1].replace("[-", "").replace("-]", "").split()[1]]


def test_marks_stand_where_the_words_are():
    assert wnc._marked("one two three", [(8, 13, 0.1), (0, 3, -0.2)], "[-]") == "[-one-] two [-three-]"
    assert wnc._marked("one", [(0, 3, 0.0)], "{+}") == "{+one+}"


def test_a_second_study_trains_nothing_and_writes_the_same_bytes(made):
    *_, first, again = made
    assert first == again


def test_the_paper_stands_beside_its_own_tests_only(made, tmp_path):
    _, shown, *_ = made
    assert not any("Table 3" in str(row[0]) for row in next(iter(shown.values())).rows)
    named = [replace(ONE if i % 2 else TWO, name=name) for i, name in enumerate(command.PAPER_TESTS)]
    with trained(both(), named, tmp_path / "run") as run:
        _, (table, *_) = wnc.study(run, both(), named)
    assert ["D_B, the paper (Table 3)", "0.48", "0.52", "\u22120.43", "0.53"] in table.rows


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
