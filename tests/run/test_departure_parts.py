"""How far a replay is from its loop, and when a gradient is rounding noise."""

import numpy as np
import pytest
import torch
from torch import nn

from crossloss.models.torch.view import Layout
from crossloss.run.departure import NOISE, Departure, Facts, OnlyNoise, _noise, departure


def layout():
    return Layout(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).double())


def test_a_departure_is_relative_to_the_parameter_or_to_typical_entries():
    where = layout()
    recorded = torch.full((11,), 2.0, dtype=torch.float64)
    theta = recorded.clone()
    found = departure(where, theta, recorded)
    assert (found.name, found.relative) == (where.names[0], 0.0)
    theta[7] += 0.5  # second entry of the first bias, of norm 2 sqrt(2)
    found = departure(where, theta, recorded)
    assert (found.name, found.position, found.entry) == ("0.bias", 1, 7)
    assert found.relative == pytest.approx(0.5 / (2 * 2**0.5))
    assert departure(where, theta, recorded, left_out={1}).relative == 0.0
    recorded[6:8] = 0  # a parameter of zeros: relative to typical entries
    theta = recorded.clone()
    theta[6] += 0.1
    typical = float(recorded.square().mean().sqrt())
    assert departure(where, theta, recorded).relative == pytest.approx(0.1 / (typical * 2**0.5))
    theta[0] = float("nan")
    assert departure(where, theta, recorded).name == "0.weight"
    assert departure(where, theta, recorded, left_out=range(4)) == Departure("", 0, -1.0, 0)


def test_only_noise_is_noise_in_every_step_so_far():
    eps = 1e-7
    norms = [[1.0, NOISE * eps * 0.1, 1e-9], [1.0, 1e-9, 1.0], [1.0, 0.0, 1e-9]]
    noise = OnlyNoise(norms, [4, 4, 4], eps)
    assert noise.until(0) == {0, 1, 2}
    assert noise.until(1) == {1, 2}
    assert noise.until(2) == {1}
    assert noise.until(2) == {1}
    assert noise.until(3) == frozenset(), "no gradient at all is not noise"


def test_noise_is_below_a_hundred_units_of_rounding():
    """Of the gradient's typical entry, which one large parameter sets here."""
    eps, typical = 1e-7, np.sqrt(1.0 / 104)
    for units, noise in ((99.5, {1}), (100.5, set())):
        assert OnlyNoise([[1.0, units * eps * typical * 2]], [100, 4], eps).until(1) == noise


def facts(eps=1e-8):
    return Facts([[1.0, 1.0]], [[4]], 1, False, "AdamW", eps)


def test_noise_of_a_whole_parameter_or_of_an_entry():
    where = layout()
    g = torch.ones(11, dtype=torch.float64)
    limit = NOISE * torch.finfo(g.dtype).eps
    g[6:8] = limit / 4
    found = departure(where, torch.zeros(11).double(), torch.ones(11).double() * torch.linspace(1, 2, 11))
    whole = type(found)("0.bias", 1, 0.1, 6)
    own = where.split(g)["0.bias"]
    sentence = _noise(facts(), g, own, limit / 4, whole)
    assert sentence.startswith("the gradient of '0.bias' is rounding noise around 0")
    assert "of which AdamW with eps 1e-08 makes steps" in sentence
    assert "set requires_grad_(False) on it, use a larger eps" in sentence
    # Noise for this replay, and not for the loop.
    assert "some entries" in _noise(facts(), g, own, 1.0, whole)
    assert _noise(facts(None), g, own, limit / 4, whole) is None
    g[7] = 1.0
    own = where.split(g)["0.bias"]
    assert _noise(facts(), g, own, 1.0, whole).startswith("some entries of the gradient of '0.bias' are rounding noise")
    assert _noise(facts(), g, own, 1.0, type(found)("0.bias", 1, 0.1, 7)) is None
    assert _noise(facts(), torch.zeros_like(g), own * 0, 0.0, whole) is None
    assert np.isfinite(limit)


def test_a_parameter_is_noise_where_its_typical_entry_is():
    """Two entries of .9 of the limit have a norm of 1.27 of it, below the square root of 2."""
    where = Layout(nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 1)).double())
    for part, noise in ((0.9, True), (1.1, False)):
        g = torch.ones(13, dtype=torch.float64)
        limit = NOISE * torch.finfo(g.dtype).eps * float(g.square().mean().sqrt())
        g[8:10] = part * limit * (11 / 13) ** 0.5  # the limit of the gradient with these entries
        own = where.split(g)["0.bias"]
        sentence = _noise(facts(), g, own, float(own.norm()), Departure("0.bias", 1, 0.1, 8))
        assert (sentence or "").startswith("the gradient of '0.bias' is rounding noise") == noise
