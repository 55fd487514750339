"""Coupled losses (deep embedded clustering): a target that is recomputed and not differentiated, and the check."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_reference as reference
from torch import nn
from torch_models import F64, N, cross_entropy, make, mlp, penalty

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.torch import check as check_module

STEPS = 6
CENTRES = torch.tensor([[0.0, 1.0], [1.0, -0.5], [-1.0, -0.5]], dtype=F64)


def encoder():
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(2, 5), nn.GELU(), nn.Linear(5, 2)).double()


@pytest.fixture
def x():
    return torch.randn(N, 2, generator=torch.Generator().manual_seed(1), dtype=F64)


def assignment(z):
    """Student-t similarity to the centres, (n, 3) (Xie et al. 2016 Eq. 1)."""
    q = 1 / (1 + ((z[:, None] - CENTRES.to(z)) ** 2).sum(2))
    return q / q.sum(1, keepdim=True)


def target(q, w):
    """q^2 over the weighted cluster masses, normalised (Xie et al. 2016 Eq. 3)."""
    p = q**2 / (w[:, None] * q).sum(0)
    return p / p.sum(1, keepdim=True)


def divergence(out, batch, p):
    return (p * (p / assignment(out)).log()).sum(1)


def objective(view):
    return -assignment(view(torch.tensor([[0.3, 0.2], [1.0, -1.0]], dtype=F64)))[:, 0].log().sum()


def dec(x, **more):
    options = {"frozen": lambda model, w: target(assignment(model(x.to(w))), w)} | more
    return cl.TorchField(encoder(), divergence, x, **options)


OPTIONS = {
    "full batch": {},
    "mini-batches": {"order": [[0, 1, 2, 5], [3, 4], [6, 7, 8], [9, 10, 11, 0], [2, 2, 4], [8, 1]]},
    "regularised": {"regulariser": penalty},
    "chunks": {"chunk": 5},
}


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_scores_of_a_coupled_loss_equal_autograd_through_the_loop(kind, momentum, x):
    options, module = OPTIONS[kind], encoder()
    w = torch.ones(N, dtype=F64, requires_grad=True)
    parameters = reference.trained(
        module,
        lambda run, rows: run(x[rows]),
        lambda out, rows, p: divergence(out, None, p),
        N,
        w,
        steps=STEPS,
        batches=options.get("order"),
        rule=lambda *args: reference.sgd(*args, lr=0.5, momentum=momentum),
        penalty=options.get("regulariser"),
        frozen=lambda run, w: target(assignment(run(x)), w),
    )
    (exact,) = torch.autograd.grad(objective(reference.at(module, parameters)), w)
    run = cl.train(dec(x, **options), cl.SGD(0.5, momentum=momentum), steps=STEPS)
    found = cl.score(run, [objective]).samples[0]
    assert np.abs(found - exact.numpy()).max() < 1e-9 * exact.abs().max()


def test_scores_of_a_coupled_loss_equal_finite_differences_of_retraining(x):
    run = cl.train(dec(x), cl.SGD(0.5), steps=STEPS)
    scores, h = cl.score(run, [objective]).samples[0], 1e-4
    for i in range(N):
        w = torch.ones(N, dtype=F64)
        values = []
        for sign in (1, -1):
            w[i] = 1 + sign * h
            values.append(float(objective(run.retrain(w).view)))
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(scores[i], rel=1e-5, abs=1e-6 * np.abs(scores).max())


def jacobian(field, w):
    eye = torch.eye(len(field.initial), dtype=F64)
    return field.at(field.initial, w, 0).pullback(eye, field.accumulator(len(eye)))


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_coupled_field_linearised_at_a_point_is_its_pullback_there(kind, x):
    field = dec(x, **OPTIONS[kind])
    w = torch.linspace(0.5, 1.5, len(x), dtype=F64)
    at = field.at(field.initial, w, 0)
    for k in (2, 3):
        a = torch.randn(k, len(field.initial), dtype=F64)
        mine, own = field.accumulator(k), field.accumulator(k)
        torch.testing.assert_close(at.pullback(a, mine), field.at(field.initial, w, 0).pullback(a, own))
        torch.testing.assert_close(mine.samples(), own.samples())


def test_the_jacobian_of_a_coupled_loss_is_not_symmetric_and_that_of_a_plain_one_is(x):
    w = torch.rand(N, dtype=F64) + 0.5
    coupled = jacobian(dec(x), w)
    assert (coupled - coupled.T).norm() > 1e-2 * coupled.norm()
    plain = cl.TorchField(encoder(), lambda out, b: assignment(out)[:, 0].log() ** 2, x)
    plain = jacobian(plain, w)
    assert (plain - plain.T).norm() < 1e-12 * plain.norm()


def detached_theta(x):
    def loss(out, batch):
        q = assignment(out)
        p = target(q.detach(), torch.ones(len(out)).to(out))
        return (p * (p / q).log()).sum(1)

    return cl.TorchField(encoder(), loss, x)


def detached_in_frozen(x):
    return dec(x, frozen=lambda model, w: target(assignment(model(x.to(w))).detach(), w))


def detached_weights(x):
    return dec(x, frozen=lambda model, w: target(assignment(model(x.to(w))), w.detach()))


def slightly_detached(x):
    def loss(out, batch):
        return (out**2).sum(1) + 1e-2 * out[:, 0].detach() * out[:, 1]

    return cl.TorchField(encoder(), loss, x)


@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(
    ("make", "of"),
    [
        (detached_in_frozen, "parameters"),
        (detached_weights, "sample weights"),
        (slightly_detached, "parameters"),
    ],
)
def test_the_check_catches_a_detach(make, of, dtype, x):
    field = make(x.to(dtype))
    field._place(field.module.to(dtype))
    with pytest.raises(UserError, match=f"depends on the {of} in a way") as caught:
        cl.train(field, cl.SGD(0.1), steps=2)
    assert "frozen=" in str(caught.value)


def test_the_check_catches_a_detached_target_of_the_batch(x):
    with pytest.raises(UserError, match="frozen="):
        cl.train(detached_theta(x), cl.SGD(0.1), steps=2)


def test_the_check_catches_samples_that_are_mixed(x):
    field = cl.TorchField(encoder(), lambda out, b: ((out - out.mean(0)) ** 2).sum(1), x)
    with pytest.raises(UserError, match="other samples of its batch"):
        cl.train(field, cl.SGD(0.1), steps=2)


@pytest.mark.parametrize("wrong", range(6))
def test_most_directions_must_agree(wrong, monkeypatch, x):
    compared = []

    def compare(field, at, theta, w, seed):
        compared.append(seed)
        return "parameters" if seed < wrong else None

    monkeypatch.setattr(check_module, "_compare", compare)
    field = dec(x)
    if wrong > 2:
        with pytest.raises(UserError, match="depends on the parameters"):
            cl.check_field(field, field.initial, torch.ones(N))
    else:
        cl.check_field(field, field.initial, torch.ones(N))
    assert len(compared) == (2, 4, 5, 3, 3, 3)[wrong], "as many as decide it: two alone, or most of five"


def test_attention_is_differentiated_twice_in_a_regulariser_too():
    case = make("transformer")
    field = cl.TorchField(
        case.model, cross_entropy, (case.x, case.y), regulariser=lambda view: view(case.x).square().mean()
    )
    cl.check_field(field, field.initial, torch.rand(N, dtype=F64) + 0.5)


def test_a_check_leaves_the_users_generator_alone(x):
    field, state = dec(x), torch.get_rng_state()
    cl.check_field(field, field.initial, torch.ones(N))
    assert torch.equal(torch.get_rng_state(), state)


def without_frozen_in_the_pullback(x):
    field = dec(x)

    def faulty(theta, w, step):
        constant = copy.copy(field)
        with torch.no_grad():
            p = field.frozen(field.view(theta), w)
        constant.frozen = lambda model, w: p
        return type(field).at(constant, theta, w, step)

    field.at = faulty
    return field


def test_a_target_taken_as_constant_by_the_derivative_is_caught(x):
    """The published code's influence: P constant. The check refuses it, and its scores are others."""
    field = without_frozen_in_the_pullback(x)
    with pytest.raises(UserError, match="depends on the parameters"):
        cl.train(field, cl.SGD(0.5), steps=2)


