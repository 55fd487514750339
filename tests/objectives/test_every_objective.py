"""What holds for every objective: its gradient, its scalar, its words, its absence, its way through JSON."""

import json
from dataclasses import replace

import pytest
import torch
from every import EVERY, WORDS, view
from hypothesis import given, settings
from hypothesis import strategies as st

from crossloss.core import UserError
from crossloss.objectives import Absolute, BaseObjective, Sum, fingerprint, from_dict, to_dict

every = pytest.mark.parametrize("case", EVERY)


def drawn(seed, dimension=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, len(WORDS), dimension, generator=generator, dtype=torch.float64)


@every
@given(seed=st.integers(0, 2**20))
@settings(max_examples=10, deadline=None)
def test_the_gradient_is_that_of_finite_differences(case, seed):
    vectors, initial, along = drawn(seed)
    leaf = vectors.clone().requires_grad_(True)
    value = EVERY[case](view(leaf, initial))
    assert value.shape == ()
    assert value.dtype == torch.float64
    (gradient,) = torch.autograd.grad(value, leaf)
    assert gradient.norm() > 0
    step = 1e-5
    up, down = (float(EVERY[case](view(vectors + s * along, initial))) for s in (step, -step))
    # The size of an objective has a kink at 0; a step across it says nothing of its derivative.
    if case == "absolute" and value.item() < 100 * step:
        return
    assert (up - down) / (2 * step) == pytest.approx(float((gradient * along).sum()), rel=1e-5, abs=1e-6)


@every
def test_only_its_words_matter_and_all_of_them_do(case):
    objective = EVERY[case]
    vectors, initial, _ = drawn(0)
    leaf = vectors.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective(view(leaf, initial)), leaf)
    moved = {word for word, row in zip(WORDS, gradient, strict=True) if row.norm() > 0}
    assert moved == set(objective.words)


@every
def test_it_says_what_it_is(case):
    objective = EVERY[case]
    assert isinstance(objective, BaseObjective)
    assert objective.quantity
    sentence = objective.interpretation()
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert sentence.split(":")[0] in ("Positive", "Never negative", "Higher")
    assert "unit" in sentence or "cosine" in sentence or "deviations" in sentence
    rows = objective.coverage(dict.fromkeys(WORDS[1:], 3))
    assert {word for row in rows for word, _ in row.present} | {"w0"} >= set(objective.words)
    assert any("w0" in row.missing for row in rows)


@every
def test_absent_words_end_in_one_sentence(case):
    objective = EVERY[case]
    index = {"other": 0}
    for call in (lambda: objective.lookup(index), lambda: objective(replace(view(drawn(0)[0]), index=index))):
        with pytest.raises(UserError, match=r"the vocabulary (has 0 of the|lacks)") as caught:
            call()
        assert "\n" not in str(caught.value)


@every
@pytest.mark.parametrize("fault", [float("nan"), float("inf")])
def test_a_vector_that_is_not_finite_ends_in_a_sentence(case, fault):
    vectors, initial, _ = drawn(0)
    vectors[1] = vectors[0] = fault
    with pytest.raises(UserError, match="not finite: train"):
        EVERY[case](view(vectors, initial))


@every
def test_it_comes_back_from_json(case):
    objective = EVERY[case]
    again = from_dict(json.loads(json.dumps(to_dict(objective))))
    assert again == objective
    assert fingerprint(again) == fingerprint(objective)
    others = [fingerprint(o) for name, o in EVERY.items() if name != case]
    assert fingerprint(objective) not in others
    json.dumps(fingerprint(objective))


def test_a_run_of_the_first_format_comes_back():
    value = to_dict(EVERY["weat"])
    del value["type"]
    assert from_dict(value) == EVERY["weat"]
    with pytest.raises(UserError, match="newer version"):
        from_dict({"type": "horoscope"})


def test_labels_and_questions_are_no_part_of_the_fingerprint():
    test = EVERY["weat"]
    assert fingerprint(replace(test, labels=("a", "b", "c", "d"), question="?")) == fingerprint(test)
    assert fingerprint(replace(test, kind="statistic")) != fingerprint(test)


@given(seed=st.integers(0, 2**20), a=st.floats(-3, 3).filter(bool), b=st.floats(-3, 3).filter(bool))
@settings(max_examples=20, deadline=None)
def test_operators_are_those_of_numbers(seed, a, b):
    vectors, initial, _ = drawn(seed)
    seen = view(vectors, initial)
    f, g = EVERY["weat"], EVERY["similarity"]
    x, y = float(f(seen)), float(g(seen))
    assert float((a * f + g * b)(seen)) == pytest.approx(a * x + b * y)
    assert float((f - g / 2)(seen)) == pytest.approx(x - y / 2)
    assert float((-(f - g))(seen)) == pytest.approx(y - x)
    assert float(abs(f)(seen)) == pytest.approx(abs(x))
    assert float(abs(f - abs(g))(seen)) == pytest.approx(abs(x - abs(y)))


def test_sums_are_flat_and_named_by_their_terms():
    f, g = EVERY["weat"], EVERY["similarity"]
    assert (f - 0.5 * g).name == "t-minus-0.5xsimilarity-w0-w1"
    assert ((f + g) - g / 2).terms == ((1.0, f), (0.5, g))
    assert ((f + g) - f).terms == ((1.0, g),)
    assert abs(f).name == "abs-t"
    assert "t higher and similarity-w0-w1 lower" in (f - g).interpretation()
    for nothing in (lambda: 0 * f, lambda: f + g - g - f):
        with pytest.raises(UserError, match="Nothing is left"):
            nothing()
    with pytest.raises(UserError, match="must be finite and not zero"):
        float("inf") * f
    with pytest.raises(UserError, match="no objective"):
        f + 3


def test_the_size_of_zero_has_no_derivative_and_says_so():
    vectors = drawn(0)[0]
    zero = Absolute(Sum([EVERY["weat"]] * 2, [1, -1], name="nothing"), name="zero")
    assert float(zero(view(vectors))) == 0
    with pytest.raises(UserError, match="exactly 0"):
        zero(view(vectors.requires_grad_(True)))
