"""SEAT against numpy on vectors of one text at a time, finite differences, and its sentences and refusals."""

import json
from itertools import combinations

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
from contextual_tiny import TOKENIZER, bert, check_gradient, gpt2, pooled, view_of

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.objectives.contextual import encoding
from crossloss.objectives.contextual.seat import read_test
from crossloss.objectives.contextual.templates import article, plural

MODEL = bert()
POOLINGS = ("mean", "first-piece", "cls", "word")
FEW = cl.objectives.Weat(
    "few", X=["math", "numbers", "man"], Y=["poetry", "dance"], A=["he", "John", "his"], B=["she", "Amy", "hers"]
)

UNKNOWN = cl.objectives.Weat("w", ["zyx", "he"], ["she", "her"], ["man", "boy"], ["girl", "woman"])


def cosines(one, others):
    return [float(one @ o / np.linalg.norm(one) / np.linalg.norm(o)) for o in others]


def by_numpy(vectors, ddof):
    """The effect size of May et al.'s code, and the difference of means, in loops."""
    s = {side: [np.mean(cosines(v, vectors["A"])) - np.mean(cosines(v, vectors["B"])) for v in vectors[side]]
         for side in "XY"}  # fmt: skip
    difference = np.mean(s["X"]) - np.mean(s["Y"])
    return difference / np.std(s["X"] + s["Y"], ddof=ddof), difference, s


def vectors_of(test, model, pooling, special, layer=-1):
    _, _, sentences = read_test(test)
    return {
        side: [pooled(model, s.text, pooling, (s.start, s.end), special, layer) for s in sentences[side]]
        for side in "XYAB"
    }


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("ddof", "layer"), [(1, -1), (0, 1)])
def test_values_equal_numpy_on_one_text_at_a_time(pooling, ddof, layer):
    special = pooling != "first-piece"
    view = view_of(MODEL)
    effect, difference, _ = by_numpy(vectors_of(FEW, MODEL, pooling, special, layer), ddof)
    test = cl.objectives.seat(FEW, TOKENIZER, pooling=pooling, layer=layer, ddof=ddof)
    plain = cl.objectives.seat(FEW, TOKENIZER, pooling=pooling, layer=layer, ddof=ddof, kind="difference")
    assert float(test(view)) == pytest.approx(effect, abs=1e-6)
    assert float(plain(view)) == pytest.approx(difference, abs=1e-6)
    assert cl.objectives.measured(plain, view).value == pytest.approx(difference, abs=1e-6)
    tested = cl.permutation_test(test, view, samples=300)
    assert tested.effect == pytest.approx(effect, abs=1e-6)
    assert tested.difference == pytest.approx(difference, abs=1e-6)
    assert test.bounds({})[1] >= abs(effect)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_gradient_is_that_of_finite_differences(pooling):
    for kind in ("effect", "difference"):
        check_gradient(cl.objectives.seat(FEW, TOKENIZER, pooling=pooling, kind=kind), MODEL)


@pytest.mark.parametrize("special", [True, False])
def test_special_tokens_are_in_or_out_as_is_said(special):
    test = cl.objectives.seat(FEW, TOKENIZER, special_tokens=special)
    effect, _, _ = by_numpy(vectors_of(FEW, MODEL, "mean", special), 1)
    assert float(test(view_of(MODEL))) == pytest.approx(effect, abs=1e-6)
    assert ("special" if special else "bare") in test.name


def test_a_causal_model_is_padded_without_harm():
    model = gpt2()
    effect, _, _ = by_numpy(vectors_of(FEW, model, "word", True), 1)
    assert float(cl.objectives.seat(FEW, TOKENIZER, pooling="word")(view_of(model))) == pytest.approx(effect, abs=1e-6)


def test_the_p_value_is_that_of_all_splits():
    sentences = {
        "X": ["this is a nurse.", "that is he.", "he is."], "Y": ["she is.", "a nurse is she."],
        "A": ["he.", "this is he."], "B": ["she.", "that is she."],
    }  # fmt: skip
    test, view = cl.objectives.seat(sentences, TOKENIZER), view_of(MODEL)
    vectors = {side: [pooled(MODEL, text, "mean") for text in sentences[side]] for side in "XYAB"}
    _, observed, s = by_numpy(vectors, 1)
    values = s["X"] + s["Y"]
    every = [
        np.mean([values[i] for i in chosen]) - np.mean([v for i, v in enumerate(values) if i not in chosen])
        for chosen in combinations(range(5), 3)
    ]
    result = cl.permutation_test(test, view)
    assert result.exact
    assert result.p_value == pytest.approx(np.mean([e >= observed - 1e-12 for e in every]))


def test_many_blocks_give_the_value_and_gradient_of_one(monkeypatch):
    test, view = cl.objectives.seat(FEW, TOKENIZER), view_of(MODEL)
    monkeypatch.setattr(encoding, "TOKENS_AT_ONCE", 40)
    parted = cl.objectives.seat(FEW, TOKENIZER)
    assert len(test.pooled.blocks) == 1
    assert len(parted.pooled.blocks) > 5
    assert float(parted(view)) == pytest.approx(float(test(view)), abs=1e-10)
    check_gradient(parted, MODEL)


def test_a_file_in_the_layout_of_sent_bias_is_read(tmp_path):
    sets = {
        "X": ["he is.", "this is he."],
        "Y": ["she is.", "this is she."],
        "A": ["a nurse.", "that."],
        "B": ["is.", "are."],
    }
    keys = dict(zip(("targ1", "targ2", "attr1", "attr2"), sets.items(), strict=True))
    path = tmp_path / "sent-mine.jsonl"
    path.write_text(json.dumps({key: {"category": f"the {side}s", "examples": e} for key, (side, e) in keys.items()}))
    test = cl.objectives.seat(str(path), TOKENIZER)
    assert test.name.startswith("sent-mine-mean-")
    assert "the Xs lie nearer to those on the As" in test.interpretation()
    assert float(test(view_of(MODEL))) == float(cl.objectives.seat(sets, TOKENIZER)(view_of(MODEL)))
    for text in ("[]", "{", '{"targ1": {}}'):
        path.write_text(text)
        with pytest.raises(UserError, match="cannot be read as a test"):
            cl.objectives.seat(path, TOKENIZER)


