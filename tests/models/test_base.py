"""What a model that says only what it must is taken to be."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from crossloss.core import Linearisation, UserError
from crossloss.core.curvature import Curvature
from crossloss.models.base import Model


class Least(Model):
    kind = "least"
    samples = 3
    device = torch.device("cpu")

    def build(self, folder=None):
        return "the field"

    def identity(self, steps=1, seed=None):
        return {}

    def footprint(self, optimiser):
        return None

    def start(self, seed):
        return torch.zeros(2)


def test_defaults_of_a_model():
    model, view = Least(), {"a": torch.ones(2)}
    assert model.own_weights.tolist() == [1.0, 1.0, 1.0]
    assert (model.kernels, model.word_index, model.columns(), model.figures(), model.benchmarks(view)) == ({},) * 5
    assert (model.kinks(), model.activations(), model.batch_size) == ((), 0, 3)
    assert model.has_starts is False
    assert model.first_seed is None
    assert model.started(torch.zeros(2)) == "the field"
    assert model.within(7) is model
    assert model.prepare("a rule", torch.ones(3)) == "a rule"
    assert model.tensors(view) == view
    assert model.show(2) == "sample 2"
    everyone = model.with_words(["any"])
    assert (everyone.tolist(), everyone.dtype) == ([True] * 3, bool)
    assert model.candidates(np.array([0.0, 1.0, 0.0])).tolist() == [True, False, True]
    scores = model.project(np.ones((1, 3), dtype=np.float32))
    assert (scores.tolist(), scores.dtype) == ([[1.0, 1.0, 1.0]], np.float64)


def test_what_a_model_has_none_of_is_refused():
    model = Least()
    with pytest.raises(UserError, match="no optimiser of its own"):
        model.optimiser()
    with pytest.raises(UserError, match="A sample of a least model has no parts"):
        model.explain(np.zeros(3), 0, model.own_weights)
    with pytest.raises(NotImplementedError):
        model.loss(torch.zeros(2), torch.ones(3))


def test_a_curvature_that_is_not_symmetric_says_so():
    class Skew(Curvature):
        symmetric = False

        def product(self, v):
            return v

    with pytest.raises(UserError, match="Skew is not symmetric"):
        Skew().transposed()


class Differences(Linearisation):
    def pullback(self, a, into):
        raise AssertionError


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_central_differences_fit_the_size_of_the_parameters(size):
    """Accurate to about eps^(2/3) for a cubic, whatever the scale."""
    draw = torch.Generator().manual_seed(0)
    theta, along = (torch.randn(20, generator=draw, dtype=torch.float64) for _ in range(2))
    theta = size * (theta.sign() + theta)
    field = SimpleNamespace(gradient=lambda theta, w, step: (theta**3 + theta) * w.sum())
    w = torch.ones(2, dtype=torch.float64)
    found = Differences(field, theta, w, 0).pushforward(along, torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(found, 2 * (3 * theta**2 + 1) * along, rtol=1e-9, atol=1e-10)
