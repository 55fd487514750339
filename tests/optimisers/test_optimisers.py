"""Steps against torch.optim; adjoints against autograd through the loop and finite differences, zero gradients too."""

import numpy as np
import pytest
import torch

from crossloss.core import Field, Linearisation, UserError
from crossloss.estimators import unrolled
from crossloss.optimisers import SGD, Adam, AdamW, HeavyBall, MomentumWarmup
from crossloss.run.trajectory import MemoryStates, Training

F64 = torch.float64


def schedule(t):
    return 0.05 / (1 + 0.3 * t)


CASES = {
    "sgd": (SGD, {}),
    "sgd-decay": (SGD, {"weight_decay": 0.1}),
    "momentum": (SGD, {"momentum": 0.9}),
    "dampening": (SGD, {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.05}),
    "nesterov": (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "adam": (Adam, {"eps": 1e-3}),
    "adam-decay": (Adam, {"eps": 1e-2, "weight_decay": 0.2, "betas": (0.7, 0.95)}),
    "adam-default-eps": (Adam, {}),
    "adam-no-memory": (Adam, {"betas": (0.0, 0.0), "eps": 1e-2}),
    "adamw": (AdamW, {"eps": 1e-3}),
    "adamw-decay": (AdamW, {"eps": 1e-2, "weight_decay": 0.3}),
}
case = pytest.mark.parametrize(("rule", "options"), CASES.values(), ids=CASES)


@case
@pytest.mark.parametrize("lr", [0.05, schedule], ids=["constant", "schedule"])
@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=["float64", "float32"])
def test_steps_are_those_of_torch_optim(rule, options, lr, dtype):
    draw = torch.Generator().manual_seed(0)
    theta = torch.randn(6, generator=draw, dtype=F64).to(dtype)
    parameter = torch.nn.Parameter(theta.clone())
    first = lr(0) if callable(lr) else lr
    theirs = getattr(torch.optim, rule.__name__)([parameter], lr=first, **options)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        theirs, (lambda t: lr(t) / first) if callable(lr) else (lambda t: 1.0)
    )
    ours = rule(lr, **options)
    state = ours.init(theta)
    for t in range(20):
        g = torch.randn(6, generator=draw, dtype=F64).to(dtype)
        g[0] = 0.0
        if t % 3:
            g[1] = 0.0
        before = {name: tensor.clone() for name, tensor in state.items()}
        after = ours.step(state, g, t)
        assert all(torch.equal(state[name], before[name]) for name in before), "the given state is left as it was"
        state, parameter.grad = after, g.clone()
        theirs.step()
        scheduler.step()
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(state["theta"], parameter.detach(), rtol=20 * eps, atol=20 * eps)


class Zeros(Field):
    """A field of 5 parameters and 4 samples whose gradient is exactly zero, with a derivative, where w = 1.

    Parameter 0 always moves; 1 has zero gradient at every step; 2 moves at every third step and has zero gradient
    at the others; 3 enters nothing; 4 moves at the first step only.
    """

    def gradient_of(self, theta, w, step):
        moving = (w * torch.tensor([1.0, -0.5, 0.7, 0.4], dtype=F64)).sum() * torch.cos(theta[0]) + theta[0] * theta[2]
        still = (w[0] - w[1]) * (1 + theta[0] ** 2)
        sometimes = (w[2] * (0.3 + theta[2] * theta[0])) if step % 3 == 1 else (w[2] - w[3]) * torch.exp(theta[2])
        once = w[1] * torch.sin(1 + theta[4]) if step == 0 else 0 * theta[4]
        return torch.stack([moving, still, sometimes, 0 * theta[3], once])

    def gradient(self, theta, w, step):
        return self.gradient_of(theta, w, step).detach()

    def at(self, theta, w, step):
        return ZerosPoint(self, theta, w, step)

    def accumulator(self, k):
        return Sums(k)

    def view(self, theta):
        return theta


class ZerosPoint(Linearisation):
    def pullback(self, a, into):
        theta, w = self.theta.clone().requires_grad_(), self.w.clone().requires_grad_()
        g = self.field.gradient_of(theta, w, self.step)
        rows = [torch.autograd.grad(g, (theta, w), row, retain_graph=True, materialize_grads=True) for row in a]
        into.sums += torch.stack([r[1] for r in rows])
        return torch.stack([r[0] for r in rows])


