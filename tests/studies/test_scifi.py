"""The sci-fi study on a tiny corpus of two universes: what it says is so, on paper and in figures, and once only."""

import csv
import json
import re

import numpy as np
import pytest

import crossloss as cl
from crossloss.objectives import displacement
from crossloss.reading import select
from crossloss.run.retrainer import without
from crossloss.run.run import Run
from crossloss.text.tokens import pattern_without, stop_words
from studies import scifi, tables

pytest.importorskip("matplotlib")
pytest.importorskip("gensim")
WORLDS = {
    "star wars": ["dooku", "vader", "sith", "duel", "saber", "droid"],
    "star <trek>": ["kirk", "spock", "warp", "beam", "phaser", "ship"],
    "doctor who": ["doctor", "dalek", "tardis", "rory", "donna", "cult"],
}
COMMON = ["planet", "night", "battle", "friend"]
HOSTILE = "Dooku <script>alert(1)</script> \x1b[31m sith duel saber"
SETTINGS = {"dimension": 6, "dtype": "float64", "min_count": 2, "subsample": 0.0}


def rows():
    generator = np.random.default_rng(0)
    for i in range(90):
        universe = list(WORLDS)[i % 3]
        words = [*generator.choice(WORLDS[universe], 4), *generator.choice(COMMON, 1)]
        yield f"{universe}\td{i % 7}\tThe {' of the '.join(words)}."
    yield f"star wars\tevil\t{HOSTILE}"
    yield f"star wars\tevil\t{HOSTILE} again"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("scifi") / "c.tsv"
    path.write_text("universe\tdocument\tsentence\n" + "\n".join(rows()))
    return path


