"""Similarity, association, margin and the one-sided test against loops and hand-written gradients."""

import math

import pytest
import torch
from every import WORDS, view
from hypothesis import given, settings
from hypothesis import strategies as st

from crossloss.core import UserError
from crossloss.objectives import association, margin, one_sided, permutation_test, similarity


def vectors_of(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(WORDS), 5, generator=generator, dtype=torch.float64)


def cos(vectors, a, b):
    x, y = vectors[WORDS.index(a)].tolist(), vectors[WORDS.index(b)].tolist()
    dot = sum(i * j for i, j in zip(x, y, strict=True))
    return dot / math.sqrt(sum(i * i for i in x) * sum(j * j for j in y))


@given(seed=st.integers(0, 2**20))
@settings(max_examples=20, deadline=None)
def test_similarity_and_its_gradient(seed):
    vectors = vectors_of(seed).requires_grad_(True)
    value = similarity("w0", "w1")(view(vectors))
    assert value.item() == pytest.approx(cos(vectors, "w0", "w1"))
    value.backward()
    a, b = vectors.detach()[:2]
    # Paper Eq. 14, with the minus that the scan lost.
    expected = b / (a.norm() * b.norm()) - value.detach() * a / a.norm() ** 2
    torch.testing.assert_close(vectors.grad[0], expected)


def test_association_and_margin_are_one_formula():
    vectors = vectors_of(1)
    near, far = ["w1", "w2"], ["w3", "w4", "w5"]
    expected = sum(cos(vectors, "w0", w) for w in near) / 2 - sum(cos(vectors, "w0", w) for w in far) / 3
    for made in (association("w0", near, far), margin("w0", near, far)):
        assert float(made(view(vectors))) == pytest.approx(expected)
    assert margin("w0", "w1", "w2").name == "margin-w0-w1-w2"
    assert association("W0", near, far).name == "association-w0-w1_and_1-w3_and_2"


def test_absent_words_of_a_set_are_left_out_of_it():
    vectors = vectors_of(2)
    assert float(margin("w0", ["w1", "gone"], "w2")(view(vectors))) == pytest.approx(
        float(margin("w0", "w1", "w2")(view(vectors)))
    )
    with pytest.raises(UserError, match="lacks the word 'gone'"):
        margin("gone", "w1", "w2")(view(vectors))
    with pytest.raises(UserError, match=r"0 of the 2 words of near \(missing: gone, lost\) and one is needed"):
        margin("w0", ["gone", "lost"], "w2")(view(vectors))


REFUSED = {
    "the same word": (lambda: similarity("he", "He"), "give two words"),
    "on two sides": (lambda: margin("he", ["she"], ["she"]), "'she' stands on two sides"),
    "its own neighbour": (lambda: association("he", ["he"], ["she"]), "'he' stands on two sides"),
    "no set": (lambda: margin("he", [], ["she"]), "empty"),
    "twice": (lambda: margin("he", ["she", "SHE"], ["it"]), "'she' stands twice"),
    "no word": (lambda: similarity(" ", "he"), "is empty"),
    "X and Y": (lambda: one_sided(["he", "him"], ["him", "she"], ["a", "b"]), "him stands in both X and Y"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_objective_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        make()


def test_one_sided_is_a_weat_whose_other_attributes_say_nothing():
    vectors = vectors_of(3)
    made = one_sided(["w0", "w1", "w2"], ["w3", "w4", "w5", "w6"], ["w7", "w8"], ("names", "others", "religion"))
    s = [(cos(vectors, w, "w7") + cos(vectors, w, "w8")) / 2 for w in WORDS[:7]]
    mean = sum(s) / 7
    spread = math.sqrt(sum((x - mean) ** 2 for x in s) / 7)
    assert float(made(view(vectors))) == pytest.approx((sum(s[:3]) / 3 - sum(s[3:]) / 4) / spread)
    tested = permutation_test(made, view(vectors))
    assert tested.effect == pytest.approx(float(made(view(vectors))))
    assert tested.splits == math.comb(7, 3)
    assert "names nearer to religion than others" in made.interpretation()
