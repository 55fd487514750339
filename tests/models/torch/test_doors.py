"""What is passed to a torch field and means something else: numbers that are not finite, models from outside, draws."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.torch.module import WeightNorm

N, F64 = 16, torch.float64
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
Y = (X.sum(1) > 0).long()


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def entropy(out, batch):
    return F.cross_entropy(out, batch["y"], reduction="none")


def held_out(view):
    return F.cross_entropy(view(X[:4]), 1 - Y[:4])


def field(model=None, loss=entropy, x=X, y=Y, **more):
    return cl.TorchField(net() if model is None else model, loss, {"x": x, "y": y}, **more)


def train(made, **more):
    return cl.train(made, cl.SGD(0.1), steps=3, **more)


# --- not finite


def changed(tensor, sample, value):
    other = tensor.clone()
    other[sample] = value
    return other


def log_of_zero(out, batch):
    return torch.log((out[:, 1] ** 2 + 1) * (batch["x"][:, 0] != X[5, 0]))


def root_of_zero(out, batch):
    return ((out[:, 1] ** 2 + 1) * (batch["x"][:, 0] != X[6, 0])).sqrt()


class Overflowing(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, x):
        return self.inner(x) * (1 + 1e200 * (x[:, :1] == X[7, 0]).double()) ** 2


def with_parameter(value):
    model = net()
    with torch.no_grad():
        model[0].bias[1] = value
    return model


NOT_FINITE = {
    "nan in x": (lambda: field(x=changed(X, 4, torch.nan)), "loss of sample 4 is nan: 'x' holds nan"),
    "inf in x": (lambda: field(x=changed(X, (9, 1), torch.inf)), "sample 9 is nan.*: 'x' holds inf|sample 9"),
    "many": (lambda: field(x=changed(X, slice(2, 5), torch.nan)), r"sample 2 is nan \(and of 2 more\)"),
    "a tuple": (
        lambda: cl.TorchField(net(), lambda out, b: F.mse_loss(out, b[1], reduction="none").sum(1),
                              (X, changed(X[:, :2], 3, torch.nan))),
        "part 1 holds nan",
    ),
    "a tensor": (
        lambda: cl.TorchField(net(), lambda out, b: out.square().sum(1), changed(X, 0, torch.nan)), "the data holds nan"
    ),
    "nested": (
        lambda: cl.TorchField(net(), lambda out, b: out.sum(1), {"x": X, "more": {"t": changed(X, 1, torch.nan)}},
                              forward=lambda m, b: m(b["x"]) * b["more"]["t"][:, :1]),
        "'more' 't' holds nan",
    ),
    "the model's output": (lambda: field(Overflowing()), "sample 7 is .*the model's output is not"),
    "the loss": (lambda: field(loss=log_of_zero), "sample 5 is -inf: its data and the model's output are finite"),
    "the gradient": (lambda: field(loss=root_of_zero), "loss of sample 6 is 0, but its gradient is not finite"),
    "a parameter": (lambda: field(with_parameter(torch.nan)), "'0.bias' of the model is not finite"),
    "the regulariser": (
        lambda: field(regulariser=lambda v: torch.log(0 * v["0.bias"].square().sum())), "regulariser is -inf"
    ),
    "frozen": (
        lambda: field(loss=lambda out, b, p: (out * p).sum(1),
                      frozen=lambda m, w: torch.where(X[:, :1] == X[3, 0], torch.nan, m(X))),
        "sample 3 is nan: what frozen= returns",
    ),
}  # fmt: skip


@pytest.mark.parametrize("batches", [{}, {"batch_size": 4}], ids=["whole", "mini-batches"])
@pytest.mark.parametrize("case", NOT_FINITE)
def test_the_sample_and_the_cause_are_named(case, batches):
    make, message = NOT_FINITE[case]
    made = make()
    if batches and ("data" in message or case in ("the loss", "the gradient", "the model's output", "frozen")):
        made = made.ordered(torch.arange(N).view(4, 4))
    with pytest.raises(UserError, match=message) as caught:
        train(made)
    assert "\n" not in str(caught.value)
    assert "detached" not in str(caught.value)


def test_a_model_trained_elsewhere_too():
    with pytest.raises(UserError, match="sample 4 is nan"):
        cl.imported(field(x=changed(X, 4, torch.nan)))


def test_nan_that_the_loss_leaves_out_is_no_fault():
    """Labels that are missing are masked by many losses."""
    y = torch.where(torch.arange(N) < 3, torch.nan, X[:, 0])

    def masked(out, batch):
        return torch.where(batch["y"].isnan(), 0.0, (out[:, 0] - batch["y"].nan_to_num()) ** 2)

    scores = cl.score(train(field(loss=masked, y=y)), [held_out]).of()
    assert (scores[:3] == 0).all()
    assert (scores[3:] != 0).all()


# --- second derivatives


def normed(**more):
    torch.manual_seed(2)
    layers = nn.Linear(3, 4), nn.Linear(4, 2)
    return nn.Sequential(*(nn.utils.parametrizations.weight_norm(layer, **more) for layer in layers)).double()


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_is_differentiated_twice(dim):
    """Against differences of retraining; torch's own operator has a wrong second derivative."""
    run = train(field(normed(dim=dim)))
    torch.testing.assert_close(run.view(X), normed(dim=dim)(X), atol=0.5, rtol=1)
    scores, step = cl.score(run, [held_out]).of(), 1e-4
    for sample in (0, 7):
        ends = []
        for sign in (1, -1):
            w = run.weights
            w[sample] += sign * step
            ends.append(float(held_out(run.retrain(w).view)))
        assert scores[sample] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_an_operator_with_a_wrong_second_derivative_is_not_called_detached(monkeypatch):
    """Torch's own weight norm, put back."""
    monkeypatch.setattr(WeightNorm, "forward", nn.utils.parametrizations._WeightNorm.forward)
    with pytest.raises(UserError, match="wrong second derivative") as caught:
        train(field(normed()))
    assert "detached" not in str(caught.value)


