"""Python functions as objectives: what is accepted, under which name, and what is refused."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from crossloss.core import Objective, UserError
from crossloss.objectives import Function, as_objective, weat


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
