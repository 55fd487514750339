"""The sci-fi study on a tiny corpus of two universes: what it says is so, on paper and in figures, and once only."""

import csv
import json
import re

import numpy as np
import pytest

import crossloss as cl
from crossloss.objectives import displacement
from crossloss.run.run import Run
from crossloss.text.tokens import pattern_without, stop_words
from crossloss.utils.display import effect
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
    """Figures, tables by title, the run, the page, and the bytes of what was written, twice."""
    text = cl.read(corpus, token_pattern=pattern_without(stop_words()))
    labels = cl.read(corpus, document="universe").documents
    words, out = [*scifi.WORDS, "tardis"], corpus.parent / "run"
    model = cl.SkipGram(text, keep_words=[*words, *scifi.OTHERS], **(scifi.SETTINGS | SETTINGS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scifi, "SHOWN", 100)
        with cl.train(model, cl.HeavyBall(0.5), steps=12, out=out) as run:
            figures, parts = scifi.study(run, labels, words, subsets=4, sizes=(2, 5))
            patch.setattr(Run, "retrain", lambda *unused, **more: pytest.fail("a finished study retrains nothing"))
            again, same = scifi.study(run, labels, words, subsets=4, sizes=(2, 5))
            page = tables.write(out, "scifi", "Words", scifi.NOTES, parts)
            first = {path.name: path.read_bytes() for path in out.glob("study-*")}
            tables.write(out, "scifi", "Words", scifi.NOTES, same)
        second = {path.name: path.read_bytes() for path in out.glob("study-*")}
    assert figures == again
    with cl.load(out) as run:
        shown = {part.title: part for part in parts if isinstance(part, tables.Table)}
        yield figures, shown, run, page, first, second


def cells(table):
    """Rows as dicts, by the first column."""
    return {row[0]: dict(zip(table.headings, row, strict=True)) for row in table.rows}


def test_stop_words_are_out_and_named_words_in(made):
    _, shown, run, *_ = made
    assert list(cells(shown["Nearest 10 words"])) == ["dooku", "kirk", "doctor", "tardis", "spock", "dalek", "vader"]
    assert not {"the", "of"} & set(run.model.vocabulary.words)


def test_universes_and_precision(made):
    figures, shown, run, *_ = made
    near = cells(shown["Nearest 10 words"])
    assert near["dooku"]["universe"] == "star wars"
    assert near["kirk"]["universe"] == "star <trek>"
    own = {word: world for world, words in WORLDS.items() for word in words}
    names, _, higher = scifi.universes(run.model, [row.split("\t")[0] for row in rows()])
    for word, row in near.items():
        vectors = run.view.vectors.numpy()
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = dict(zip(run.model.vocabulary.words, unit @ unit[run.model.vocabulary.index[word]], strict=True))
        del cosines[word]
        listed = row["neighbours"].split(", ")
        assert [other.rstrip("*") for other in listed] == sorted(cosines, key=lambda other: -cosines[other])[:10]
        inside = [other.endswith("*") for other in listed]
        for other, is_inside in zip(listed, inside, strict=True):
            assert is_inside == (own.get(other.rstrip("*"), row["universe"] if is_inside else "") == row["universe"])
        assert figures[f"scifi.{word}.precision_at_10"] == pytest.approx(np.mean(inside))
        others = np.arange(len(run.model.word_index)) != run.model.word_index[word]
        chance = higher[names.index(row["universe"])][others].mean()
        assert figures[f"scifi.{word}.precision_at_10.chance"] == pytest.approx(chance)
    # Inside by hand, for a word that occurs everywhere.
    counts = dict.fromkeys(WORLDS, 0)
    sizes = dict(counts)
    for row in rows():
        world, _, text = row.split("\t")
        tokens = [w for w in re.findall("[a-z]+", text.lower()) if w in run.model.vocabulary.index]
        counts[world] += tokens.count("planet")
        sizes[world] += len(tokens)
    for world in WORLDS:
        rest = sum(sizes.values()) - sizes[world]
        expected = counts[world] / sizes[world] > (sum(counts.values()) - counts[world]) / rest
        assert higher[names.index(world), run.model.word_index["planet"]] == expected


def test_removals_are_of_the_strongest_and_as_retrained(made):
    figures, shown, run, *_ = made
    objective = displacement("kirk")
    scores = cl.score(run, [objective])
    strongest = np.argsort(-scores.of(objective), kind="stable")[:5]
    predicted, retrained = (figures[f"scifi.kirk.removed_5.{name}"] for name in ("predicted", "retrained"))
    assert predicted == pytest.approx(scores.values[objective.name] - scores.of(objective)[strongest].sum())
    weights = run.weights
    weights[strongest] = 0
    view = run.retrain(weights).view
    assert retrained == pytest.approx(float(objective(view)), rel=1e-12)
    moved = view.vectors[view.index["kirk"]] - run.field.view(run.trajectory.initial).vectors[view.index["kirk"]]
    assert retrained == pytest.approx(float(moved.square().mean()), rel=1e-12)
    assert not any(name.startswith("scifi.spock.removed") for name in figures)
    table = shown["Retrained without the sentences that moved a word most"]
    assert [row[:2] for row in table.rows if row[0] == "kirk"] == [["kirk", "2"], ["kirk", "5"]]


def test_sentences_are_the_strongest_each_with_its_near_duplicates(made):
    _, shown, run, *_ = made
    scores = cl.score(run, [displacement("dooku")])
    halves = (("moved dooku to where it is", -1), ("would push dooku back to where it began", 1))
    for title, sign in halves:
        table = shown[f"Sentences that {title} (the paper's Table 1)"]
        effects = np.sort(sign * scores.effects())[::-1]
        for row in (dict(zip(table.headings, row, strict=True)) for row in table.rows):
            sample = run.model.corpus.texts.index(row["sentence"])
            assert row["effect if removed"] == effect(scores.effects()[sample])
            assert sign * scores.effects()[sample] > 0
            assert effects[int(row["rank"]) - 1] == pytest.approx(sign * scores.effects()[sample])
            assert row["universe"] == next(r for i, r in enumerate(rows()) if i == sample).split("\t")[0]
            a, b, part = re.match(r"(\w+) – (\w+) ([+−][\d.]+)", row["word pairs"]).groups()
            pair = next(p for p in scores.explain(sample).pairs if {p[0], p[1]} == {a, b})
            assert part == effect(-pair[2])
    pages = [t for title, t in shown.items() if title.startswith("Sentences that")]
    both = [dict(zip(t.headings, row, strict=True)) for t in pages for row in t.rows if "script" in str(row)]
    assert both
    assert all(row["near-duplicates"].startswith("1, together") for row in both), "two that differ in one word of eight"


def test_the_page_is_escaped_and_the_figures_are_kept(made):
    figures, shown, _, page, first, again = made
    assert first == again
    assert set(first) == {"study-scifi.html", "study-scifi.csv", "study-scifi-fidelity.svg", "study-scifi-removed.svg"}
    text = page.read_text()
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "star &lt;trek&gt;" in text
    assert not re.search(r"(src|href)=\"https?:", text)
    listed = list(csv.reader(first["study-scifi.csv"].decode().splitlines()))
    for row in shown["Nearest 10 words"].rows:
        assert list(row) in listed
        assert -1 <= figures[f"scifi.{row[0]}.fidelity.pearson"] <= 1
        assert f"scifi.{row[0]}.fidelity.gradient-dot.slope_low" in figures


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
    assert metrics["scifi.tardis.removed_5.retrained"] > 0
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
