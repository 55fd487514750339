"""The permutation test against brute force."""

from itertools import combinations

import numpy as np
import pytest
import torch

from crossloss.core import UserError
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.objectives import permutation, permutation_test
from crossloss.objectives.weat import Weat


def make(seed, x, y, dimension=6, shift=0.0):
    words = [f"w{i}" for i in range(x + y + 6)]
    vectors = np.random.default_rng(seed).normal(size=(len(words), dimension))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    contrast = unit[x + y : x + y + 3].mean(0) - unit[x + y + 3 :].mean(0)
    vectors[:x] += shift * contrast
    vectors[x : x + y] -= shift * contrast
    sets = (words[:x], words[x : x + y], words[x + y : x + y + 3], words[x + y + 3 :])
    test = Weat("t", *(tuple(s) for s in sets))
    tensor = torch.from_numpy(vectors)
    return test, Embeddings(words, {w: i for i, w in enumerate(words)}, tensor, tensor)


def brute_force(test, view):
    xs, ys = (t.tolist() for t in test.associations(view))
    values, first = xs + ys, len(xs)

    def difference(chosen):
        inside = [values[i] for i in chosen]
        outside = [v for i, v in enumerate(values) if i not in set(chosen)]
        return sum(inside) / len(inside) - sum(outside) / len(outside)

    observed = difference(range(first))
    every = [difference(c) for c in combinations(range(len(values)), first)]
    one = sum(d >= observed - 1e-12 for d in every) / len(every)
    return one, sum(abs(d) >= abs(observed) - 1e-12 for d in every) / len(every), len(every)


@pytest.mark.parametrize(("x", "y"), [(3, 3), (4, 4), (3, 5), (5, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_exact_p_values_equal_brute_force(seed, x, y):
    test, view = make(seed, x, y)
    one, two, splits = brute_force(test, view)
    result = permutation_test(test, view)
    assert result.exact
    assert result.splits == splits
    assert result.p_value == pytest.approx(one, abs=1e-12)
    assert result.p_value_two_sided == pytest.approx(two, abs=1e-12)


def test_drawn_splits_agree_with_all_and_never_repeat(monkeypatch):
    test, view = make(3, 7, 7, shift=0.2)
    exact = permutation_test(test, view)
    monkeypatch.setattr(permutation, "EXACT_SPLITS", 100)
    drawn = permutation_test(test, view, seed=1, samples=2000)
    assert not drawn.exact
    assert drawn.splits == 2001
    error = 4 * np.sqrt(exact.p_value * (1 - exact.p_value) / 2000)
    assert abs(drawn.p_value - exact.p_value) < error
    assert drawn == permutation_test(test, view, seed=1, samples=2000)
    assert drawn != permutation_test(test, view, seed=2, samples=2000)
    splits = permutation._drawn(14, 7, 2000, 1)
    assert len(np.unique(splits, axis=0)) == len(splits) == 2001
    assert splits[0].tolist() == list(range(7)), "the observed one"


def test_an_extreme_order_has_the_smallest_p_there_is_and_never_zero():
    test, view = make(0, 4, 4, shift=5.0)
    result = permutation_test(test, view)
    assert result.p_value == pytest.approx(1 / 70)
    turned = Weat("t", test.Y, test.X, test.A, test.B)
    assert permutation_test(turned, view).p_value == 1.0
    assert permutation_test(turned, view).p_value_two_sided == pytest.approx(2 / 70)


def test_ties_count():
    words = [f"w{i}" for i in range(8)]
    vectors = torch.tensor([[1.0, 0], [1, 0], [1, 0], [1, 0.5], [1, 0], [2, 0], [0, 1], [0, 2]]).double()
    view = Embeddings(words, {w: i for i, w in enumerate(words)}, vectors, vectors)
    test = Weat("t", ("w0", "w1"), ("w2", "w3"), ("w4", "w5"), ("w6", "w7"))
    # w0, w1, w2 are alike: a split is as high as the observed one unless w3 is in it.
    assert permutation_test(test, view).p_value == pytest.approx(3 / 6)


def test_under_exchangeability_p_is_uniform():
    values = [permutation_test(*make(seed, 4, 4)).p_value for seed in range(300)]
    assert abs(np.mean(np.array(values) <= 0.5) - 0.5) < 4 * np.sqrt(0.25 / 300)
    assert np.mean(np.array(values) <= 0.1) < 0.1 + 4 * np.sqrt(0.09 / 300)


def test_as_many_draws_as_there_are_splits_are_all_of_them(monkeypatch):
    test, view = make(2, 3, 3)
    exact = permutation_test(test, view)
    monkeypatch.setattr(permutation, "EXACT_SPLITS", 1)
    assert permutation_test(test, view, samples=19) == permutation_test(test, view, samples=10**5) == exact
    assert permutation_test(test, view, samples=18).splits == 19


def test_a_block_without_a_new_split_is_passed_over(monkeypatch):
    monkeypatch.setattr(permutation, "ROWS_AT_ONCE", 1)
    splits = permutation._drawn(6, 3, 19, 0)
    assert sorted(map(tuple, splits.tolist())) == list(combinations(range(6), 3))


@pytest.mark.parametrize("samples", [0, -5])
def test_no_splits_are_no_test(samples):
    with pytest.raises(UserError, match="at least one split"):
        permutation_test(*make(0, 3, 3), samples=samples)
