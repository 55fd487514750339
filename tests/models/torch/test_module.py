"""Small parts that stand between torch's modules and the field."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from crossloss.core import UserError
from crossloss.models.torch.module import DrawsOfTheWhole, WeightNorm, pure
from crossloss.models.torch.outer import check_objectives
from crossloss.models.torch.tokens import _length

F64 = torch.float64


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_is_torchs(dim):
    torch.manual_seed(0)
    layer = parametrizations.weight_norm(nn.Conv1d(3, 4, 5).double(), dim=dim)
    theirs = layer.parametrizations.weight[0]
    mine = WeightNorm.__new__(WeightNorm)
    mine.__dict__ |= theirs.__dict__
    g, v = (layer.parametrizations.weight.original0 * 1.7, layer.parametrizations.weight.original1)
    torch.testing.assert_close(mine(g, v), theirs(g, v))


@pytest.mark.parametrize("draw", [
    lambda x: nn.functional.dropout(x, 0.4), lambda x: x + torch.rand_like(x), lambda x: x + torch.randn_like(x),
    lambda x: x * torch.empty_like(x).bernoulli_(0.5),
])  # fmt: skip
def test_a_piece_draws_what_it_draws_in_the_whole(draw):
    x = torch.linspace(1, 2, 24, dtype=F64).view(6, 4)
    torch.manual_seed(3)
    whole = draw(x)
    for first, count in ((0, 2), (2, 3), (5, 1)):
        torch.manual_seed(3)
        with DrawsOfTheWhole(first, count, 6):
            torch.testing.assert_close(draw(x[first : first + count]), whole[first : first + count])
    with pytest.raises(UserError, match="draws random numbers by randint"), DrawsOfTheWhole(0, 2, 6):
        torch.randint(3, (2,))


def test_what_a_forward_pass_draws_is_repeated_and_the_generators_are_left_alone():
    module, cpu = nn.Dropout(0.5), torch.device("cpu")
    states = (torch.get_rng_state(),)
    expected = module(torch.ones(20))
    before = torch.get_rng_state()
    with pure(module, states, cpu):
        assert torch.equal(module(torch.ones(20)), expected)
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(UserError, match=r"draws random numbers \(dropout"), pure(module, None, cpu):
        module(torch.ones(20))


def objective(name, f, family=None):
    made = type("O", (), {"name": name, "__call__": lambda self, view: f(view)})()
    made.family = family
    return made


def test_objectives_of_a_family_are_evaluated_once_and_random_ones_are_refused():
    calls, outer = [], SimpleNamespace(changed=lambda: None, tensors={}, leaves={})

    def family(view):
        calls.append(1)
        return (view * torch.tensor([1.0, 2.0])).sum()

    theta = torch.ones(2)

    def plain(outer, value, handed, what):
        assert value.requires_grad

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossloss.models.torch.outer.check_depends", plain)
        members = [objective(str(i), None, family) for i in range(3)]
        check_objectives(outer, lambda leaf: leaf, theta, members)
        assert len(calls) == 1
        before = torch.get_rng_state()
        noisy = objective("noisy", lambda view: (view * torch.rand(2)).sum())
        with pytest.raises(UserError, match="Objective noisy draws random numbers"):
            check_objectives(outer, lambda leaf: leaf, theta, [noisy])
        assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("shapes", "found"), [
    ([(4, 7), (4, 7)], 7), ([(4, 7), (4,)], 7), ([(4,)], "has no tokens in a row"),
    ([(4, 9), (4, 7)], "has rows of 7, 9"),
])  # fmt: skip
def test_the_tokens_of_a_row_are_found_in_the_data(shapes, found):
    data = {str(i): torch.ones(shape) for i, shape in enumerate(shapes)}
    field = SimpleNamespace(parts=lambda step: ["the batch"], data_of=lambda part: data)
    if isinstance(found, int):
        assert _length(field) == found
    else:
        with pytest.raises(UserError, match=f"The data {found}: say how many losses"):
            _length(field)