class Held(nn.Module):
    """A loss with class weights of its own dtype: it cannot be checked in float64 where it is float32."""

    def __init__(self, dtype):
        super().__init__()
        self.mix = torch.rand(3, 3, dtype=dtype)

    def forward(self, out, batch):
        return F.cross_entropy(out @ self.mix, batch[1], reduction="none")


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU, nn.Tanh])
@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=["float64", "float32"])
def test_the_check_passes_what_is_right(activation, dtype, x):
    """Wide ReLU layers too, on many rows, whose kinks a difference crosses."""
    for seed in range(4):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 3))
        rows = torch.randn(1000, 4, dtype=dtype)
        for loss in (cross_entropy, Held(dtype)):
            field = cl.TorchField(model.to(dtype), loss, (rows, torch.arange(1000) % 3), regulariser=penalty)
            cl.check_field(field, field.initial, torch.rand(1000, dtype=F64))
    cl.check_field(dec(x), dec(x).initial, torch.ones(N, dtype=F64))
    cl.check_field(dec(x, order=[[3]]), dec(x).initial, torch.ones(N, dtype=F64))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU])
def test_a_detach_in_float32_that_cannot_be_checked_in_float64_is_caught(activation):
    for seed in range(4):
        torch.manual_seed(seed)
        held = Held(torch.float32)
        weight = lambda out, b, held=held: held(out, b) * out.detach().softmax(1)[:, 0]  # noqa: E731
        rows = torch.randn(1000, 4)
        field = cl.TorchField(mlp(activation), weight, (rows, torch.arange(1000) % 3))
        with pytest.raises(UserError, match="depends on the parameters"):
            cl.check_field(field, field.initial, torch.rand(1000))
