"""Each rule of torch.optim: the same steps, and scores that equal autograd through the whole loop."""

import itertools

import loops
import pytest
import torch

from crossloss.core import UserError
from crossloss.optimisers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ClipNorm,
    Muon,
    NAdam,
    ParameterGroups,
    RMSprop,
    from_dict,
    to_dict,
)

LR = 0.05
CASES = {
    "sgd": (SGD, {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    "adam": (Adam, {"eps": 1e-3, "amsgrad": True, "betas": (0.8, 0.7)}),
    "adam-decay": (Adam, {"amsgrad": True, "weight_decay": 0.2, "betas": (0.9, 0.5), "eps": 1e-2}),
    "adamw": (AdamW, {"eps": 1e-3, "amsgrad": True, "weight_decay": 0.3, "betas": (0.9, 0.6)}),
    "rmsprop": (RMSprop, {"eps": 1e-3}),
    "rmsprop-all": (RMSprop, {"eps": 1e-2, "alpha": 0.8, "weight_decay": 0.1, "momentum": 0.7, "centered": True}),
    "rmsprop-centered": (RMSprop, {"eps": 1e-2, "alpha": 0.9, "centered": True}),
    "rmsprop-momentum": (RMSprop, {"eps": 1e-2, "momentum": 0.9}),
    "adagrad": (Adagrad, {}),
    "adagrad-all": (
        Adagrad,
        {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-3},
    ),
    "nadam": (NAdam, {"eps": 1e-3}),
    "nadam-decay": (NAdam, {"eps": 1e-2, "weight_decay": 0.2, "betas": (0.8, 0.9), "momentum_decay": 0.05}),
    "nadam-decoupled": (NAdam, {"eps": 1e-2, "weight_decay": 0.2, "decoupled_weight_decay": True}),
}
case = pytest.mark.parametrize(("rule", "options"), CASES.values(), ids=CASES)


def schedule(t):
    return LR / (1 + 0.3 * t)


def scheduled(optimizer):
    return [optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: schedule(t) / LR)]


def theirs(rule, options):
    return lambda p: scheduled(getattr(torch.optim, rule.__name__)(p, lr=LR, **options))


@case
@pytest.mark.parametrize("scalars", [torch.float32, torch.float64])
def test_steps_are_those_of_torch_optim(rule, options, scalars):
    torch.set_default_dtype(scalars)  # NAdam's product of mu has this dtype
    try:
        loops.same_steps(rule(schedule, **options), loops.field(), theirs(rule, options))
    finally:
        torch.set_default_dtype(torch.float32)


@case
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_equal_autograd_through_the_loop(rule, options, seed):
    loops.same_scores(rule(schedule, **options), loops.field(seed), seed)


def test_amsgrad_has_steps_of_both_kinds():
    """A check of the cases above: v is the largest at some steps and not at others."""
    rule, on = AdamW(schedule, **CASES["adamw"][1]), loops.field()
    states = [s for _, s in loops.trained(rule, on).backwards(loops.STEPS)][:-1]
    below = torch.stack([s["v"] < s["v_max"] for s in states])
    assert 0.05 < below.double().mean() < 0.95


@case
def test_scores_where_gradients_are_zero_equal_finite_differences(rule, options):
    """The parameters 0 and 7 have a gradient at other weights only; it must be small beside eps."""
    rule, base = (
        rule(schedule, **({"eps": 1e-3} | options if "eps" in vars(rule) else options)),
        loops.field(3, still=(0, 7)),
    )
    extra = torch.zeros(loops.P, dtype=loops.F64)
    extra[[0, 7]] = torch.tensor([1.0, -2.0], dtype=loops.F64)
    on = loops.small.GivenField(lambda theta, w, t: base.g(theta, w, t) + extra * (w[0] - w[1]), loops.N)
    scores, ends = loops.unrolled(loops.trained(rule, on), loops.objectives()).samples(), []
    found, h = scores[:, 0] - scores[:, 1], 1e-7 * getattr(rule, "eps", 1.0)
    for sign in (1, -1):
        w = torch.ones(loops.N, dtype=loops.F64)
        w[0] += sign * h
        w[1] -= sign * h
        ends.append(loops.trained(rule, on, weights=w).theta)
    slope = torch.stack([(f(ends[0]) - f(ends[1])) / (2 * h) for f in loops.objectives()])
    torch.testing.assert_close(found, slope, rtol=1e-4, atol=1e-14 / h)
    without = loops.unrolled(loops.trained(rule, base), loops.objectives()).samples()
    assert (found - without[:, 0] + without[:, 1]).abs().max() > 1e-2 * found.abs().max()


SHAPES = ((2, 3), (2, 2), (1, 2))
MUONS = {
    "default": {},
    "plain": {"nesterov": False, "weight_decay": 0.3, "momentum": 0.8},
    "rms": {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    "original": {"adjust_lr_fn": "original", "ns_coefficients": (2.0, -1.5, 0.5), "momentum": 0.5},
}
muon = pytest.mark.parametrize("options", MUONS.values(), ids=MUONS)


def as_matrices(parameters, kind, **options):
    """Their second parameter as (2, 2) and the last as (1, 2): views of the same memory."""
    views = [torch.nn.Parameter(p.data.view(s)) for p, s in zip(parameters, SHAPES, strict=True)]

    class Views:
        def step(self):
            for view, p in zip(views, parameters, strict=True):
                view.grad = p.grad.reshape(view.shape)

    return [Views(), *scheduled(kind(views, lr=LR, **options))]


@muon
def test_muons_steps_are_those_of_torch_optim(options):
    loops.same_steps(
        Muon(SHAPES, schedule, **options),
        loops.field(),
        lambda p: as_matrices(p, torch.optim.Muon, **options),
    )


@muon
@pytest.mark.parametrize("seed", [0, 1])
def test_muons_scores_without_rounding_equal_autograd(options, seed):
    loops.same_scores(Muon(SHAPES, schedule, rounded=False, **options), loops.field(seed), seed)


@muon
def test_muons_scores_are_those_of_the_iteration_before_it_is_rounded(options):
    rounded, smooth = (Muon(SHAPES, schedule, rounded=r, **options) for r in (True, False))

    def step(state, g, t):  # the value of the one, the derivative of the other
        given = {name: x.detach() for name, x in state.items()}
        after, at = smooth.step(state, g, t), rounded.step(given, g.detach(), t)
        return {name: x + (at[name] - x).detach() for name, x in after.items()}

    loops.same_scores(rounded, loops.field(), step=step)


@pytest.mark.parametrize("shape", [(5, 2), (2, 5), (3, 3)])
def test_muon_iterates_as_torch_does(shape):
    from torch.optim._muon import _zeropower_via_newtonschulz

    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=loops.F64)
    rule = Muon((shape,))
    expected = _zeropower_via_newtonschulz(x.clone(), rule.ns_coefficients, rule.ns_steps, rule.eps)
    assert torch.equal(rule.orthogonal(x.bfloat16()), expected)
    torch.testing.assert_close(rule.orthogonal(x).bfloat16(), expected, rtol=0, atol=0.05)


def one_cycle(optimizer):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=loops.STEPS + 1, pct_start=0.4)