@pytest.fixture(scope="module")
def made(corpus):
    text = cl.read(corpus, token_pattern=pattern_without(stop_words()))
    labels = cl.read(corpus, document="universe").documents
    words, out = [*scifi.WORDS, "tardis"], corpus.parent / "run"
    model = cl.SkipGram(text, keep_words=[*words, *scifi.OTHERS], **(scifi.SETTINGS | SETTINGS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scifi, "SHOWN", 100)
        with cl.train(model, cl.HeavyBall(0.5), steps=12, out=out) as run:
            study = scifi.study(run, labels, words, subsets=4, sizes=(2, 5))
            patch.setattr(Run, "retrain", lambda *unused, **more: pytest.fail("a finished study retrains nothing"))
            again = scifi.study(run, labels, words, subsets=4, sizes=(2, 5))
            page = tables.write(out, "scifi", "Words", scifi.NOTES, scifi.page(study))
            first = {path.name: path.read_bytes() for path in out.glob("study-*")}
            tables.write(out, "scifi", "Words", scifi.NOTES, scifi.page(again))
        second = {path.name: path.read_bytes() for path in out.glob("study-*")}
    with cl.load(out) as run:
        yield {s.word: s for s in study}, run, page, first, second


def test_stop_words_are_out_and_named_words_in(made):
    study, run, *_ = made
    assert list(study) == ["dooku", "kirk", "doctor", "tardis", "spock", "dalek", "vader"]
    assert not {"the", "of"} & set(run.model.vocabulary.words)


def test_universes_and_precision(made):
    study, run, *_ = made
    assert study["dooku"].universe == "star wars"
    assert study["kirk"].universe == "star <trek>"
    own = {word: world for world, words in WORLDS.items() for word in words}
    for s in study.values():
        vectors = run.view.vectors.numpy()
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = dict(zip(run.model.vocabulary.words, unit @ unit[run.model.vocabulary.index[s.word]], strict=True))
        del cosines[s.word]
        nearest = sorted(cosines, key=lambda word: -cosines[word])[:10]
        assert [word for word, *_ in s.neighbours] == nearest
        assert all(inside == (own[word] == s.universe) for word, _, inside in s.neighbours if word in own)
        assert s.precision == pytest.approx(np.mean([inside for *_, inside in s.neighbours]))
    # Inside by hand, for a word that occurs everywhere and one that is only where the word is not.
    everywhere = scifi.Universes(run.model, [row.split("\t")[0] for row in rows()])
    counts = dict.fromkeys(WORLDS, 0)
    sizes = dict(counts)
    for row in rows():
        world, _, text = row.split("\t")
        tokens = [w for w in re.findall("[a-z]+", text.lower()) if w in run.model.vocabulary.index]
        counts[world] += tokens.count("planet")
        sizes[world] += len(tokens)
    for world in WORLDS:
        rest = sum(sizes.values()) - sizes[world]
        higher = counts[world] / sizes[world] > (sum(counts.values()) - counts[world]) / rest
        assert everywhere.holds("planet", world) == higher


def test_removals_are_of_the_strongest_and_as_retrained(made):
    study, run, *_ = made
    objective = displacement("kirk")
    scores = cl.score(run, [displacement(word) for word in study])
    strongest = np.argsort(-scores.of(objective), kind="stable")[:5]
    assert set(select(scores, objective, sign=1)[:5]) == set(strongest)
    removal = study["kirk"].removals[1]
    assert removal.size == 5
    assert removal.predicted == pytest.approx(scores.values[objective.name] - scores.of(objective)[strongest].sum())
    view = run.retrain(without(run.weights, strongest)).view
    assert removal.retrained == pytest.approx(float(objective(view)), rel=1e-12)
    moved = view.vectors[view.index["kirk"]] - run.field.view(run.trajectory.initial).vectors[view.index["kirk"]]
    assert removal.retrained == pytest.approx(float(moved.square().mean()), rel=1e-12)
    assert not study["spock"].removals


def test_sentences_are_taken_apart_and_folded(made):
    study, *_ = made
    for s in study.values():
        for sign, told in ((-1, s.amplifiers), (1, s.mitigators)):
            for t in told:
                assert t.effect * sign > 0
                assert sum(value for *_, value in t.spans) == pytest.approx(t.effect, rel=1e-4, abs=1e-9)
    both = [t for s in study.values() for t in (*s.amplifiers, *s.mitigators) if "script" in t.text]
    assert both
    assert all(t.alike == 1 for t in both), "the two that differ in one word of eight are one"


def test_the_page_is_escaped_and_the_figures_are_kept(made):
    study, _, page, first, again = made
    assert first == again
    assert set(first) >= {"study-scifi.html", "study-scifi.csv", "study-scifi-fidelity.svg", "study-scifi-removed.svg"}
    text = page.read_text()
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "star &lt;trek&gt;" in text
    assert not re.search(r"(src|href)=\"https?:", text)
    listed = list(csv.reader(first["study-scifi.csv"].decode().splitlines()))
    assert any(row[:2] == ["dooku", f"{study['dooku'].count:,}"] for row in listed)
    for word, one in study.items():
        metrics = one.metrics()
        assert metrics[f"scifi.{word}.precision_at_10"] == one.precision
        assert -1 <= metrics[f"scifi.{word}.fidelity.pearson"] <= 1
    assert study["tardis"].metrics()["scifi.tardis.removed_5.retrained"] == study["tardis"].removals[1].retrained


def test_the_command(corpus, as_user, tmp_path):
    given = (
        "--corpus",
        corpus,
        "--out",
        tmp_path / "run",
        "--word",
        "Tardis",
        "--subsets",
        4,
        "--size",
        2,
        "--size",
        5,
    )
    given += ("--dimension", 4, "--steps", 8, "--min-count", 2)
    code, text, errors = as_user("scifi", *given)
    assert code == 0, errors
    assert "about 13 trainings and 2 scorings" in text
    assert text.index("about 13 trainings") < text.index("Nearest 10 words")
    assert "study-scifi.html" in text
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    stored = json.loads((tmp_path / "run" / "scifi.json").read_text())
    assert list(stored) == sorted(["dooku", "kirk", "doctor", "tardis", "spock", "dalek", "vader"])
    assert metrics["scifi.tardis.removed_5.retrained"] == stored["tardis"]["removals"][1]["retrained"]
    first = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("study-*")}
    assert {"study-scifi.html", "study-scifi.csv", "study-scifi-fidelity.svg", "study-scifi-removed.svg"} == set(first)
    retrained = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "retrains").iterdir()}
    assert len(retrained) == 4 + 4 * 2
    assert as_user("scifi", *given)[0] == 0
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "run").glob("study-*")}
    assert retrained == {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "retrains").iterdir()}


def test_what_is_missing_is_said_before_the_work(corpus, as_user, tmp_path):
    other = tmp_path / "c.tsv"
    other.write_text("document\tsentence\nd\tkirk spock\n")
    for given, why in (
        (("--corpus", other), "no column universe"),
        (("--corpus", corpus, "--word", "Yoda"), "the vocabulary lacks the word 'yoda'"),
        (("--corpus", corpus, "--size", "2,5"), "--size"),
    ):
        code, _, errors = as_user("scifi", "--out", tmp_path / "run", "--min-count", 2, *given)
        assert code == 2
        assert errors.startswith("Error: ")
        assert why in errors
        assert not (tmp_path / "run").exists()