def test_the_old_weight_norm_is_named():
    model = nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 2))).double()
    with pytest.raises(UserError, match=r"'0' has torch\.nn\.utils\.weight_norm"):
        field(model)


# --- a model from outside


OUTER = net()
OTHER = net()
FROM_OUTSIDE = {
    "loss": lambda: field(OUTER, lambda out, b: entropy(OUTER(b["x"]), b)),
    "loss of a copy": lambda: field(OUTER, lambda out, b: entropy(OTHER(b["x"]), b)),
    "loss in part": lambda: field(OUTER, lambda out, b: entropy(out, b) + OUTER[0].weight.square().sum()),
    "loss without gradients": lambda: field(OUTER, lambda out, b: entropy(OUTER(b["x"]).detach(), b)),
    "forward": lambda: field(OUTER, forward=lambda model, b: OUTER(b["x"])),
    "regulariser": lambda: field(OUTER, regulariser=lambda view: sum(p.square().sum() for p in OUTER.parameters())),
    "regulariser of a copy": lambda: field(OUTER, regulariser=lambda view: OTHER[0].weight.square().sum()),
    "frozen": lambda: field(
        OUTER, lambda out, b, p: (out - p).square().sum(1), frozen=lambda m, w: OUTER(X).softmax(1)
    ),
    "frozen of a copy": lambda: field(
        OUTER, lambda out, b, p: (out - p).square().sum(1), frozen=lambda m, w: OTHER(X).detach()
    ),
}