def recorded(kind, options):
    """(lr, momentum or beta1) of every step, as OneCycleLR sets them."""
    optimizer = kind([torch.nn.Parameter(torch.zeros(2, 2))], lr=LR, **options)
    scheduler, found = one_cycle(optimizer), []
    for _ in range(loops.STEPS):
        group = optimizer.param_groups[0]
        found.append((group["lr"], group["betas"][0] if "betas" in group else group["momentum"]))
        optimizer.step()
        scheduler.step()
    assert len(set(found)) == loops.STEPS
    return found


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (SGD, {"momentum": 0.9, "nesterov": True}),
        (SGD, {"momentum": 0.9, "dampening": 0.1}),
        (Adam, {"eps": 1e-3}),
        (AdamW, {"eps": 1e-3, "amsgrad": True, "weight_decay": 0.1}),
        (NAdam, {"eps": 1e-3}),
        (RMSprop, {"eps": 1e-3, "momentum": 0.1}),
        (RMSprop, {"eps": 1e-3, "centered": True}),
    ],
)
def test_one_cycle_of_rate_and_momentum(rule, options):
    kind = getattr(torch.optim, rule.__name__)
    steps = recorded(kind, options)
    ours = {name: x for name, x in options.items() if name != "momentum"}
    if rule in (SGD, RMSprop):
        ours["momentum"] = lambda t: steps[t][1]
    else:
        ours["betas"] = (lambda t: steps[t][1], 0.999)
    made = rule(lambda t: steps[t][0], **ours)

    def make(p):
        optimizer = kind(p, lr=LR, **options)
        return [optimizer, one_cycle(optimizer)]

    loops.same_steps(made, loops.field(), make)
    loops.same_scores(made, loops.field())
    value = to_dict(made, loops.STEPS)
    assert torch.equal(loops.ours(from_dict(value), loops.field()), loops.ours(made, loops.field()))


