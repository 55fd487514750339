"""Correlations, slopes, intervals and subsets."""

import numpy as np
import pytest
from scipy import stats

from crossloss.core import UserError
from crossloss.utils.statistics import fidelity
from crossloss.validation.subsets import random_matching, random_subsets


def test_figures_equal_scipys():
    rng = np.random.default_rng(0)
    x = rng.normal(size=25)
    y = np.round(2 * x + rng.normal(size=25), 1)  # with ties
    found = fidelity(x, y)
    assert found.pearson == pytest.approx(stats.pearsonr(x, y)[0])
    assert found.spearman == pytest.approx(stats.spearmanr(x, y)[0])
    assert found.slope == pytest.approx(stats.linregress(x, y).slope)
    assert found.subsets == 25


def test_intervals_hold_the_figure_and_shrink_with_more_subsets():
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    y = x + rng.normal(size=400)
    few, many = fidelity(x[:20], y[:20]), fidelity(x, y)
    for f in (few, many):
        assert f.pearson_low < f.pearson < f.pearson_high
        assert f.spearman_low < f.spearman < f.spearman_high
        assert f.slope_low < f.slope < f.slope_high
    assert many.pearson_high - many.pearson_low < 0.5 * (few.pearson_high - few.pearson_low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(60):
        x = rng.normal(size=60)
        y = 0.5 * x + rng.normal(size=60)
        f = fidelity(x, y)
        covered += f.slope_low <= 0.5 <= f.slope_high
    assert covered >= 50


def test_exact_agreement_and_a_flipped_sign():
    x = np.arange(5.0)
    assert fidelity(x, 3 * x).slope == pytest.approx(3)
    assert fidelity(x, -x).pearson == pytest.approx(-1)


def test_nothing_to_compare_is_an_error():
    for x, y in (([1.0, 2.0], [1.0, 2.0]), ([1.0, 1, 1], [1.0, 2, 3]), ([1.0, 2, 3], [1.0, 1, 1])):
        with pytest.raises(UserError, match="at least three"):
            fidelity(np.array(x), np.array(y))


def test_subsets_have_one_size_leave_candidates_alone_and_stay_when_more_are_asked_for():
    weights = np.ones(100)
    weights[90:] = 0
    few = random_subsets(weights, share=0.1, count=3, seed=4)
    more = random_subsets(weights, share=0.1, count=6, seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(few, more, strict=False))
    assert {len(s) for s in more} == {9}
    assert all(s.max() < 90 and len(np.unique(s)) == 9 for s in more)
    assert len({tuple(s) for s in more}) == 6
    assert not np.array_equal(few[0], random_subsets(weights, share=0.1, count=1, seed=5)[0])
    for share in (0.0, 1.0, 0.001, 0.999):
        with pytest.raises(UserError):
            random_subsets(weights, share=share, count=1, seed=0)


def test_matching_draws_only_from_the_eligible():
    eligible = np.arange(50) % 2 == 0
    drawn = random_matching(10, np.ones(50), eligible, 1)
    assert len(set(drawn)) == 10
    assert eligible[drawn].all()
    with pytest.raises(UserError, match="25 are eligible"):
        random_matching(26, np.ones(50), eligible, 1)
