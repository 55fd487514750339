"""Metasmoothness by its definition, small changes against retraining, and what a run is told about its recipe."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from capabilities import COLUMNS, IMPORTS
from crossloss.core import UserError
from crossloss.objectives import as_objective
from crossloss.run.run import Run
from crossloss.validation.metasmoothness import metasmoothness
from crossloss.validation.smoothness import SMOOTH, Response, Smoothness
from crossloss.validation.subsets import random_subsets

N = 24
TRAINED = [column for column in COLUMNS if column.name not in IMPORTS]


def field(activation=nn.Tanh, batch_size=None):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=draw, dtype=torch.float64)
    y = (x.sum(1) > 0).long()
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 6), activation(), nn.Linear(6, 2)).double()
    data = {"x": x, "y": y}
    return cl.TorchField(
        model, lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), data, batch_size=batch_size
    )


def held_out(view):
    x = torch.tensor([[0.5, 0.1, -0.3], [1.0, -1.0, 0.2]], dtype=torch.float64)
    return F.cross_entropy(view(x), torch.tensor([1, 0]))


def linear():
    """A run that is linear in the weights: constant gradients."""
    x = torch.randn(N, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = nn.Linear(3, 1, bias=False).double()
    return cl.TorchField(model, lambda out, batch: out[:, 0], x)


def test_by_hand():
    zero = torch.zeros(3)
    once, twice = torch.tensor([1.0, 1.0, -2.0]), torch.tensor([3.0, 0.5, -4.0])
    # signs agree in the first and third; ranges 3, .5, 4
    assert metasmoothness(zero, once, twice) == pytest.approx((3 - 0.5 + 4) / 7.5)
    with pytest.raises(UserError, match="move no parameter"):
        metasmoothness(zero, zero, zero)


@pytest.mark.parametrize("column", TRAINED, ids=lambda c: c.name)
def test_every_model_has_its_definition(column, tmp_path):
    run, objective = column.run(tmp_path), as_objective(column.objective)
    found = cl.smoothness(run, [column.objective], draws=2, subsets=4, share=0.2, step=0.1)
    expected, first, second = [], [], []
    for rows in random_subsets(run.weights, share=0.2, count=2, seed=0):
        v = np.zeros(len(run.weights))
        v[rows] = -run.weights[rows]
        once, twice = (run.retrain(run.weights + h * v) for h in (0.1, 0.2))
        a, b, c = (r.theta.double().numpy() for r in (run, once, twice))
        d = np.abs(c - a)
        expected.append(np.sign(b - a) @ np.diag(d / d.sum()) @ np.sign(c - b))
        values = [float(objective(r.view)) for r in (run, once, twice)]
        first.append(values[1] - values[0])
        second.append(values[2] - values[1])
    response = found.objectives[objective.name]
    np.testing.assert_allclose(found.values, expected, rtol=1e-9)
    np.testing.assert_allclose(response.first, first, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(response.second, second, rtol=1e-7, atol=1e-12)
    assert response.retrained[:2] == response.first
    scores = cl.score(run, [column.objective]).of()
    rows = random_subsets(run.weights, share=0.2, count=4, seed=0)
    np.testing.assert_allclose(response.predicted, [-0.1 * (scores * run.weights)[r].sum() for r in rows], rtol=1e-9)
    assert response.fidelity.pearson == pytest.approx(np.corrcoef(response.predicted, response.retrained)[0, 1])


def test_a_run_that_is_linear_in_the_weights_is_smooth_and_predicted():
    def total(view):
        return view["weight"].sum()

    run = cl.train(linear(), cl.SGD(0.1), steps=5)
    found = cl.smoothness(run, [total], subsets=5)
    assert found.values == [1.0] * 3
    response = found.objectives["total"]
    assert response.bend == pytest.approx(0, abs=1e-9)
    assert response.fidelity.pearson == pytest.approx(1)
    assert response.fidelity.slope == pytest.approx(1)
    assert found.holds
    assert "Scores can hold" in found.verdict()


def test_the_bend_is_the_square_term_by_the_linear_one():
    """f = a h + c h^2 has 2 c h^2 between its changes, of 2 a h + 4 c h^2 in all."""
    a, c, h = 3.0, 2.0, 0.1
    response = Response([a * h + c * h**2], [a * h + 3 * c * h**2])
    assert response.bend == pytest.approx(2 * c * h**2 / (2 * a * h + 4 * c * h**2))


def test_sign_steps_are_rougher_than_steps_of_the_gradients_size():
    """Adam at eps 1e-12 and a large rate on ReLU against the same at eps 1e-1."""
    rough = cl.train(field(nn.ReLU, 4), cl.Adam(0.1, eps=1e-12), steps=60)
    smooth = cl.train(field(nn.Tanh, 4), cl.Adam(0.1, eps=1e-1), steps=60)
    rough, smooth = (cl.smoothness(run, [held_out], subsets=6, share=0.2) for run in (rough, smooth))
    assert rough.mean < SMOOTH < smooth.mean
    assert smooth.objectives["held_out"].fidelity.pearson > 0.95
    assert rough.holds is False
    sentence = rough.summary()[-1]
    assert "will not hold" in sentence
    assert "eps 0.001 in place of 1e-12" in sentence
    assert "in place of ReLU" in sentence
    assert not any("ReLU" in line or "1e-12" in line for line in smooth.summary())


def test_advice_is_of_what_the_run_has():
    small = cl.train(field(batch_size=2), cl.SGD(0.1), steps=60)
    advice = cl.smoothness(small, draws=1).advice
    assert advice == ["take batches larger than 2"]
    rising = cl.train(field(), cl.Adam(lambda t: 0.01 * min(1, (t + 1) / 10)), steps=60)
    advice = cl.smoothness(rising, draws=1).advice
    assert len(advice) == 1
    assert "eps 0.001 in place of 1e-08" in advice[0]
    few = cl.train(field(), cl.SGD(0.1), steps=3)
    assert cl.smoothness(few, draws=1).advice == ["take more than 3 steps, with a smaller learning rate"]


def test_nothing_is_trained_twice_and_the_report_shows_it(tmp_path, monkeypatch):
    with cl.train(field(), cl.SGD(0.3), steps=10, out=tmp_path / "run") as run:
        retrain, calls = Run.retrain, []
        monkeypatch.setattr(Run, "retrain", lambda self, *a, **k: calls.append(1) or retrain(self, *a, **k))
        scores = cl.score(run, [held_out])
        found = cl.smoothness(run, draws=2, subsets=5)  # of those scored last
        assert list(found.objectives) == ["held_out"]
        assert len(calls) == 2 * 2 + 3
        assert cl.smoothness(run, [held_out], draws=2, subsets=5) == found
        assert len(calls) == 7
        assert run.store.metrics["smoothness.score"] == pytest.approx(found.mean)
        assert run.store.metrics["smoothness.held_out.slope"] == pytest.approx(
            found.objectives["held_out"].fidelity.slope
        )
        assert Smoothness.from_json(found.to_json()) == found
        assert scores.names == ["held_out"]
    with cl.load(tmp_path / "run", field()) as again:
        cl.score(again, [held_out])
        page = cl.report(again).read_text(encoding="utf-8")
    assert f"Metasmoothness {found.mean:.2f}"[:17] in page
    assert found.verdict()[:40] in page


def test_without_objectives_nothing_is_scored():
    run = cl.train(field(), cl.SGD(0.3), steps=10)
    found = cl.smoothness(run, draws=1)
    assert found.objectives == {}
    assert found.holds is None
    assert len(found.summary()) == 2


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"draws": 0}, "draws is 0"),
        ({"draws": 1.5}, "draws is 1.5"),
        ({"subsets": 2}, "three or more"),
        ({"step": 0.6}, "step is 0.6"),
        ({"step": float("nan")}, "step is nan"),
        ({"share": 1.0}, "between 0 and 1"),
    ],
)
def test_numbers_out_of_range_are_refused(more, says):
    run = cl.train(field(), cl.SGD(0.3), steps=2)
    with pytest.raises(UserError, match=says):
        cl.smoothness(run, **more)


def test_an_imported_model_is_refused_in_one_sentence():
    with pytest.raises(UserError, match="trained elsewhere") as caught:
        cl.smoothness(cl.imported(field()), [held_out])
    assert ". " not in str(caught.value)