def test_one_cycle_of_muon():
    steps = recorded(torch.optim.Muon, {})
    rule = Muon(SHAPES, lambda t: steps[t][0], momentum=lambda t: steps[t][1])

    def make(p):
        views, optimizer, _ = as_matrices(p, torch.optim.Muon)
        return [views, optimizer, one_cycle(optimizer)]

    loops.same_steps(rule, loops.field(), make)


@pytest.mark.parametrize("options", [{}, {"nesterov": False, "dampening": 0.3}])
def test_momentum_that_is_zero_at_some_steps(options):
    momentum = [0.0, 0.0, 0.9, 0.5, 0.0, 0.7, 0.9, 0.0, 0.3, 0.2]

    def make(p):
        optimizer = torch.optim.SGD(p, lr=LR, momentum=0.0, **options)

        class Next:
            t = 0

            def step(self):
                optimizer.param_groups[0]["momentum"], self.t = momentum[self.t], self.t + 1

        return [Next(), optimizer]

    rule = SGD(LR, momentum=lambda t: momentum[t], **options)
    loops.same_steps(rule, loops.field(), make)
    loops.same_scores(rule, loops.field())


def every_rule():
    yield from (rule(schedule, **options) for rule, options in CASES.values())
    yield Muon(SHAPES, schedule)
    yield ClipNorm(
        ParameterGroups([([(0, 6)], Muon(((2, 3),))), ([(6, 12)], RMSprop(momentum=0.5, centered=True))]), 1.0
    )


@pytest.mark.parametrize("rule", list(every_rule()), ids=lambda rule: type(rule).__name__)
def test_a_manifest_holds_every_rule(rule):
    value = to_dict(rule, loops.STEPS)
    again = from_dict(value)
    assert to_dict(again, loops.STEPS) == value
    assert torch.equal(loops.ours(again, loops.field()), loops.ours(rule, loops.field()))


@pytest.mark.parametrize("rule", list(every_rule()), ids=lambda rule: type(rule).__name__)
def test_what_the_adjoint_needs_is_what_it_reads(rule):
    """Without any other entry it gives the same."""
    on = loops.field()
    for t, state in itertools.islice(loops.trained(rule, on).backwards(loops.STEPS), 3):
        full = rule.init(loops.start())
        bar = {name: torch.ones(2, *x.shape, dtype=loops.F64) for name, x in full.items()}
        back, a = rule.adjoint(state, t, bar)
        assert set(state) == {"theta", *rule.needs}
        assert {name: x.shape for name, x in back.items()} == {name: (2, *x.shape) for name, x in full.items()}
        assert a.shape == (2, loops.P)


def test_a_fault_is_seen():
    class ForgetsTheMean(RMSprop):
        def adjoint(self, state, t, bar):
            return super().adjoint(state, t, bar | {"mean": 0 * bar["mean"]})

    class ForgetsTheLargest(Adam):
        def adjoint(self, state, t, bar):
            return super().adjoint(state, t, bar | {"v_max": 0 * bar["v_max"]})

    for fault in (ForgetsTheMean(LR, centered=True, eps=1e-2, alpha=0.8), ForgetsTheLargest(LR, amsgrad=True)):
        with pytest.raises(AssertionError):
            loops.same_scores(fault, loops.field())


@pytest.mark.parametrize(
    "make",
    [
        lambda: RMSprop(-1.0),
        lambda: RMSprop(alpha=1.0),
        lambda: RMSprop(eps=0.0),
        lambda: Adagrad(lr_decay=-1.0),
        lambda: Adagrad(eps=0.0),
        lambda: NAdam(betas=(1.0, 0.9)),
        lambda: NAdam(momentum_decay=-1.0),
        lambda: Muon(()),
        lambda: Muon(((3,),)),
        lambda: Muon(((3, 3),), eps=0.0),
        lambda: Muon(((3, 3),), adjust_lr_fn="other"),
    ],
)
def test_settings_out_of_range_are_one_sentence(make):
    with pytest.raises(UserError, match="needs"):
        make()


def test_muon_of_other_parameters_is_one_sentence():
    with pytest.raises(UserError, match="hold 6 parameters and there are 12"):
        Muon(((2, 3),)).init(loops.start())
