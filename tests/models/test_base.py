"""What a model that says only what it must is taken to be."""

import numpy as np
import pytest
import torch

from crossloss.core import UserError
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
