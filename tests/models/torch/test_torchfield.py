"""Unrolled scores of every kind of model against autograd through its whole training, and the field's parts."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_reference as reference
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch_models import (
    BATCHES,
    F64,
    KINDS,
    Bags,
    N,
    Words,
    cross_entropy,
    field_of,
    make,
    margin,
    objectives,
    penalty,
)

import crossloss as cl
from crossloss.core import FULL_BATCH
from crossloss.estimators import unrolled
from crossloss.models.torch.module import own_copy
from crossloss.objectives import as_objective
from crossloss.run.trajectory import MemoryStates

RULES = {
    "momentum": (cl.SGD(0.1, momentum=0.8), reference.sgd, {"momentum": 0.8}),
    "adamw": (cl.AdamW(0.02, betas=(0.9, 0.99), eps=1e-2, weight_decay=0.1), reference.adamw, {}),
}
STEPS = 6


def by_autograd(case, rule, options, w=None, steps=STEPS):
    """Scores (2, n) and final parameters by the reference loop."""
    w = torch.ones(N, dtype=F64, requires_grad=True) if w is None else w
    module = copy.deepcopy(case.model)
    for layer in module.modules():
        if isinstance(layer, nn.Embedding):
            layer.sparse = False  # autograd cannot go through sparse gradients twice
        elif isinstance(layer, Bags):
            layer.written_out = True
    with sdpa_kernel(SDPBackend.MATH), torch.random.fork_rng():
        parameters = reference.trained(
            module,
            lambda run, rows: run(case.x[rows]),
            lambda out, rows: F.cross_entropy(out, case.y[rows], reduction="none"),
            N,
            w,
            steps=steps,
            batches=case.options.get("order"),
            rule=lambda *args: rule(*args, **options),
            penalty=case.options.get("regulariser"),
            seed=case.options.get("dropout_seed"),
        )
        module.eval()
        view = Called(parameters, reference.at(module, parameters))
        values = [objective(view) for objective in objectives(case)]
    if not w.requires_grad:
        return values, parameters
    return torch.stack([torch.autograd.grad(v, w, retain_graph=True)[0] for v in values]), parameters


class Called(dict):
    def __init__(self, parameters, run):
        super().__init__(parameters)
        self.run = run

    def __call__(self, x):
        return self.run(x)


def worst(found, exact):
    return float((found - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_autograd_through_the_training_loop(kind, rule):
    case, (optimiser, update, options) = make(kind), RULES[rule]
    exact, parameters = by_autograd(case, update, options)
    run = cl.train(field_of(case), optimiser, steps=STEPS)
    for name, p in parameters.items():
        torch.testing.assert_close(run.view[name], p.detach(), rtol=1e-10, atol=1e-12)
    scores = cl.score(run, objectives(case))
    for j in range(2):
        assert worst(torch.from_numpy(scores.samples[j]), exact[j]) < 1e-9


@pytest.mark.parametrize("kind", ["mlp", "mini-batches", "lstm", "transformer", "dropout", "sparse", "frozen"])
def test_scores_equal_finite_differences_of_retraining(kind):
    case = make(kind)
    run = cl.train(field_of(case), cl.SGD(0.1, momentum=0.8), steps=STEPS)
    scores, h = cl.score(run, objectives(case)).samples, 1e-4
    for i in range(0, N, 3):
        w = torch.ones(N, dtype=F64)
        w[i] += h
        up = [float(o(run.retrain(w).view)) for o in objectives(case)]
        w[i] -= 2 * h
        down = [float(o(run.retrain(w).view)) for o in objectives(case)]
        for j in range(2):
            slope = (up[j] - down[j]) / (2 * h)
            assert slope == pytest.approx(scores[j, i], rel=1e-5, abs=1e-5 * np.abs(scores[j]).max())


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_directions_and_spacing_change_nothing(kind):
    case = make(kind)
    scores = []
    for chunk, every in ((1024, 1), (5, 1), (1, 4)):
        run = cl.train(field_of(case, chunk=chunk), cl.Adam(0.02, eps=1e-2), steps=STEPS)
        run.trajectory = run.trajectory.changed(every=every, states=MemoryStates())
        run.trajectory.run_to_end()
        assert run.trajectory.states.stored() == [*range(0, STEPS, every), STEPS]
        scores.append(torch.from_numpy(cl.score(run, objectives(case)).samples))
    single = [unrolled(run.trajectory, [as_objective(o)]).samples() for o in objectives(case)]
    for other in (*scores[1:], torch.cat(single)):
        assert worst(other, scores[0]) < 1e-11


@pytest.mark.parametrize("kind", ["mlp", "embedding", "lstm", "transformer", "batch-norm", "dropout", "convolution"])
def test_float32_is_float64_to_its_own_rounding(kind):
    case = make(kind)
    exact = cl.score(cl.train(field_of(case), cl.SGD(0.1), steps=STEPS), objectives(case)).samples
    case.model.float()
    case.x = case.x.float() if case.x.is_floating_point() else case.x
    if kind == "dropout":
        case.options["dropout_seed"] = None  # other masks in float32
        case.model.eval()
        exact = cl.score(cl.train(field_of(make64(case)), cl.SGD(0.1), steps=STEPS), objectives(make64(case))).samples
    run = cl.train(field_of(case), cl.SGD(0.1), steps=STEPS)
    assert run.theta.dtype == torch.float32
    found = cl.score(run, objectives(case)).samples
    assert np.abs(found - exact).max() < 1e-4 * np.abs(exact).max()


def make64(case):
    other = copy.deepcopy(case)
    other.model.double()
    other.x = other.x.double()
    return other


def test_the_field_is_the_gradient_that_torch_optim_receives():
    case = make("mini-batches")
    field = field_of(case)
    for step, rows in enumerate(BATCHES):
        case.model.zero_grad()
        loss = F.cross_entropy(case.model(case.x[rows]), case.y[rows])
        (loss + case.options["regulariser"](dict(case.model.named_parameters()))).backward()
        expected = torch.cat([p.grad.reshape(-1) for p in case.model.parameters()])
        found = field.gradient(field.initial, torch.ones(N, dtype=F64), step)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["bags", "bags-padded", "bags-max"])
def test_bags_have_the_gradient_of_torchs_own(kind):
    case = make(kind)
    if kind != "bags":
        case.x[3] = 2  # a bag of nothing but padding
    field = field_of(case)
    for layer in case.model.modules():
        layer.sparse = False
    F.cross_entropy(case.model(case.x), case.y).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in case.model.parameters()])
    found = field.gradient(field.initial, torch.ones(N, dtype=F64), 0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(7,), (7, 3), (2, 3, 4)])
def test_an_embedding_has_the_bits_of_torchs_own(shape):
    torch.manual_seed(0)
    embedding = nn.Embedding(5, 4)
    mine = own_copy(embedding)
    assert type(embedding) is not type(mine)
    rows, into = torch.randint(5, shape), torch.randn(*shape, 4)
    found = [(layer(rows), torch.autograd.grad(layer(rows), layer.weight, into)[0]) for layer in (embedding, mine)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("regulariser", [None, penalty], ids=["plain", "regularised"])
def test_a_padding_row_is_held_and_its_effect_is_differentiated(regulariser):
    """As in torch, where only a regulariser moves it."""
    torch.manual_seed(0)
    model = Words(True, padding_idx=0).double()
    x, y = torch.randint(0, 4, (N, 5)), torch.arange(N) % 3
    field = cl.TorchField(model, cross_entropy, (x, y), regulariser=regulariser)
    w = torch.ones(N, dtype=F64)
    model.table.sparse = False
    loss = F.cross_entropy(model(x), y)
    (loss if regulariser is None else loss + regulariser(dict(model.named_parameters()))).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    torch.testing.assert_close(field.gradient(field.initial, w, 0), expected, rtol=1e-12, atol=1e-14)
    cl.check_field(field, field.initial, w)
    run = cl.train(field, cl.SGD(0.5), steps=4)
    assert torch.equal(run.view["table.weight"][0], model.table.weight[0]) == (regulariser is None)
    assert not torch.equal(run.view["table.weight"][1], model.table.weight[1])
    scores, h = cl.score(run, [margin]).samples[0], 1e-4
    for i in range(0, N, 4):
        values = []
        for sign in (1, -1):
            w[i] = 1 + sign * h
            values.append(float(margin(run.retrain(w).view)))
        w[i] = 1
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(scores[i], rel=1e-5, abs=1e-6 * np.abs(scores).max())


def test_a_weight_moves_its_own_sample_only():
    """The mean divides by the number of rows: another sample's weight leaves a sample's share as it was."""
    field = field_of(make("mlp"))
    w = torch.ones(N, dtype=F64)
    base = field.gradient(field.initial, w, 0)
    doubled, dropped = w.clone(), w.clone()
    doubled[4], dropped[4] = 2.0, 0.0
    up, down = (field.gradient(field.initial, v, 0) - base for v in (doubled, dropped))
    torch.testing.assert_close(up, -down, rtol=1e-10, atol=1e-13)


def test_a_mean_divided_by_the_weights_is_caught():
    """Injected fault: scores of such a run are not those of the field."""
    case = make("mlp")
    run = cl.train(field_of(case), cl.SGD(0.1), steps=STEPS)
    found = torch.from_numpy(cl.score(run, objectives(case)).samples)

    def divided(w):
        module, parameters = case.model, dict(case.model.named_parameters())
        for _ in range(STEPS):
            losses = cross_entropy(reference.at(module, parameters)(case.x), (case.x, case.y))
            grads = torch.autograd.grad((w * losses).sum() / w.sum(), list(parameters.values()), create_graph=True)
            parameters = {name: p - 0.1 * g for (name, p), g in zip(parameters.items(), grads, strict=True)}
        return Called(parameters, reference.at(module, parameters))

    w = torch.ones(N, dtype=F64, requires_grad=True)
    wrong = torch.stack([torch.autograd.grad(o(divided(w)), w)[0] for o in objectives(case)])
    assert worst(found, wrong) > 1e-3


def test_a_skipped_step_is_caught():
    case = make("mini-batches")
    exact, _ = by_autograd(case, reference.sgd, {})
    run = cl.train(field_of(case), cl.SGD(0.1), steps=STEPS)
    steps = run.trajectory.backwards
    run.trajectory.backwards = lambda start, **how: (item for item in steps(start, **how) if item[0] != 3)
    assert worst(unrolled(run.trajectory, [as_objective(o) for o in objectives(case)]).samples(), exact) > 1e-3


def test_the_whole_loss_has_no_batches_and_no_masks():
    assert FULL_BATCH < 0, "it is no step of a run"
    case = make("dropout-batches")
    field, w = field_of(case), torch.rand(N, dtype=F64)
    case.model.eval()
    plain = cl.TorchField(case.model, cross_entropy, (case.x, case.y))
    torch.testing.assert_close(field.gradient(field.initial, w, FULL_BATCH), plain.gradient(plain.initial, w, 0))
    run = cl.train(field, cl.SGD(0.1), steps=STEPS)
    dots = cl.score(run, [lambda view: view["0.weight"].sum()], "gradient-dot").samples[0]
    assert np.all(dots != 0), "gradient dot sees every sample, not a batch"
