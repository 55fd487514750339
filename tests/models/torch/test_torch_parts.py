"""Parts of a torch field by themselves: what is known of a layer, readings of a dataset, data that are not finite."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.torch.data import _drawn, _same
from crossloss.models.torch.finite import check_finite
from crossloss.models.torch.layers import is_known

F64 = torch.float64


@pytest.mark.parametrize(("layer", "known"), [
    (nn.Linear(2, 2), True), (nn.Embedding(2, 2), True), (nn.LayerNorm(2), True), (nn.LayerNorm((2, 2)), False),
    (nn.Conv2d(2, 2, 3), True), (nn.Conv2d(2, 2, 3, groups=2), False),
    (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), False), (nn.Conv2d(2, 2, 3, padding="same"), False),
    (nn.Conv1d(2, 2, 3), False), (nn.BatchNorm1d(2), False),
])  # fmt: skip
def test_layers_whose_gradients_of_single_samples_follow(layer, known):
    assert is_known(layer) is known


def test_two_readings_are_the_same_numbers():
    nan = torch.tensor([1.0, float("nan")])
    assert _same(nan, nan.clone())
    assert not _same(nan, torch.tensor([1.0, 2.0]))
    assert not _same(torch.tensor([1.0, 2.0]), nan)
    assert not _same(nan, nan.double())
    assert not _same(nan, nan[None])
    assert not _same({"a": nan}, {"a": nan, "b": nan})


def test_what_a_dataset_may_draw_from_is_seen():
    import random

    import numpy as np

    before = _drawn()
    assert _drawn() == before
    for draw in (lambda: torch.rand(1), random.random, lambda: np.random.rand()):  # noqa: NPY002
        draw()
        assert _drawn() != before
        before = _drawn()


def field(x, **more):
    torch.manual_seed(0)
    model = nn.Linear(3, 1).to(x.dtype)
    return cl.TorchField(model, lambda out, batch: out[:, 0] ** 2, {"x": x, "n": torch.arange(len(x))}, **more)


@pytest.mark.parametrize(("bad", "kind"), [(float("nan"), "nan"), (float("inf"), "inf")])
@pytest.mark.parametrize("row", [0, 7])
def test_a_sample_with_a_number_that_is_not_finite_is_named_in_any_batch(bad, kind, row):
    """Of the first step and of any other: every sample with odd data is looked at before training."""
    x = torch.ones(9, 3, dtype=F64)
    x[row, 1] = bad
    made = field(x, order=[[0, 1, 2]])
    w = torch.ones(9, dtype=F64)
    with pytest.raises(UserError, match=f"The loss of sample {row} is .*: 'x' holds {kind} there"):
        check_finite(made, made.initial, w, 0)
    x[row, 1] = 1.0
    made = field(x, order=[[0, 1, 2]])
    check_finite(made, made.initial, w, 0)
    with pytest.raises(UserError, match="'weight' of the model is not finite before training"):
        check_finite(made, made.initial * float("nan"), w, 0)


def test_a_loss_that_is_not_finite_on_finite_data_is_refused():
    made = cl.TorchField(
        nn.Linear(3, 1).double(), lambda out, batch: (out[:, 0] * 0).log(), {"x": torch.ones(4, 3, dtype=F64)}
    )
    with pytest.raises(UserError, match=r"The loss of sample 0 is -inf \(and of 3 more\): its data and the model's"):
        check_finite(made, made.initial, torch.ones(4, dtype=F64), 0)


def test_a_field_in_float64_is_one_of_its_own():
    single = field(torch.randn(5, 3))
    double = single.double()
    assert (single.initial.dtype, double.initial.dtype) == (torch.float32, F64)
    assert next(double.module.parameters()).dtype == F64
    assert next(single.module.parameters()).dtype == torch.float32
    assert double.rows["x"].dtype == F64
    assert double.rows["n"].dtype == torch.int64
    w = torch.linspace(0.5, 1.5, 5)
    torch.testing.assert_close(
        double.gradient(double.initial, w.double(), 0), single.gradient(single.initial, w, 0).double(),
        rtol=1e-5, atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_loader_brings_its_batches(drop_last):
    data = TensorDataset(torch.randn(7, 3), torch.arange(7))
    torch.manual_seed(0)
    made = cl.TorchField(
        nn.Linear(3, 1), lambda out, batch: out[:, 0] ** 2, DataLoader(data, batch_size=3, drop_last=drop_last)
    )
    assert [len(made.parts(step)[0].rows) for step in range(3)] == ([3, 3, 3] if drop_last else [3, 3, 1])
