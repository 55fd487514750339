"""The share of the parameters in each update of an average, and what is no mean."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from crossloss.core import UserError
from crossloss.models.torch.view import Layout
from crossloss.run.average import Average


@pytest.fixture(params=[torch.float32, torch.float64])
def model(request):
    torch.manual_seed(0)
    return nn.Linear(3, 2).to(request.param)


def set_to(module, theta, layout):
    with torch.no_grad():
        for name, value in layout.split(theta).items():
            dict(module.named_parameters())[name].copy_(value)


def made(model):
    averaged, layout = copy.deepcopy(model), Layout(model)
    return averaged, layout, Average(averaged, layout)


def test_shares_are_those_of_the_rule(model):
    averaged, layout, average = made(model)
    theta = layout.flat(dict(model.named_parameters()))
    mean, expected = theta.clone(), []
    for share in (0.1, 1.0, 0.0, 0.37, -0.2):
        theta = theta + torch.linspace(-1, 2, len(theta), dtype=theta.dtype)
        mean = mean + share * (theta - mean)
        set_to(averaged, mean, layout)
        average.update(theta)
        expected.append(share)
    assert average.shares == pytest.approx(expected, abs=1e-6)
    assert average.shares[2] == 0.0
    torch.testing.assert_close(average.last, mean)


def test_an_update_to_itself_has_no_share(model):
    average = made(model)[2]
    average.update(average.now())
    assert average.shares == [0.0]


@pytest.mark.parametrize("by", [1e-3, 1.0])
def test_what_is_no_mean_is_refused(model, by):
    averaged, layout, average = made(model)
    theta = average.now() + 1
    other = average.now() + 0.5 * (theta - average.now())
    other[0] += by
    set_to(averaged, other, layout)
    with pytest.raises(UserError, match="The averaged model changed at step 0, and not to a mean"):
        average.update(theta)


def test_rounding_of_large_parameters_is_no_departure():
    model = nn.Linear(3, 2)
    averaged, layout, average = made(model)
    start = torch.full_like(average.now(), 1000.0)
    set_to(averaged, start, layout)
    average.last = average.now()
    theta = start + 1e-3
    moved = start.clone()
    moved[0] += 6.2e-5  # one unit of rounding at 1000
    set_to(averaged, moved, layout)
    average.update(theta)
    assert abs(average.shares[0]) < 0.1


def test_what_is_averaged_must_be_a_copy_of_the_model(model):
    layout = made(model)[1]
    with pytest.raises(UserError, match="The average is a dict: give the averaged model"):
        Average({}, layout)
    with pytest.raises(UserError, match="lacks parameters"):
        Average(nn.Linear(3, 2, bias=False), layout)
    assert Average(AveragedModel(model), layout).shares == []