@pytest.mark.parametrize("name", cl.objectives.SEAT_TESTS)
def test_every_shipped_test_has_sentences_for_all_of_its_words(name):
    _, labels, sentences = read_test(name)
    assert len(labels) == 4
    for side in "XYAB":
        for sentence in sentences[side]:
            assert sentence.text.endswith(".")
            assert sentence.text[0].isupper()
            assert sentence.word
            assert " a a" not in sentence.text.replace("a an ", "")


def test_the_b_tests_exchange_names_and_terms():
    words = {
        name: {s.word for side in "XYAB" for s in read_test(name)[2][side]}
        for name in ("seat6", "seat6b", "seat7", "seat7b", "seat8b")
    }
    assert "John" in words["seat6"] and "career" in words["seat6"]  # noqa: PT018
    assert "John" not in words["seat6b"] and {"men", "women", "career"} <= words["seat6b"]  # noqa: PT018
    assert {"John", "Amy", "math"} <= words["seat7b"]
    assert {"John", "Amy", "NASA", "Shakespeare"} <= words["seat8b"]
    assert "John" not in words["seat7"]
    _, labels, sentences = read_test("seat7b")
    assert labels == ("math", "arts", "male names", "female names")
    assert {s.word for s in sentences["A"]} >= {"John", "Bill"}
    assert not {s.word for s in sentences["B"]} & {"John", "Bill"}


def test_articles_and_plurals():
    given = ["uncle", "aunt", "honor", "hour", "university", "European", "rose", "iris", "executive", "one"]
    assert [article(w) for w in given] == ["an", "an", "an", "an", "a", "a", "a", "an", "an", "a"]
    assert [plural(w) for w in ("rose", "lily", "boy", "iris", "wasp", "roach", "man", "knife", "children", "axe")] == [
        "roses", "lilies", "boys", "irises", "wasps", "roaches", "men", "knives", "children", "axes",
    ]  # fmt: skip
    assert cl.objectives.bland_sentences(["rose"], "noun")[4].text == "The rose is here."
    with pytest.raises(UserError, match="no kind of word"):
        cl.objectives.bland_sentences(["rose"], "flower")


def test_it_says_what_was_chosen_and_what_it_means():
    names = {
        cl.objectives.seat("seat6", TOKENIZER, pooling=p, layer=layer, ddof=d, special_tokens=s, kind=k).name
        for p in ("mean", "word", "first-piece") for layer in (0, -1) for d in (0, 1) for s in (True, False)
        for k in ("effect",)
    }  # fmt: skip
    assert len(names) == 24
    sentence = cl.objectives.seat("seat6b", TOKENIZER).interpretation()
    assert sentence.startswith("Positive: sentences on male terms lie nearer to those on career")
    assert ". " not in sentence


@pytest.mark.parametrize(
    ("given", "options", "match"),
    [
        ("seat11", {}, "There is no test"),
        ("seat6", {"pooling": "max"}, "no pooling"),
        ("seat6", {"kind": "statistic"}, "kind is"),
        ("seat6", {"ddof": 2}, "ddof is"),
        ("seat6", {"layer": 1.5}, "layer is"),
        ("seat6", {"pooling": "cls", "special_tokens": False}, "special token"),
        ({"X": ["he."], "Y": ["she."], "A": ["is."], "B": ["are."]}, {}, "two are needed"),
        ({s: ["he.", "she."] for s in "XYAB"}, {"pooling": "word"}, "where the word stands"),
        ({s: ["he.", "señor ☃"] for s in "XYAB"}, {}, "does not know"),
        (UNKNOWN, {}, "No kind is known of zyx"),
        ("absent.jsonl", {}, "cannot be read"),
        (3, {}, "A test is a name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_the_work(given, options, match):
    with pytest.raises(UserError, match=match):
        cl.objectives.seat(given, TOKENIZER, **options)


def test_what_the_model_lacks_is_said():
    with pytest.raises(UserError, match="layers 0 to 2"):
        cl.objectives.seat("seat6", TOKENIZER, layer=7)(view_of(MODEL))
    plain = torch.nn.Linear(2, 2).double()
    made = cl.TorchField(plain, lambda out, b: out.mean(1), torch.ones(3, 2, dtype=torch.float64))
    forward = lambda m, batch: m(torch.ones(1, 2, dtype=torch.float64))  # noqa: E731
    with pytest.raises(UserError, match=r"shape \(n, tokens, d\)"):
        cl.objectives.seat("seat6", TOKENIZER, forward=forward)(made.view(made.initial))
    with pytest.raises(UserError, match="give one of transformers"):
        cl.objectives.seat("seat6", lambda text: text)
    words = Embeddings(["he"], {"he": 0}, torch.ones(1, 2), torch.ones(1, 2))
    with pytest.raises(UserError, match="not of word vectors"):
        cl.objectives.seat("seat6", TOKENIZER)(words)


def test_forward_gives_the_hidden_states():
    test = cl.objectives.seat(
        FEW, TOKENIZER, forward=lambda m, batch: m(**batch, output_hidden_states=True).hidden_states[1]
    )
    assert float(test(view_of(MODEL))) == float(cl.objectives.seat(FEW, TOKENIZER, layer=1)(view_of(MODEL)))
    assert "forward" in test.name
