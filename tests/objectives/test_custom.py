"""Python functions as objectives: what is accepted, under which name, and what is refused."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from crossloss.core import Objective, UserError
from crossloss.estimators.gradient import objective_gradients, objective_values
from crossloss.objectives import Function, as_objective, each, weat


def view(requires_grad=False):
    vectors = torch.tensor([[3.0, 4.0], [1.0, 2.0]], dtype=torch.float64, requires_grad=requires_grad)
    return SimpleNamespace(words=["a", "b"], index={"a": 0, "b": 1}, vectors=vectors, contexts=vectors)


def squared_length(view):
    return view.vectors[view.index["a"]].square().sum()


def test_a_function_keeps_its_name_value_and_gradient():
    objective = as_objective(squared_length)
    assert isinstance(objective, Objective)
    assert objective.name == "squared_length"
    seen = view(requires_grad=True)
    value = objective(seen)
    value.backward()
    assert value.shape == ()
    assert value.item() == 25.0
    assert seen.vectors.grad.tolist() == [[6.0, 8.0], [0.0, 0.0]]


def test_one_number_of_any_shape_becomes_a_scalar():
    assert Function("f", lambda view: view.vectors[:1, :1])(view()).shape == ()


def test_objectives_stay_and_other_callables_get_a_name():
    test = weat("weat6")
    assert as_objective(test) is test
    assert as_objective(lambda view: view.vectors.sum()).name == "objective"
    assert as_objective(partial(squared_length)).name == "partial"


@pytest.mark.parametrize("given", [3, "weat6", None])
def test_what_is_no_objective_is_refused(given):
    with pytest.raises(UserError, match="is no objective"):
        as_objective(given)


RETURNS = {
    "a float": (lambda view: 1.0, "one real number"),
    "a vector": (lambda view: view.vectors[0], "one real number"),
    "nothing": (lambda view: None, "one real number"),
    "complex": (lambda view: view.vectors.sum() * 1j, "one real number"),
    "whole": (lambda view: view.vectors.sum().long(), "one real number"),
    "nan": (lambda view: view.vectors.sum() * float("nan"), "nan at this model"),
    "infinite": (lambda view: view.vectors.sum() / 0, "inf at this model"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", RETURNS)
def test_what_is_not_one_finite_real_number_is_refused(case):
    function, message = RETURNS[case]
    with pytest.raises(UserError, match=message) as caught:
        Function("mine", function)(view(requires_grad=True))
    assert "mine" in str(caught.value)


def test_objectives_together_are_each_alone():
    """Values and gradients, of some of them, in any order and beside others; one call of the function for all."""
    generator = torch.Generator().manual_seed(0)
    matrix, theta = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((5, 4), (4,)))
    field, calls = SimpleNamespace(view=lambda theta: theta), []

    def waves(view):
        calls.append(1)
        return torch.sin(matrix @ view)

    together = each(waves, 5)
    assert [o.name for o in together] == [f"waves.{i}" for i in range(5)]
    alone = [Function(f"alone.{i}", lambda view, i=i: torch.sin(matrix[i] @ view)) for i in range(5)]
    other = Function("other", lambda view: (view**3).sum())
    chosen = [together[4], together[1], other, together[2]]
    expected = [alone[4], alone[1], other, alone[2]]
    torch.testing.assert_close(objective_values(theta, chosen), objective_values(theta, expected))
    torch.testing.assert_close(objective_gradients(field, theta, chosen), objective_gradients(field, theta, expected))
    calls.clear()
    objective_gradients(field, theta, together)
    assert len(calls) == 1
    assert float(together[3](theta)) == float(alone[3](theta))


def test_objectives_together_that_cannot_be_batched_are_taken_one_by_one():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g if g.abs().max().item() >= 0 else None

    theta, field = torch.arange(1.0, 4.0), SimpleNamespace(view=lambda theta: theta)
    found = objective_gradients(field, theta, each(Cube.apply, 3))
    torch.testing.assert_close(found, torch.diag(3 * theta**2))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda view: view[:2], "must return a torch tensor of 3"),
        (lambda view: view.sum(), "must return a torch tensor of 3"),
        (lambda view: view.detach(), r"objective.0 must return one scalar"),
        (lambda view: view / 0, "not finite"),
        (lambda view: torch.sqrt(view - torch.tensor([0.0, 1.0, 0.0])), "has no finite gradient"),
    ],
)
def test_objectives_together_that_are_none_are_refused(function, message):
    field = SimpleNamespace(view=lambda theta: theta)
    with pytest.raises(UserError, match=message):
        objective_gradients(field, torch.ones(3), each(function, 3))
