"""Smallest steps against scipy's general solvers and against trying every set."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, minimize

from crossloss.core import UserError
from crossloss.plans.smallest import fewest, smallest_step


def problem(seed, n=9, k=2, reachable=True):
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(k, n)) * 10.0 ** rng.integers(-4, 3, size=(k, 1))
    low, high = np.zeros(n), np.full(n, 2.0)
    current = rng.uniform(0, 2, size=n)
    current[rng.random(n) < 0.2] = 0.0
    inside = rng.uniform(0, 2, size=n)
    amounts = slopes @ (inside - current) * (1 if reachable else 50)
    return current, slopes, amounts, low, high


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_no_shorter_step_within_the_bounds_meets_the_amounts(seed, k):
    current, slopes, amounts, low, high = problem(seed, k=k)
    found = smallest_step(current, slopes, amounts, low, high)
    assert ((low <= found) & (found <= high)).all()
    scale = np.linalg.norm(slopes, axis=1)
    np.testing.assert_allclose(slopes @ (found - current) / scale, amounts / scale, atol=1e-6)
    reference = minimize(
        lambda x: ((x - current) ** 2).sum(),
        np.clip(found + 0.01, low, high),
        jac=lambda x: 2 * (x - current),
        bounds=list(zip(low, high, strict=True)),
        constraints={
            "type": "eq",
            "fun": lambda x: (slopes @ (x - current) - amounts) / scale,
            "jac": lambda x: slopes / scale[:, None],
        },
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    if reference.success:
        assert np.linalg.norm(found - current) <= np.linalg.norm(reference.x - current) + 1e-5


def test_without_active_bounds_it_is_the_minimum_norm_solution():
    rng = np.random.default_rng(1)
    slopes, amounts = rng.normal(size=(3, 50)), rng.normal(size=3) * 0.1
    found = smallest_step(np.ones(50), slopes, amounts, np.zeros(50), np.full(50, 2.0))
    np.testing.assert_allclose(found - 1, np.linalg.lstsq(slopes, amounts)[0], atol=1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_out_of_reach_goes_as_near_as_the_bounds_allow(seed):
    current, slopes, amounts, low, high = problem(seed, reachable=False)
    found = smallest_step(current, slopes, amounts, low, high)
    norms = np.linalg.norm(slopes, axis=1)
    a, b = slopes / norms[:, None], amounts / norms
    best = lsq_linear(a, b + a @ current, bounds=(low, high), tol=1e-12)
    assert ((low <= found) & (found <= high)).all()
    left = np.linalg.norm(a @ (found - current) - b)
    assert left == pytest.approx(np.sqrt(2 * best.cost), rel=1e-6, abs=1e-6)


def test_an_objective_that_nothing_moves_is_left_alone():
    slopes = np.array([[0.0, 0.0], [1.0, 0.0]])
    ends = (np.zeros(2), np.full(2, 2.0))
    np.testing.assert_allclose(smallest_step(np.ones(2), slopes, np.array([5.0, 0.5]), *ends), [1.5, 1.0])
    assert smallest_step(np.ones(2), 0 * slopes, np.array([5.0, 0.5]), *ends).tolist() == [1.0, 1.0]
    with pytest.raises(UserError, match="finite"):
        smallest_step(np.ones(2), slopes * np.nan, np.ones(2), *ends)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=9, unique=True), st.integers(0, 120))
@settings(max_examples=100, deadline=None)
def test_one_amount_takes_the_largest_first_and_then_hits_it(effects, amount):
    effects = np.array([effects], dtype=float)
    chosen = fewest(effects, np.array([float(amount)]))
    reach = np.clip(amount, 0, effects.sum())
    assert abs(effects[0, chosen].sum() - reach) <= effects.max() / 2 + 1e-9
    size = int(np.searchsorted(np.cumsum(np.sort(effects[0])[::-1]), amount))
    assert len(chosen) <= size + 4


@pytest.mark.parametrize("seed", range(6))
def test_two_amounts_at_once_against_every_set(seed):
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=(2, 12))
    wanted = effects[:, rng.random(12) < 0.4].sum(axis=1)
    chosen = fewest(effects, wanted)
    every = np.array(list(product([0, 1], repeat=12)))
    left = np.abs(every @ effects.T - wanted).max(axis=1)
    mine = np.abs(effects[:, chosen].sum(axis=1) - wanted).max()
    as_near = every[left <= mine + 1e-9].sum(axis=1).min()
    assert mine < 1.0
    assert len(chosen) <= as_near + 3


def test_within_stops_the_polishing():
    effects = np.array([[1.0, 0.4, 0.2, 0.1]])
    assert fewest(effects, np.array([1.15]), within=0.2).tolist() == [0]
    assert effects[0, fewest(effects, np.array([1.15]))].sum() == pytest.approx(1.15, abs=0.051)
    assert fewest(effects, np.array([99.0])).tolist() == [0, 1, 2, 3]
    assert fewest(0 * effects, np.array([1.0])).size == 0
    with pytest.raises(UserError, match="finite"):
        fewest(effects, np.array([np.inf]))