@pytest.mark.parametrize("case", FROM_OUTSIDE)
def test_what_is_computed_from_a_model_outside_is_refused(case):
    with pytest.raises(UserError, match=r"from outside|does not depend on the parameters") as caught:
        train(FROM_OUTSIDE[case]())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "objective",
    [
        lambda view: F.cross_entropy(OUTER(X), Y),
        lambda view: F.cross_entropy(OTHER(X), Y),
        lambda view: (view(X) - OUTER(X)).square().mean(),
        lambda view: OUTER[0].weight.square().sum(),
    ],
)
@pytest.mark.parametrize("estimator", ["unrolled", "gradient-dot", "inverse-hessian"])
def test_an_objective_of_a_model_outside_is_refused(objective, estimator):
    run = train(field(OUTER))
    with pytest.raises(UserError, match=r"Objective objective .*(from outside|does not depend)"):
        cl.score(run, [objective], estimator, damping=0.1 * (estimator == "inverse-hessian"))


def test_each_of_a_model_outside_is_refused():
    with pytest.raises(UserError, match="from outside"):
        cl.score(train(field(OUTER)), cl.objectives.each(lambda view, x: OUTER(x)[:, 0], X))


def test_constants_from_outside_are_allowed():
    """How far the model moved from where it began; a probe that was trained before."""
    start, probe = copy.deepcopy(OUTER), nn.Linear(2, 1).double()
    run = train(field(OUTER, regulariser=lambda v: (v["0.weight"] - OUTER[0].weight.detach()).square().sum()))
    moved = cl.score(run, [lambda v: (v(X) - OUTER(X).detach()).square().mean(), lambda v: probe(v(X)).sum()][:1]).of()
    assert moved.any()
    assert cl.score(run, [lambda v: probe(v(X)).sum()]).of().any()
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), OUTER.parameters(), strict=True))


def test_an_objective_that_draws_is_refused():
    with pytest.raises(UserError, match="draws random numbers"):
        cl.score(train(field()), [lambda v: v(torch.randn(4, 3, dtype=F64)).sum()])


# --- draws in the data


class Noisy(Dataset):
    """Draws anew at every reading, from torch's, numpy's or a generator of its own."""

    def __init__(self, draw):
        self.draw = draw

    def __len__(self):
        return N

    def __getitem__(self, i):
        return X[i] + self.draw(), Y[i]


OWN = np.random.default_rng(0)
DRAWS = {
    "torch": lambda: torch.randn(3),
    "numpy": lambda: np.random.rand(),  # noqa: NPY002
    "its own": lambda: OWN.random(),
    "rarely": lambda: float(torch.rand(()) < 1e-9),
}


def by_place(out, batch):
    return F.cross_entropy(out, batch[1], reduction="none")


@pytest.mark.parametrize("draw", DRAWS)
def test_a_dataset_that_draws_is_refused(draw):
    for data in (Noisy(DRAWS[draw]), DataLoader(Noisy(DRAWS[draw]), batch_size=4)):
        with pytest.raises(UserError, match="draws at random"):
            cl.TorchField(net(), by_place, data)


def test_a_collate_function_that_masks_is_refused():
    def masked(samples):
        x, y = (torch.stack(part) for part in zip(*samples, strict=True))
        return torch.where(torch.rand(x.shape) < 0.3, 0.0, x), y

    with pytest.raises(UserError, match="masked words"):
        cl.TorchField(net(), by_place, DataLoader(TensorDataset(X, Y), batch_size=4, collate_fn=masked))


def test_what_is_the_same_every_time_is_read():
    def padded(samples):
        return tuple(torch.stack(part) for part in zip(*samples, strict=True))

    class Same(Noisy):
        def __getitem__(self, i):
            return X[i] + torch.randn(3, generator=torch.Generator().manual_seed(i)), Y[i]

    model = net()
    state = torch.get_rng_state()
    for data in (Same(None), DataLoader(Same(None), batch_size=4, collate_fn=padded)):
        assert cl.TorchField(model, by_place, data).samples == N
    assert torch.equal(state, torch.get_rng_state())


def test_samples_of_other_lengths_are_one_sentence():
    rows = [(torch.ones(i + 1), torch.tensor(0)) for i in range(3)]

    class Ragged(Noisy):
        def __getitem__(self, i):
            return rows[i % 3]

    with pytest.raises(UserError, match=r"do not make one batch .* collate_fn"):
        cl.TorchField(net(), by_place, Ragged(None))