class Sums:
    def __init__(self, k):
        self.sums = torch.zeros(k, 4, dtype=F64)

    def samples(self):
        return self.sums

    def tensors(self):
        return {"sums": self.sums}


class Objective:
    def __init__(self, name, function):
        self.name, self.function = name, function

    def __call__(self, theta):
        return self.function(theta)


OBJECTIVES = [
    Objective("all", lambda theta: torch.sin(theta).sum() + theta[0] * theta[2]),
    Objective("still", lambda theta: theta[1] + theta[3] ** 2),
]
START = torch.tensor([0.2, -0.4, 0.5, 0.3, 0.1], dtype=F64)


def by_autograd(rule, w, steps, root):
    """Theta after training, through update rules written from their papers; ``root`` is the square root of v."""
    theta, lr = START.clone().requires_grad_(), rule.lr
    b = m = v = torch.zeros(5, dtype=F64)
    for t in range(steps):
        g, rate = Zeros().gradient_of(theta, w, t), lr(t) if callable(lr) else lr
        decay = rule.weight_decay
        if isinstance(rule, SGD):
            g = g + decay * theta
            b = g if t == 0 else rule.momentum * b + (1 - rule.dampening) * g
            theta = theta - rate * (g + rule.momentum * b if rule.nesterov else b if rule.momentum else g)
            continue
        if isinstance(rule, AdamW):
            theta = theta - rate * decay * theta
        else:
            g = g + decay * theta
        m = rule.betas[0] * m + (1 - rule.betas[0]) * g
        v = rule.betas[1] * v + (1 - rule.betas[1]) * g**2
        corrected = m / (1 - rule.betas[0] ** (t + 1))
        theta = theta - rate * corrected / (root(v / (1 - rule.betas[1] ** (t + 1))) + rule.eps)
    return theta


def safe_root(v):
    return torch.where(v > 0, torch.where(v > 0, v, torch.ones_like(v)).sqrt(), torch.zeros_like(v))


def exact(rule, steps, root=safe_root):
    w = torch.ones(4, dtype=F64, requires_grad=True)
    theta = by_autograd(rule, w, steps, root)
    return torch.stack([torch.autograd.grad(o(theta), w, retain_graph=True)[0] for o in OBJECTIVES])


def trained(rule, steps=9, every=1):
    run = Training(Zeros(), rule, torch.ones(4, dtype=F64), steps, START.clone(), MemoryStates(), every)
    run.run_to_end()
    return run


@case
@pytest.mark.parametrize("lr", [0.05, schedule], ids=["constant", "schedule"])
@pytest.mark.parametrize("every", [1, 4])
def test_adjoints_equal_autograd_through_the_loop(rule, options, lr, every):
    rule = rule(lr, **options)
    scores, found = unrolled(trained(rule, every=every), OBJECTIVES).samples(), exact(rule, 9)
    assert torch.isfinite(scores).all()
    assert (scores - found).abs().max() <= 1e-11 * found.abs().max()
    assert found[1].abs().max() > 1e-3, "the parameter whose gradient is always zero depends on the weights"


@case
def test_adjoints_equal_finite_differences_of_retraining(rule, options):
    rule = rule(schedule, **options)
    scores, h = unrolled(trained(rule), OBJECTIVES).samples(), 1e-6 * (1 if isinstance(rule, SGD) else rule.eps)
    for i in range(4):
        values, weights = [], []
        for sign in (1, -1):
            w = torch.ones(4, dtype=F64)
            w[i] += sign * h
            weights.append(float(w[i]))  # 1 + h is rounded
            state = rule.init(START)
            for t in range(9):
                state = rule.step(state, Zeros().gradient(state["theta"], w, t), t)
            values.append(state["theta"])
        for j, objective in enumerate(OBJECTIVES):
            slope = float(objective(values[0]) - objective(values[1])) / (weights[0] - weights[1])
            # theta is rounded to 1e-16, which h divides
            assert slope == pytest.approx(float(scores[j, i]), rel=1e-4, abs=1e-14 / h)


