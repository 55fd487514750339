"""One word is one word wherever it is written: in corpora, tests, options and sentences that are explained."""

import json
import signal
import sys
import unicodedata

import numpy as np
import pytest

import crossloss as cl
from crossloss import cli
from crossloss.core import UserError
from crossloss.objectives import load_objectives
from crossloss.scores.reading import select
from train_on import train_on

WORDS = ["josé", "andré", "zoë", "chloé", "büro", "straße", "küche", "İzmir"]
SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 4, "lr": 0.5}


def rows(number=40):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice([*WORDS, "near", "the", "river"], size=6)) for _ in range(number)]


def spelled(text, how):
    """The same text in other characters."""
    if how == "decomposed":
        return unicodedata.normalize("NFD", text)
    if how == "hyphenated":
        return " ".join("\u00ad".join(word) for word in text.split())
    if how == "capitals":
        return " ".join(word.upper() for word in text.split())
    return text


@pytest.mark.parametrize("how", ["decomposed", "hyphenated", "capitals"])
def test_spelling_in_other_characters_changes_no_count_and_no_score(how, tmp_path):
    plain = cl.from_sentences(rows())
    other = cl.from_sentences([spelled(text, how if i % 2 else "") for i, text in enumerate(rows())])
    assert other.types == plain.types
    assert np.array_equal(other.tokens, plain.tokens)
    sets = {side: [spelled(w, how) for w in WORDS[2 * i : 2 * i + 2]] for i, side in enumerate("XYAB")}
    (tmp_path / "t.yaml").write_text(json.dumps({"mine": sets}))
    (tmp_path / "p.yaml").write_text(json.dumps({"mine": {s: WORDS[2 * i : 2 * i + 2] for i, s in enumerate("XYAB")}}))
    (test,), (same,) = load_objectives(str(tmp_path / "t.yaml")), load_objectives(str(tmp_path / "p.yaml"))
    assert test == same or test.sets == same.sets
    (inline,) = load_objectives(f"similarity:{spelled('straße', how)}/{spelled('büro', how)}")
    assert inline.words == ("strasse", "büro")
    runs = [
        train_on(corpus, keep_words=[spelled(w, how) for w in WORDS] if corpus is other else WORDS, **SETTINGS)
        for corpus in (plain, other)
    ]
    assert runs[0].model.vocabulary.occurrences == runs[1].model.vocabulary.occurrences
    scores = [cl.score(run, [test]) for run in runs]
    np.testing.assert_array_equal(scores[0].of("mine"), scores[1].of("mine"))
    explained = [scores[0].explain(rows()[1]), scores[1].explain(spelled(rows()[1], how))]
    assert explained[0].pairs == explained[1].pairs
    text = other.texts[1]
    for (start, end, _), word in zip(explained[1].spans, rows()[1].split(), strict=True):
        assert text[start:end] == spelled(word, how), "what is highlighted is the word as it stands there"
    assert list(select(scores[1], word=spelled("straße", how))) == list(select(scores[0], word="straße"))


@pytest.fixture
def check(monkeypatch, capsys, tmp_path):
    def run(text, sets, *options):
        (tmp_path / "c.txt").write_text(text)
        (tmp_path / "t.yaml").write_text(json.dumps({"mine": sets}))
        corpus, objective = tmp_path / "c.txt", tmp_path / "t.yaml"
        given = ["run", corpus, "--dry-run", "--objective", objective, "--min-count", "1", *options]
        monkeypatch.setattr(sys, "argv", ["crossloss", *map(str, given)])
        monkeypatch.setattr(signal, "signal", lambda *unused: None)
        monkeypatch.setenv("COLUMNS", "1000")
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).split())

    return run


TEXT = "the New_York man saw a red fox\na well-known woman saw the blue owl\n" * 9
SETS = {"X": ["man", "fox", "New_York"], "Y": ["woman", "owl"], "A": ["red", "the"], "B": ["blue", "saw", "well-known"]}


def test_words_that_cannot_be_found_are_named(check):
    code, said = check(TEXT, SETS)
    assert code == 0
    assert "the token pattern cuts, and so never finds, new_york (new york), well-known (well known)" in said
    code, said = check(TEXT, SETS | {"X": ["New_York", "man"]})
    assert code == 2
    assert "no word here has a '_' as 'new_york' has" in said
    assert "--token-pattern" in said
    assert "add text" not in said


@pytest.mark.parametrize("options", [["--tokens"], ["--token-pattern", r"[\w-]+"]])
def test_another_rule_of_words_finds_them_and_is_said(check, options):
    code, said = check(TEXT, SETS, *options)
    assert code == 0
    assert "never finds" not in said
    assert "new_york 9" in said
    assert ("Words: what stands between white space" if options == ["--tokens"] else r"Words: [\w-]+") in said
    assert check(TEXT, SETS, "--tokens", "--token-pattern", "a")[0] == 2
    assert "NFKC or NFC" in check(TEXT, SETS, "--form", "NFD")[1]


def test_the_form_is_a_setting_of_reading(check):
    sets = {"X": ["man", "fox"], "Y": ["woman", "owl"], "A": ["red", "the"], "B": ["blue", "saw"]}
    wide = TEXT.replace("man saw", "ｍａｎ saw")
    assert "man 9" in check(wide, sets)[1]
    code, said = check(wide, sets, "--form", "NFC")
    assert (code, "has 1 of the 2 words of X" in said) == (2, True)


def test_a_run_in_a_folder_keeps_its_rule_of_words(tmp_path):
    corpus = cl.from_sentences(["ｍａｎ new_york saw owl", "man saw new_york fox"] * 4, tokens=True, form="NFC")
    train_on(corpus, out=tmp_path / "run", **SETTINGS).close()
    with cl.load(tmp_path / "run") as run:
        assert run.model.vocabulary.occurrences == {"saw": 8, "new_york": 8, "man": 4, "owl": 4, "fox": 4, "ｍａｎ": 4}
        assert (run.model.corpus.form, run.model.vocabulary.form) == ("NFC", "NFC")
        assert [token.word for token in run.model.corpus[0].tokens] == ["ｍａｎ", "new_york", "saw", "owl"]
    with pytest.raises(UserError, match="another run"):
        train_on(cl.from_sentences(corpus.texts, tokens=True), out=tmp_path / "run", **SETTINGS)