# --- rows


MASKS = [torch.arange(N) % 2 == 0] * 3
NO_ORDER = {
    "masks": (MASKS, "batch of step 0 is a boolean mask"),
    "masks stacked": (torch.stack(MASKS), "boolean mask"),
    "one mask": (MASKS[0], "boolean mask"),
    "one list": ([0, 1, 2], "batch of step 0 is the single value 0"),
    "fractions": ([[0.0, 1.0]], "holds fractions"),
    "nested": ([[[0, 1], [2, 3]]], "shape"),
    "the data": (DataLoader(TensorDataset(X), batch_size=4), "order is a DataLoader"),
    "a text": ("012", "order is a str"),
    "a dict": ({0: [1]}, "order is a dict"),
    "a number": (3, "order is a int"),
    "negative": ([[0], [-1]], "batch of step 1 names row -1"),
    "beyond": ([[N]], f"rows are 0 to {N - 1}"),
}


@pytest.mark.parametrize("case", NO_ORDER)
def test_an_order_is_rows(case):
    order, message = NO_ORDER[case]
    with pytest.raises(UserError, match=message):
        field(order=order)


def test_orders_of_any_kind_are_the_same():
    rows = torch.arange(N).view(4, 4).flip(0)
    expected = train(field(order=rows.tolist())).theta
    for order in (rows, rows.numpy(), [tuple(r) for r in rows.tolist()], iter(rows), [r.int() for r in rows]):
        assert torch.equal(train(field(order=order)).theta, expected)


def test_a_recorder_takes_rows_and_no_mask():
    model = net()
    recorder = cl.Recorder(field(model), model, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(UserError, match="batch of step 0 is a boolean mask"):
        recorder.batch(MASKS[0])


def test_groups_are_rows_and_no_mask():
    scores = cl.score(train(field()), [held_out])
    assert scores.group(np.array([0, 2])) == pytest.approx(-scores.of()[[0, 2]].sum())
    for wrong in (np.arange(N) < 2, [True] * N, [-1], [0.0]):
        with pytest.raises(UserError, match="samples"):
            scores.group(wrong)


@pytest.mark.parametrize("weights", [MASKS[0], [-1.0] + [1.0] * (N - 1), np.ones((N, 1)), np.zeros(N), ["1"] * N])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(UserError, match=r"[Ww]eight"):
        train(field(), weights=weights)


def test_whole_numbers_are_weights_and_steps_are_whole():
    assert torch.equal(train(field(), weights=[2] * N).theta, train(field(), weights=np.full(N, 2.0)).theta)
    for steps in (2.0, True, "3"):
        with pytest.raises(UserError, match="whole number"):
            cl.train(field(), cl.SGD(0.1), steps=steps)


def test_other_arguments_are_what_they_should_be():
    run = train(field())
    scores = cl.score(run, [held_out])
    for call, message in (
        (lambda: cl.TorchField(lambda x: x, entropy, {"x": X, "y": Y}), "pass a torch.nn.Module"),
        (lambda: field(batch_size=4.0), "whole number"),
        (lambda: field(batch_size=True), "whole number"),
        (lambda: run.retrain(None, initial=torch.ones(2)), "parameters"),
        (lambda: cl.score(run, held_out), "a list of objectives"),
        (lambda: cl.score(run, "weat7"), "a list of objectives"),
        (lambda: scores.top(-1), "0 or more"),
        (lambda: scores.amplifiers("3"), "0 or more"),
        (lambda: scores.totals("x" * N), "one label for each sample"),
        (lambda: scores.totals(None), "one label for each sample"),
        (lambda: cl.plan(scores.of()), "made of scores"),
    ):
        with pytest.raises(UserError, match=message):
            call()
    assert scores.top(0) == []


def test_a_buffer_that_is_not_finite_is_named():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double().eval()
    model[1].running_mean[0] = torch.nan
    with pytest.raises(UserError, match=r"'1\.running_mean' of the model is not finite"):
        train(field(model))
