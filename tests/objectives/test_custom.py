"""Python functions as objectives: what is accepted, under which name, and what is refused."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from crossloss.core import Objective, UserError
from crossloss.estimators import gradient as gradient_module
from crossloss.estimators.gradient import objective_gradients, objective_values
from crossloss.models.skipgram.embeddings import Embeddings
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


def given(function):
    """A field without a module, rows (5, 3), and an objective for each of them."""
    rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return SimpleNamespace(view=lambda theta: theta), rows, each(function, rows, torch.arange(1.0, 6.0))


def waves(view, x, scale):
    return torch.sin(x @ view) * scale


def test_an_objective_for_each_row_is_each_alone(monkeypatch):
    """Values and gradients, of some of them, in any order and beside others; in one batched pass."""
    theta, calls = torch.tensor([0.3, -1.0, 0.8], dtype=torch.float64), []
    field, rows, family = given(lambda *args: calls.append(1) or waves(*args))
    assert [o.name for o in family] == [f"objective.{i}" for i in range(5)]
    assert all(isinstance(o, Objective) for o in family)
    alone = [Function(f"{i}", lambda view, i=i: waves(view, rows[i], i + 1.0)) for i in range(5)]
    other = Function("other", lambda view: (view**3).sum())
    chosen, expected = ([f[4], f[1], other, f[2]] for f in (family, alone))
    torch.testing.assert_close(objective_values(theta, chosen), objective_values(theta, expected))
    torch.testing.assert_close(objective_gradients(field, theta, chosen), objective_gradients(field, theta, expected))
    calls.clear()
    objective_gradients(field, theta, family)
    assert len(calls) == 1
    monkeypatch.setattr(gradient_module, "AT_ONCE", 2)
    torch.testing.assert_close(objective_gradients(field, theta, family), objective_gradients(field, theta, alone))
    assert len(calls) == 1 + 3
    assert float(family[3](theta)) == pytest.approx(float(alone[3](theta)), abs=1e-12)


def test_rows_that_cannot_be_batched_are_taken_one_by_one():
    def cubes(view, x, scale):
        return (x @ view) ** 3 if x.abs().max().item() >= 0 else None  # vmap refuses .item()

    theta = torch.tensor([0.3, -1.0, 0.8], dtype=torch.float64)
    field, rows, family = given(cubes)
    expected = 3 * (rows @ theta)[:, None] ** 2 * rows
    torch.testing.assert_close(objective_gradients(field, theta, family), expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda view, x, scale: x @ view.detach(), "objective.0 must return one scalar"),
        (lambda view, x, scale: torch.sqrt((x @ view) * (scale - 1)), "objective.. has no finite gradient"),
    ],
)
def test_rows_without_a_gradient_are_refused(function, message):
    field, _, family = given(function)
    with pytest.raises(UserError, match=message):
        objective_gradients(field, torch.ones(3, dtype=torch.float64), family)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda view, x, scale: (x @ view)[:2], r"shape \(5,\)"),
        (lambda view, x, scale: (x @ view).sum(), r"shape \(5,\)"),
        (lambda view, x, scale: (x @ view) / 0, "finite"),
        (lambda view, x, scale: (x @ view).long(), "floats"),
    ],
)
def test_rows_without_a_value_are_refused(function, message):
    _, _, family = given(function)
    with pytest.raises(UserError, match=message):
        objective_values(torch.ones(3, dtype=torch.float64), family)


def test_rows_are_equally_many():
    for rows in ((), (torch.ones(3), torch.ones(2)), (torch.ones(()),), (torch.ones(0, 2),)):
        with pytest.raises(UserError, match="equally many rows"):
            each(waves, *rows)


MIXED = {
    "less the mean": lambda v, x, scale: x @ v - (x @ v).mean(),
    "by its neighbour": lambda v, x, scale: x @ v - (x @ v).roll(1),
    "summed up so far": lambda v, x, scale: (x @ v).cumsum(0),
    "a share of all": lambda v, x, scale: torch.softmax(x @ v, 0),
    "by its place": lambda v, x, scale: (x @ v) * torch.arange(1.0, 1.0 + len(x), dtype=x.dtype),
    "sorted": lambda v, x, scale: (x @ v).sort().values,
    "a fixed list beside it": lambda v, x, scale: (x @ v) * torch.ones(5, dtype=x.dtype),
}


@pytest.mark.parametrize("case", MIXED)
def test_rows_that_depend_on_others_are_refused(case):
    _, _, family = given(MIXED[case])
    with pytest.raises(UserError, match=r"other rows|any of the rows|shape \(1,\)"):
        objective_values(torch.tensor([0.3, -1.0, 0.8], dtype=torch.float64), family)


def test_each_takes_tensors_and_copies_them():
    for rows in (([1.0, 2.0],), (None,), ("ab",)):
        with pytest.raises(UserError, match="takes tensors"):
            each(waves, *rows)
    rows = torch.eye(3, dtype=torch.float64)
    family = each(lambda view, x: x @ view, rows)
    rows.zero_()
    assert objective_values(torch.arange(1.0, 4.0, dtype=torch.float64), family).tolist() == [1, 2, 3]


def test_a_function_that_asks_for_what_is_not_there_is_told_so():
    with pytest.raises(UserError, match="Objective mine asks for 'zebra', which is not there"):
        Function("mine", lambda view: view.vectors[view.index["zebra"]].sum())(view())
    seen = Embeddings(["a", "b"], {"a": 0, "b": 1}, *[torch.eye(2)] * 2)
    with pytest.raises(UserError, match="Objective mine: The vocabulary lacks the word 'zebra'"):
        Function("mine", lambda e: e["zebra"].sum())(seen)
    with pytest.raises(KeyError):
        seen["zebra"]
    with pytest.raises(UserError, match="asks for what is not there"):
        Function("mine", lambda e: e.vectors[e.words.index("zebra")].sum())(seen)
    with pytest.raises(UserError, match="asks for 'c'"):
        objective_values(seen, each(lambda e, x: x * {"a": 1.0}["c"], torch.ones(2)))