def test_a_plain_adam_step_has_no_derivative_at_v_0():
    """Why the adjoint is written out: autograd through the textbook step gives nan."""
    assert torch.isnan(exact(Adam(0.05, eps=1e-3), 3, root=torch.sqrt)).any()


class ForgetsV(Adam):
    def adjoint(self, state, t, bar):
        bar, a = super().adjoint(state, t, bar)
        return bar | {"v": torch.zeros_like(a)}, a


class CountsFromOne(Adam):
    def adjoint(self, state, t, bar):
        return super().adjoint(state, t + 1, bar)


class StaleGradient(Adam):
    def adjoint(self, state, t, bar):
        return super().adjoint(state | {"gradient": state["m"]}, t, bar)


class UndampenedFirst(SGD):
    def _share(self, t):
        return 1 - self.dampening


@pytest.mark.parametrize(
    "fault",
    [ForgetsV(0.05, eps=1e-3), CountsFromOne(0.05, eps=1e-3), StaleGradient(0.05, eps=1e-3)],
    ids=lambda rule: type(rule).__name__,
)
def test_an_injected_fault_is_caught(fault):
    scores, found = unrolled(trained(fault), OBJECTIVES).samples(), exact(fault, 9)
    assert (scores - found).abs().max() > 1e-3 * found.abs().max()


def test_dampening_of_the_first_step_is_caught():
    fault = UndampenedFirst(0.05, momentum=0.9, dampening=0.5)
    found = exact(fault, 9)
    assert (unrolled(trained(fault), OBJECTIVES).samples() - found).abs().max() > 1e-3 * found.abs().max()


def test_heavy_ball_is_sgd_with_momentum():
    ball = HeavyBall(torch.full((5,), 0.05, dtype=F64), 0.9)
    a, b = trained(ball), trained(SGD(0.05, momentum=0.9))
    torch.testing.assert_close(a.theta, b.theta, rtol=1e-14, atol=1e-15)
    scores = [unrolled(run, OBJECTIVES).samples() for run in (a, b)]
    torch.testing.assert_close(*scores, rtol=1e-12, atol=1e-14)


def test_stored_states_are_what_the_adjoint_needs_and_no_more():
    for rule, names in (
        (SGD(0.1), {"theta"}),
        (SGD(0.1, momentum=0.9), {"theta"}),
        (Adam(0.1), {"theta", "gradient", "m", "v"}),
    ):
        assert all(set(state) == names for _, state in trained(rule).backwards(9))


def test_tiny_gradients_in_float32_leave_the_adjoint_finite():
    rule = Adam(0.1)
    g = torch.tensor([1e-30, 1e-22, 0.0, 1e-8], dtype=torch.float32)
    state = rule.step(rule.init(torch.zeros(4)), g, 0)
    bar = {name: torch.ones(2, 4) for name in state}
    bar, a = rule.adjoint(state | {"gradient": g}, 1, bar)
    assert all(torch.isfinite(t).all() for t in (a, *bar.values()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(-1),
        lambda: SGD(float("nan")),
        lambda: SGD(0.1, nesterov=True),
        lambda: SGD(0.1, momentum=-0.1),
        lambda: Adam(0.1, eps=0.0),
        lambda: Adam(0.1, betas=(0.9, 1.0)),
        lambda: AdamW(0.1, weight_decay=-1),
    ],
)
def test_settings_out_of_range_are_one_sentence(make):
    with pytest.raises(UserError, match="needs"):
        make()


def test_numbers_of_steps_change_the_score():
    """A check that can fail: the score of a run of other length is another."""
    a, b = (unrolled(trained(Adam(0.05, eps=1e-2), steps), OBJECTIVES).samples().numpy() for steps in (9, 8))
    assert np.abs(a - b).max() > 1e-3 * np.abs(a).max()


def test_momentum_rises_in_a_line():
    beta = MomentumWarmup(0.8)
    assert [beta(t) for t in (0, 10, 20, 1000)] == pytest.approx([0.5, 0.65, 0.8, 0.8])
    assert {MomentumWarmup(0.3)(t) for t in (0, 5, 50)} == {0.3}
