"""The sci-fi study on a tiny corpus of two universes: what it says is so, on paper and in figures, and once only."""

import csv
import json
import re

import numpy as np
import pytest

from crossloss import pipeline
from crossloss.core import UserError
from crossloss.objectives import displacement
from crossloss.reading import select
from crossloss.run.retrainer import without
from crossloss.run.run import Run
from crossloss.run.train import load
from crossloss.scores import score
from crossloss.studies import scifi

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("gensim")
WORLDS = {
    "star wars": ["dooku", "vader", "sith", "duel", "saber", "droid"],
    "star <trek>": ["kirk", "spock", "warp", "beam", "phaser", "ship"],
    "doctor who": ["doctor", "dalek", "tardis", "rory", "donna", "cult"],
}
COMMON = ["planet", "night", "battle", "friend"]
HOSTILE = "Dooku <script>alert(1)</script> \x1b[31m sith duel saber"
SETTINGS = {"dimension": 6, "steps": 12, "lr": 0.5, "dtype": "float64", "min_count": 2, "subsample": 0.0}


def rows():
    generator = np.random.default_rng(0)
    for i in range(90):
        universe = list(WORLDS)[i % 3]
        words = [*generator.choice(WORLDS[universe], 4), *generator.choice(COMMON, 1)]
        yield f"{universe}\td{i % 7}\tThe {' of the '.join(words)}."
    yield f"star wars\tevil\t{HOSTILE}"
    yield f"star wars\tevil\t{HOSTILE} again"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scifi")
    corpus, out = folder / "c.tsv", folder / "run"
    corpus.write_text("universe\tdocument\tsentence\n" + "\n".join(rows()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scifi, "SHOWN", 100)
        patch.setattr(scifi.scifi_study, "__kwdefaults__", scifi.scifi_study.__kwdefaults__ | {"sizes": (2, 5)})
        study, page = pipeline.study_scifi(corpus, out, ["Tardis"], subsets=4, command="crossloss", **SETTINGS)
        first = {path.name: path.read_bytes() for path in out.glob("study-*")}
        patch.setattr(Run, "retrain", lambda *unused, **more: pytest.fail("a finished study retrains nothing"))
        pipeline.study_scifi(corpus, out, ["Tardis"], subsets=4, command="crossloss", **SETTINGS)
        again = {path.name: path.read_bytes() for path in out.glob("study-*")}
    with load(out) as run:
        yield {s.word: s for s in study}, run, page, first, again


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
        assert [n.word for n in s.neighbours] == nearest
        assert all(n.inside == (own[n.word] == s.universe) for n in s.neighbours if n.word in own)
        assert s.precision == pytest.approx(np.mean([n.inside for n in s.neighbours]))
    # Inside by hand, for a word that occurs everywhere and one that is only where the word is not.
    everywhere = scifi.Universes(run, [row.split("\t")[0] for row in rows()])
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
    scores = score(run, [displacement(word) for word in study])
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
    study, run, page, first, again = made
    assert first == again
    assert set(first) >= {"study-scifi.html", "study-scifi.csv", "study-scifi-fidelity.svg", "study-scifi-removed.svg"}
    text = page.read_text()
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "star &lt;trek&gt;" in text
    assert not re.search(r"(src|href)=\"https?:", text)
    listed = list(csv.reader(first["study-scifi.csv"].decode().splitlines()))
    assert any(row[:2] == ["dooku", f"{study['dooku'].count:,}"] for row in listed)
    metrics = json.loads((run.store.path / "metrics.json").read_text())
    for word in study:
        assert metrics[f"scifi.{word}.precision_at_10"] == study[word].precision
        assert -1 <= metrics[f"scifi.{word}.fidelity.pearson"] <= 1
    assert metrics["scifi.tardis.removed_5.retrained"] == study["tardis"].removals[1].retrained


def test_what_is_missing_is_said(tmp_path):
    corpus = tmp_path / "c.tsv"
    corpus.write_text("document\tsentence\nd\tkirk spock\n")
    with pytest.raises(UserError, match="no column universe"):
        pipeline.study_scifi(corpus, tmp_path / "run")
    corpus.write_text("universe\tdocument\tsentence\n" + "\n".join(rows()))
    with pytest.raises(UserError, match="the vocabulary lacks the word 'yoda'"):
        pipeline.study_scifi(corpus, tmp_path / "run", ["Yoda"], **SETTINGS)
