"""A small smooth field, the loop over it by torch.optim, and by autograd through the steps themselves."""

import torch

import small
from crossloss.core import result_of
from crossloss.estimators import unrolled
from crossloss.run.trajectory import MemoryStates, Training

F64 = torch.float64
SHAPES = [(2, 3), (4,), (2, 1)]
SLICES = [(0, 6), (6, 10), (10, 12)]
P, N, STEPS = 12, 5, 10


def field(seed=0, size=1.0, still=()):
    """Of 12 parameters and 5 samples; the parameters ``still`` have no gradient."""
    draw = torch.Generator().manual_seed(seed)
    a = torch.randn(N, P, P, generator=draw, dtype=F64) / P**0.5
    b = torch.randn(N, P, generator=draw, dtype=F64)
    moving = torch.ones(P, dtype=F64)
    moving[list(still)] = 0

    def g(theta, w, step):
        return size * moving * (w[:, None] * torch.tanh(a @ theta + b * (1 + 0.3 * step))).sum(0)

    return small.GivenField(g, N)


def start(seed=0):
    return torch.randn(P, generator=torch.Generator().manual_seed(100 + seed), dtype=F64)


def objectives(seed=0):
    """Three functions of theta in several directions."""
    d = torch.randn(3, P, generator=torch.Generator().manual_seed(200 + seed), dtype=F64)
    return [lambda theta, row=row: torch.sin(row @ theta) + (row * theta**2).sum() for row in d]


def trained(rule, on, seed=0, steps=STEPS, every=1, weights=None):
    w = torch.ones(N, dtype=F64) if weights is None else weights
    run = Training(on, rule, w, steps, start(seed), MemoryStates(), every)
    run.run_to_end()
    return run


def by_torch(on, make, before=None, seed=0, steps=STEPS, after=None):
    """Theta after every step of a loop: ``make(parameters)`` gives optimizers (and what is stepped after them)."""
    parameters = [
        torch.nn.Parameter(x.reshape(s).clone()) for x, s in zip(start(seed).split([6, 4, 2]), SHAPES, strict=True)
    ]
    steppers, w, thetas = make(parameters), torch.ones(N, dtype=F64), []
    for t in range(steps):
        theta = torch.cat([p.detach().reshape(-1) for p in parameters])
        g = on.gradient(theta, w, t)
        for p, part in zip(parameters, g.split([6, 4, 2]), strict=True):
            p.grad = part.reshape(p.shape).clone()
        if before:
            before(parameters)
        for stepper in steppers:
            stepper.step()
        if after:
            after(parameters)
        thetas.append(torch.cat([p.detach().reshape(-1) for p in parameters]))
    return torch.stack(thetas)


def ours(rule, on, seed=0, steps=STEPS):
    """Theta after every step by our rule; no step changes the state that it is given."""
    state, thetas = rule.init(start(seed)), []
    for t in range(steps):
        before = {name: x.clone() for name, x in state.items()}
        after = rule.step(state, on.gradient(state["theta"], torch.ones(N, dtype=F64), t), t)
        assert all(torch.equal(state[name], before[name]) for name in before)
        state = after
        thetas.append(state["theta"])
    return torch.stack(thetas)


def same_steps(rule, on, make, **more):
    found, expected = ours(rule, on), by_torch(on, make, **more)
    assert torch.isfinite(expected).all()
    assert (expected[-1] - expected[0]).abs().max() > 1e-3, "the loop moves"
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def exact(rule, on, seed=0, steps=STEPS, step=None):
    """Scores by autograd through the whole loop; the steps are checked against torch.optim."""
    w = torch.ones(N, dtype=F64, requires_grad=True)
    state = rule.init(start(seed))
    for t in range(steps):
        state = (step or rule.step)(state, on.g(state["theta"], w, t), t)
    end = state[result_of(rule)]
    return torch.stack([torch.autograd.grad(f(end), w, retain_graph=True)[0] for f in objectives(seed)])


def same_scores(rule, on, seed=0, step=None, every=3):
    found = unrolled(trained(rule, on, seed, every=every), objectives(seed)).samples()
    expected = exact(rule, on, seed, step=step)
    assert expected.abs().max() > 1e-3
    assert (found - expected).abs().max() <= 1e-9 * expected.abs().max()
