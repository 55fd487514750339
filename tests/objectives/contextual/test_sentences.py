"""Similarity, association and probe of pooled sentences against numpy and finite differences."""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
from contextual_tiny import TOKENIZER, bert, check_gradient, pooled, view_of

import crossloss as cl
from crossloss.core import UserError

MODEL = bert()
WORDED = cl.objectives.Sentence("this is a nurse.", 10, 15)
FIRST, SECOND = ["he is a nurse.", "this is math."], ["she is a nurse.", "that is art.", "she is."]
POOLINGS = ["mean", "cls", "first-piece"]


def unit(text, pooling):
    vector = pooled(MODEL, text, pooling, special=pooling != "first-piece")
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_similarity_equals_numpy(pooling):
    test = cl.objectives.sentence_similarity(FIRST, SECOND, TOKENIZER, pooling=pooling)
    expected = np.mean([unit(a, pooling) @ unit(b, pooling) for a in FIRST for b in SECOND])
    assert float(test(view_of(MODEL))) == pytest.approx(expected, abs=1e-6)
    check_gradient(test, MODEL)
    alone = cl.objectives.sentence_similarity(FIRST[0], SECOND[0], TOKENIZER, pooling=pooling)
    assert float(alone(view_of(MODEL))) == pytest.approx(unit(FIRST[0], pooling) @ unit(SECOND[0], pooling), abs=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_association_equals_numpy(pooling):
    test = cl.objectives.sentence_association("this is it.", FIRST, SECOND, TOKENIZER, pooling=pooling)
    own = unit("this is it.", pooling)
    expected = np.mean([own @ unit(a, pooling) for a in FIRST]) - np.mean([own @ unit(b, pooling) for b in SECOND])
    assert float(test(view_of(MODEL))) == pytest.approx(expected, abs=1e-6)
    check_gradient(test, MODEL)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("pooling", ["word", "last-piece", "cls"])
def test_a_probe_equals_numpy(pooling, normalise):
    weights = torch.linspace(-1, 1, 12, dtype=torch.float64)
    test = cl.objectives.probe(WORDED, weights, TOKENIZER, bias=0.5, normalise=normalise, pooling=pooling)
    vector = pooled(MODEL, WORDED.text, pooling, (10, 15), special=pooling != "last-piece")
    vector = vector / np.linalg.norm(vector) if normalise else vector
    assert float(test(view_of(MODEL))) == pytest.approx(float(vector @ weights.numpy()) + 0.5, abs=1e-6)
    check_gradient(test, MODEL)
    weights += 1  # frozen: it has its own
    assert float(test(view_of(MODEL))) == pytest.approx(float(vector @ (weights - 1).numpy()) + 0.5, abs=1e-6)


def test_they_say_what_they_mean_and_are_summed():
    a = cl.objectives.sentence_similarity(FIRST[0], SECOND[0], TOKENIZER)
    b = cl.objectives.sentence_association(FIRST[0], FIRST, SECOND, TOKENIZER)
    c = cl.objectives.probe(FIRST[0], torch.ones(12), TOKENIZER)
    for objective in (a, b, c):
        sentence = objective.interpretation()
        assert sentence.split(":")[0] in ("Positive", "Higher")
        assert sentence.endswith(".")
        assert ". " not in sentence
        assert objective.quantity
    view = view_of(MODEL)
    assert float((a - 2 * b)(view)) == pytest.approx(float(a(view)) - 2 * float(b(view)))
    assert (a - 2 * b).bounds({}) == (-5.0, 5.0)


def test_what_is_wrong_is_said():
    with pytest.raises(UserError, match="give a sentence"):
        cl.objectives.sentence_similarity([], "he.", TOKENIZER)
    with pytest.raises(UserError, match="not empty"):
        cl.objectives.sentence_similarity(" ", "he.", TOKENIZER)
    with pytest.raises(UserError, match="where the word stands"):
        cl.objectives.probe("he.", torch.ones(12), TOKENIZER, pooling="word")
    for weights in (torch.ones(2, 6), torch.tensor([float("nan")]), [1.0]):
        with pytest.raises(UserError, match="one dimension"):
            cl.objectives.probe("he.", weights, TOKENIZER)
    with pytest.raises(UserError, match="have 12 numbers, the probe 3"):
        cl.objectives.probe("he.", torch.ones(3), TOKENIZER)(view_of(MODEL))
