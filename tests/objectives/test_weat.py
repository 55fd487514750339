"""WEAT against wefe's golden values, hand-written gradients and its symmetries."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossloss.core import UserError
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.objectives import names, weat
from crossloss.objectives.weat import Weat, shipped

WORDS = [f"w{i}" for i in range(14)]
TEST = Weat("t", ("w0", "w1", "w2"), ("w3", "w4", "w5", "w6"), ("w7", "w8", "w9"), ("w10", "w11", "w12", "w13"))


def view(vectors, words=WORDS):
    if not isinstance(vectors, torch.Tensor):
        vectors = torch.from_numpy(np.array(vectors, dtype=np.float64))
    return Embeddings(words, {w: i for i, w in enumerate(words)}, vectors, torch.zeros_like(vectors))


def random_view(seed, dimension=5):
    return view(np.random.default_rng(seed).normal(size=(len(WORDS), dimension)))


def plain_effect(vectors, index, test):
    """Equations 11 and 12 with loops, nothing shared with the package."""

    def cos(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    def s(word):
        near = [cos(vectors[index[word]], vectors[index[a]]) for a in test.A]
        far = [cos(vectors[index[word]], vectors[index[b]]) for b in test.B]
        return sum(near) / len(near) - sum(far) / len(far)

    x, y = [s(w) for w in test.X], [s(w) for w in test.Y]
    both = x + y
    mean = sum(both) / len(both)
    spread = math.sqrt(sum((v - mean) ** 2 for v in both) / len(both))
    return (sum(x) / len(x) - sum(y) / len(y)) / spread, sum(x) - sum(y)


def test_golden_values_of_wefe(shared):
    # wefe keeps vectors in float32, hence 1e-7.
    golden = json.loads((shared / "wefe_golden.json").read_text())
    seen = view(golden["vectors"], golden["words"])
    sets = [tuple(golden[side]) for side in "XYAB"]
    assert float(Weat("g", *sets)(seen)) == pytest.approx(golden["effect_size"], abs=1e-7)
    assert float(Weat("g", *sets, kind="statistic")(seen)) == pytest.approx(golden["weat"], abs=1e-7)
    x, y, a, b = sets
    assert float(Weat("g", a, b, x, y)(seen)) == pytest.approx(golden["effect_size_swapped"], abs=1e-7)
    assert float(Weat("g", a, b, x, y, kind="statistic")(seen)) == pytest.approx(golden["weat_swapped"], abs=1e-7)
    after = view(golden["hard_debiased"], golden["words"])
    assert float(Weat("g", *sets)(after)) == pytest.approx(golden["effect_size_after"], abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_effect_and_statistic_against_plain_loops(seed):
    seen = random_view(seed)
    effect, statistic = plain_effect(seen.vectors.tolist(), seen.index, TEST)
    assert float(TEST(seen)) == pytest.approx(effect, rel=1e-12)
    again = Weat("t", TEST.X, TEST.Y, TEST.A, TEST.B, kind="statistic")
    assert float(again(seen)) == pytest.approx(statistic, rel=1e-12)


def test_gradient_of_the_statistic_is_equation_14():
    seen = random_view(4)
    leaf = seen.vectors.clone().requires_grad_(True)
    Weat("t", TEST.X, TEST.Y, TEST.A, TEST.B, kind="statistic")(view(leaf)).backward()
    a = seen.vectors[0].numpy()
    expected = np.zeros_like(a)
    for words, sign in ((TEST.A, 1), (TEST.B, -1)):
        for word in words:
            b = seen.vectors[seen.index[word]].numpy()
            la, lb = np.linalg.norm(a), np.linalg.norm(b)
            cosine = a @ b / la / lb
            expected += sign / len(words) * (b / (la * lb) - cosine * a / la**2)
    np.testing.assert_allclose(leaf.grad[0].numpy(), expected, rtol=1e-12)


def test_gradient_of_the_effect_against_finite_differences():
    seen = random_view(5)
    assert torch.autograd.gradcheck(lambda v: TEST(view(v)), seen.vectors.clone().requires_grad_(True))


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_swap_flips_the_sign_and_rotation_changes_nothing(seed):
    seen = random_view(seed)
    swapped = Weat("t", TEST.Y, TEST.X, TEST.A, TEST.B)
    turned = Weat("t", TEST.X, TEST.Y, TEST.B, TEST.A)
    assert float(swapped(seen)) == float(turned(seen)) == -float(TEST(seen))
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    assert float(TEST(view(seen.vectors.numpy() @ rotation))) == pytest.approx(float(TEST(seen)), abs=1e-10)


def test_missing_words_are_left_out_of_their_set_only():
    words = [w for w in WORDS if w != "w5"]
    vectors = np.random.default_rng(1).normal(size=(len(words), 5))
    less = Weat("t", TEST.X, ("w3", "w4", "w6"), TEST.A, TEST.B)
    assert float(TEST(view(vectors, words))) == float(less(view(vectors, words)))
    rows = {c.side: c for c in TEST.coverage(dict.fromkeys(words, 3))}
    assert rows["Y"].missing == ("w5",)
    assert rows["Y"].present == (("w3", 3), ("w4", 3), ("w6", 3))
    assert rows["X"].missing == ()


@pytest.mark.parametrize("side", "XYAB")
def test_fewer_than_two_words_of_a_set_is_an_error_that_names_it(side):
    gone = set(getattr(TEST, side)[1:])
    words = [w for w in WORDS if w not in gone]
    with pytest.raises(UserError, match=rf"has 1 of the \d words of {side}"):
        TEST(view(np.random.default_rng(1).normal(size=(len(words), 5)), words))


def test_vectors_without_direction_or_difference_are_errors_not_nan():
    vectors = np.random.default_rng(1).normal(size=(len(WORDS), 5))
    vectors[0] = 0
    with pytest.raises(UserError, match="length zero"):
        TEST(view(vectors))
    with pytest.raises(UserError, match="alike"):
        TEST(view(np.ones((len(WORDS), 5))))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(5))
def test_targets_that_differ_by_rounding_only_have_no_effect_size(seed, dtype):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(len(WORDS), 5))
    vectors[:7] = np.outer(generator.uniform(0.1, 9, 7), vectors[0])  # one direction, seven lengths
    with pytest.raises(UserError, match="alike"):
        TEST(view(torch.tensor(vectors, dtype=dtype)))


@pytest.mark.parametrize("kind", ["effect", "statistic"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_vectors_that_are_not_finite_are_errors_for_either_kind(value, kind):
    vectors = np.random.default_rng(1).normal(size=(len(WORDS), 5))
    vectors[3, 2] = value
    with pytest.raises(UserError, match="word of Y has a vector that is not finite"):
        Weat("t", TEST.X, TEST.Y, TEST.A, TEST.B, kind=kind)(view(vectors))


def test_only_the_rows_of_its_words_have_a_gradient():
    leaf = torch.from_numpy(np.random.default_rng(2).normal(size=(20, 5))).requires_grad_(True)
    TEST(view(leaf, WORDS + [f"other{i}" for i in range(6)])).backward()
    assert (leaf.grad[:14] != 0).any(dim=1).all()
    assert (leaf.grad[14:] == 0).all()


SIZES = {
    "weat1": (25, 25, 25, 25), "weat2": (25, 25, 25, 25), "weat3": (32, 32, 25, 25), "weat4": (18, 18, 25, 25),
    "weat5": (18, 18, 8, 8), "weat6": (8, 8, 8, 8), "weat7": (8, 8, 8, 8), "weat8": (8, 8, 8, 8),
    "weat9": (6, 6, 7, 7), "weat10": (8, 8, 8, 8), "paper-career": (8, 8, 8, 8), "paper-math": (8, 8, 8, 8),
    "paper-art": (8, 8, 8, 8), "paper-race": (10, 10, 22, 22), "demo-power": (8, 8, 8, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_shipped_lists_have_their_sizes_sources_and_no_overlap(name):
    test = weat(name)
    sets = [test.X, test.Y, test.A, test.B]
    assert tuple(len(set(words)) for words in sets) == SIZES[name]
    assert not set(test.X) & set(test.Y)
    assert not set(test.A) & set(test.B)
    assert not set(test.X + test.Y) & set(test.A + test.B)
    assert test.source
    assert test.question.endswith("?")
    assert all(word == word.lower() and word.isalpha() for word in test.words)


def test_every_shipped_test_is_listed_and_unknown_names_get_a_hint():
    assert set(names()) == set(SIZES) == set(shipped())
    with pytest.raises(UserError, match="did you mean paper-career"):
        weat("paper-carrer")


def test_the_papers_orientation():
    """paper-notes: targets are the gendered words; male with science is negative in paper-art."""
    assert "he" in weat("paper-math").X
    assert "math" in weat("paper-math").A
    assert "he" in weat("paper-art").X
    assert "poetry" in weat("paper-art").A
    assert "science" in weat("paper-art").B
    assert weat("paper-career").X == weat("weat6").X
    assert "math" in weat("weat7").X
    assert not {"caress", "paradise", "rainbow"} & set(weat("paper-race").A)
    assert not {"abuse", "filth", "pollute"} & set(weat("paper-race").B)


def test_shipped_lists_are_the_published_ones(shared):
    published = json.loads((shared / "wordlists.json").read_text())["caliskan"]
    low = {name: tuple(w.lower() for w in words) for name, words in published.items()}
    assert low["male_names"] == weat("weat6").X
    assert low["female_terms_2"] == weat("weat8").B
    assert low["unpleasant_5b"] == weat("weat3").B
    assert low["unpleasant_5a"] == weat("weat1").B
