"""Unrolled scores of every kind of model against autograd through its whole training, and the field's parts."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_reference as reference
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler
from torch_models import BATCHES, F64, KINDS, Bags, N, Words, cross_entropy, make, margin, mlp, objectives, penalty

import crossloss as cl
import crossloss.torchmodel.field as field_module
from crossloss.core import WHOLE, UserError
from crossloss.estimators import unrolled
from crossloss.objectives import as_objective
from crossloss.run.training import MemoryStates, Training
from crossloss.torchmodel.module import intermediates, own_copy

RULES = {
    "momentum": (cl.SGD(0.1, momentum=0.8), reference.sgd, {"momentum": 0.8}),
    "adamw": (cl.AdamW(0.02, betas=(0.9, 0.99), eps=1e-2, weight_decay=0.1), reference.adamw, {}),
}
STEPS = 6


def field_of(case, **more):
    return cl.TorchField(case.model, cross_entropy, (case.x, case.y), **(case.options | more))


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
        up = [float(o(run.field.view(run.retrain(w)))) for o in objectives(case)]
        w[i] -= 2 * h
        down = [float(o(run.field.view(run.retrain(w)))) for o in objectives(case)]
        for j in range(2):
            slope = (up[j] - down[j]) / (2 * h)
            assert slope == pytest.approx(scores[j, i], rel=1e-5, abs=1e-5 * np.abs(scores[j]).max())


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_directions_and_spacing_change_nothing(kind):
    case = make(kind)
    scores = []
    for chunk, every in ((1024, 1), (5, 1), (1, 4)):
        run = cl.train(field_of(case, chunk=chunk), cl.Adam(0.02, eps=1e-2), steps=STEPS)
        run.training = Training(**(vars(run.training) | {"every": every, "states": MemoryStates()}))
        run.training.finish()
        assert run.training.states.kept() == [*range(0, STEPS, every), STEPS]
        scores.append(torch.from_numpy(cl.score(run, objectives(case)).samples))
    single = [unrolled(run.training, [as_objective(o)]).samples() for o in objectives(case)]
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
            values.append(float(margin(field.view(run.retrain(w)))))
        w[i] = 1
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(scores[i], rel=1e-5, abs=1e-6 * np.abs(scores).max())


@pytest.mark.parametrize("at_once", [16_384, 3 * N, 1])
def test_many_directions_at_once_equal_one_at_a_time(at_once, monkeypatch):
    monkeypatch.setattr(field_module, "AT_ONCE", at_once)
    for kind in ("mlp", "lstm", "sparse", "transformer"):
        field = field_of(make(kind))
        w, a = torch.rand(N, dtype=F64), torch.randn(7, len(field.initial), dtype=F64)
        together, apart = field.accumulator(7), field.accumulator(1)
        back = field.pullback(field.initial, w, 0, a, together)
        rows = []
        for j, row in enumerate(a):
            apart.sums.zero_()
            rows.append(field.pullback(field.initial, w, 0, row[None], apart)[0])
            torch.testing.assert_close(together.samples()[j], apart.samples()[0], rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(back, torch.stack(rows), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("at_once", [1, 60, 10**9])
def test_directions_are_batched_by_the_size_of_what_lies_between_and_that_changes_nothing(monkeypatch, at_once):
    field = field_of(make("mlp"))
    w, a = torch.rand(N, dtype=F64), torch.randn(7, len(field.initial), dtype=F64)
    found = []
    for limit in (at_once, field_module.AT_ONCE):
        monkeypatch.setattr(field_module, "AT_ONCE", limit)
        into = field.accumulator(7)
        found.append(torch.cat([field.pullback(field.initial, w, 0, a, into), into.samples()], 1))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-13)


def test_intermediates_are_each_counted_once():
    x = torch.randn(5, 3, requires_grad=True)
    inner = x.exp()  # 15, beside the 15 of the leaf
    assert intermediates(inner) == 1 + 30
    assert intermediates(inner @ torch.ones(3, 4)) == 1 + 30 + 20
    assert intermediates((inner + inner.sin()).sum()) == 1 + 30 + 15 + 15 + 1
    assert intermediates(torch.ones(3)) == 1


@pytest.mark.parametrize("chunk", [1024, 5])
@pytest.mark.parametrize("kind", ["regularised", "mini-batches", "embedding", "lstm", "dropout"])
def test_a_field_linearised_at_a_point_is_its_pullback_there(kind, chunk):
    case = make(kind)
    called = []
    field = field_of(case, chunk=chunk, forward=lambda model, batch: called.append(1) or model(batch[0]))
    w, p = torch.rand(N, dtype=F64), len(field.initial)
    pullback = field.linearised(field.initial, w, 1)
    for k in (2, 1, 3):
        a = torch.randn(k, p, dtype=F64)
        mine, own = field.accumulator(k), field.accumulator(k)
        called.clear()
        back = pullback(a, mine)
        assert chunk < N or k == 2 or not called, "the gradient was computed again"
        torch.testing.assert_close(back, field.pullback(field.initial, w, 1, a, own), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(mine.samples(), own.samples(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["regularised", "mini-batches", "embedding", "lstm", "dropout", "bags"])
def test_pairing_is_what_a_pullback_adds(kind):
    field = field_of(make(kind))
    w, p = torch.rand(N, dtype=F64), len(field.initial)
    for step, k in ((1, 3), (WHOLE, 3), (WHOLE, p + 2)):
        a = torch.randn(k, p, dtype=F64)
        whole, part = field.accumulator(k), field.accumulator(k)
        field.pullback(field.initial, w, step, a, whole)
        field.pairing(field.initial, w, step, a, part)
        torch.testing.assert_close(part.samples(), whole.samples(), rtol=1e-12, atol=1e-14)


class Slope(torch.autograd.Function):
    """3 x^2, with a backward that vmap cannot batch."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 3 * x**2

    @staticmethod
    def backward(ctx, g):
        return 6 * ctx.saved_tensors[0] * g if g.abs().max().item() >= 0 else None


class Unbatched(torch.autograd.Function):
    """x^3, whose second derivative cannot be batched."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        return Slope.apply(ctx.saved_tensors[0]) * g


def test_an_operator_that_cannot_be_batched_has_one_pass_a_direction(monkeypatch):
    case = make("mlp")
    w, a = torch.rand(N, dtype=F64), torch.randn(3, len(field_of(case).initial), dtype=F64)
    back, passes = [], []
    backward = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *args, **more: passes.append(more) or backward(*args, **more))
    for cube, batched in ((Unbatched.apply, [False, True, False, False, False]), (lambda x: x**3, [False, True])):
        passes.clear()
        field = cl.TorchField(case.model, lambda out, b, cube=cube: cube(out).sum(1), case.x)
        into = field.accumulator(3)
        back.append(torch.cat([field.pullback(field.initial, w, 0, a, into), into.samples()], 1))
        assert [more.get("is_grads_batched", False) for more in passes] == batched
    torch.testing.assert_close(*back, rtol=1e-12, atol=1e-13)


class Broken(torch.autograd.Function):
    """Its backward fails for a reason of its own."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        raise RuntimeError("of its own")


def test_an_error_of_the_users_own_is_left_as_it_is():
    field = cl.TorchField(mlp(), lambda out, b: Broken.apply(out).sum(1), X)
    with pytest.raises(RuntimeError, match="of its own"):
        field.gradient(field.initial, torch.ones(N), 0)


def test_what_does_not_depend_on_the_parameters_adds_nothing():
    case = make("mlp")
    w, a = torch.rand(N, dtype=F64), torch.randn(2, len(field_of(case).initial), dtype=F64)
    still = field_of(case, regulariser=lambda view: torch.ones((), dtype=F64))
    plain, sums = field_of(case), [field_of(case).accumulator(2) for _ in range(2)]
    assert torch.equal(still.gradient(still.initial, w, 0), plain.gradient(plain.initial, w, 0))
    assert still.loss(still.initial, w) == pytest.approx(plain.loss(plain.initial, w) + 1)
    backs = [f.pullback(f.initial, w, 0, a, into) for f, into in zip((still, plain), sums, strict=True)]
    assert torch.equal(*backs)
    nothing = cl.TorchField(case.model, lambda out, b: torch.ones(len(out), dtype=F64), case.x)
    assert nothing.gradient(nothing.initial, w, 0).eq(0).all()


def test_the_padding_row_of_a_model_that_is_an_embedding_is_held():
    torch.manual_seed(0)
    x, w = torch.tensor([[0, 1], [2, 0], [1, 1]]), torch.ones(3, dtype=F64)
    model = nn.Embedding(3, 2, padding_idx=0, dtype=F64)
    nn.init.normal_(model.weight)
    field = cl.TorchField(model, lambda out, b: out.square().sum((1, 2)), x)
    model(x).square().sum().div(3).backward()
    torch.testing.assert_close(field.gradient(field.initial, w, 0), model.weight.grad.reshape(-1))
    assert field.gradient(field.initial, w, 0)[:2].eq(0).all()


def test_a_padding_row_that_is_not_trained_needs_no_holding():
    torch.manual_seed(0)
    model = Words(False, padding_idx=0).double()
    model.table.weight.requires_grad_(False)
    x, y, w = torch.randint(0, 4, (N, 5)), torch.arange(N) % 3, torch.ones(N, dtype=F64)
    field = cl.TorchField(model, cross_entropy, (x, y))
    F.cross_entropy(model(x), y).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.head.parameters()])
    torch.testing.assert_close(field.gradient(field.initial, w, 0), expected, rtol=1e-12, atol=1e-14)


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
    steps = run.training.backwards
    run.training.backwards = lambda start: (item for item in steps(start) if item[0] != 3)
    assert worst(unrolled(run.training, [as_objective(o) for o in objectives(case)]).samples(), exact) > 1e-3


def test_the_whole_loss_has_no_batches_and_no_masks():
    assert WHOLE < 0, "it is no step of a run"
    case = make("dropout-batches")
    field, w = field_of(case), torch.rand(N, dtype=F64)
    case.model.eval()
    plain = cl.TorchField(case.model, cross_entropy, (case.x, case.y))
    torch.testing.assert_close(field.gradient(field.initial, w, WHOLE), plain.gradient(plain.initial, w, 0))
    run = cl.train(field, cl.SGD(0.1), steps=STEPS)
    dots = cl.score(run, [lambda view: view["0.weight"].sum()], "gradient-dot").samples[0]
    assert np.all(dots != 0), "gradient dot sees every sample, not a batch"


def test_data_of_every_kind_is_the_same_field():
    case = make("mlp")
    x, y, w = case.x, case.y, torch.rand(N, dtype=F64)
    by_name = lambda out, b: F.cross_entropy(out, b["y"], reduction="none")  # noqa: E731
    expected = field_of(case)
    expected = expected.gradient(expected.initial, w, 0)
    dataset = TensorDataset(x, y)
    for field in (
        cl.TorchField(case.model, cross_entropy, dataset),
        cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=N)),
        cl.TorchField(case.model, by_name, {"x": x, "y": y}),
        cl.TorchField(case.model, by_name, {"a": x, "y": y}, forward=lambda model, batch: model(batch["a"])),
        cl.TorchField(case.model, lambda out, b: F.cross_entropy(out, (b[:, 4]).long(), reduction="none"),
                      torch.cat([x, y[:, None].double()], 1), forward=lambda model, b: model(b[:, :4])),
    ):  # fmt: skip
        assert field.samples == N
        torch.testing.assert_close(field.gradient(field.initial, w, 0), expected)


def test_the_order_of_mini_batches():
    case = make("mlp")
    dataset = TensorDataset(case.x, case.y)
    field = field_of(case, batch_size=5, seed=2)
    epochs = [torch.cat([field.batch(3 * e + b) for b in range(3)]) for e in range(2)]
    assert [len(field.batch(t)) for t in range(4)] == [5, 5, 2, 5]
    assert all(sorted(epoch.tolist()) == list(range(N)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    assert torch.equal(field_of(case, batch_size=5, seed=2).batch(4), field.batch(4)), "recorded by its seed"
    assert not torch.equal(field_of(case, batch_size=5, seed=3).batch(0), field.batch(0))
    assert field_of(case, batch_size=5, seed=None).batch(1).tolist() == [5, 6, 7, 8, 9]
    loader = DataLoader(dataset, batch_size=5, shuffle=True, drop_last=True)
    shuffled = cl.TorchField(case.model, cross_entropy, loader, seed=2)
    assert [len(shuffled.batch(t)) for t in range(3)] == [5, 5, 5]
    in_order = cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=5))
    assert in_order.batch(2).tolist() == [10, 11]
    both = [DataLoader(dataset, batch_size=5, shuffle=shuffle) for shuffle in (True, False)]
    drawn, kept = (cl.TorchField(case.model, cross_entropy, loader, seed=2) for loader in both)
    assert [drawn.batch(t).tolist() for t in range(6)] == [field.batch(t).tolist() for t in range(6)]
    assert torch.cat([kept.batch(t) for t in range(3)]).tolist() == list(range(N))
    for size in (N, N + 3):
        assert cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=size)).order is None
    with pytest.raises(UserError, match="between 1 and"):
        cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=N + 3, drop_last=True))
    single = DataLoader(dataset, batch_size=None)
    with pytest.raises(UserError, match="sampler is its own"):
        cl.TorchField(case.model, cross_entropy, single)
    assert cl.TorchField(case.model, cross_entropy, single, order=[[3, 1]]).batch(0).tolist() == [3, 1]
    assert len(field_of(case, batch_size=N).batch(0)) == N
    assert len(field_of(case, batch_size=1).batch(0)) == 1


def test_a_view_shows_parameters_by_name_and_calls_the_module():
    case = make("tied")
    field = field_of(case)
    theta = field.initial.clone().requires_grad_()
    view = field.view(theta)
    assert list(view) == ["inner.weight", "head.weight", "head.bias"]
    assert len(view) == 3
    assert torch.equal(view["outer.weight"], view["inner.weight"])
    torch.testing.assert_close(view(case.x), case.model(case.x))
    assert torch.autograd.grad(view["outer.weight"].sum() + view(case.x).sum(), theta)[0].abs().sum() > 0
    with pytest.raises(KeyError):
        view["nothing"]
    frozen = make("frozen")
    view = field_of(frozen).view(field_of(frozen).initial)
    assert "0.bias" not in list(view)
    assert torch.equal(view["0.bias"], frozen.model[0].bias)


def test_an_objective_sees_the_model_in_eval_mode():
    case = make("dropout")
    field = field_of(case)
    a, b = (field.view(field.initial)(case.x) for _ in range(2))
    case.model.eval()
    assert torch.equal(a, b)
    torch.testing.assert_close(a, case.model(case.x))


def test_the_users_model_and_generator_are_left_alone():
    case = make("dropout")
    before, state = copy.deepcopy(case.model.state_dict()), torch.get_rng_state()
    cl.score(cl.train(field_of(case), cl.SGD(0.1), steps=3), objectives(case))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.mha.get_fastpath_enabled()
    assert all(torch.equal(tensor, before[name]) for name, tensor in case.model.state_dict().items())
    assert case.model.training
    sparse = make("sparse")
    field_of(sparse)
    assert sparse.model.table.sparse


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        return self.inner(x)


class BagOfItsOwn(nn.Module):
    """By torch's kernel, whose backward has no derivative."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, 3))

    def forward(self, x):
        return F.embedding_bag(x, self.table)


class OffsetBags(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(9, 3)

    def forward(self, x):
        return self.table(x.reshape(-1), torch.arange(0, x.numel(), x.shape[1]))


def uncopied():
    model = mlp()
    model.kept = model[0].weight * 2  # torch copies no tensor that has a history
    return model


class TiedTable(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 4, padding_idx=0), nn.Linear(4, 9, bias=False)
        self.head.weight = self.table.weight

    def forward(self, x):
        return self.head(self.table(x).mean(1))


X, Y = torch.randn(N, 4), torch.arange(N) % 3
IDS = torch.randint(0, 9, (N, 5))
REFUSED = {
    "batch norm in training": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), X, {}, "eval mode"),
    "batch norm without statistics": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval(), X, {}, "mixes"
    ),
    "dropout": (lambda: mlp(dropout=0.5), X, {}, "dropout_seed"),
    "a buffer that moves": (Counting, X, {}, "'seen'"),
    "nothing to train": (lambda: mlp().requires_grad_(False), X, {}, "requires_grad"),
    "two dtypes": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3).double()), X, {}, "one dtype"),
    "lazy layers": (lambda: nn.LazyLinear(3), X, {}, "lazy"),
    "max_norm": (lambda: nn.Sequential(nn.Embedding(9, 4, max_norm=1.0), nn.Flatten(), nn.Linear(20, 3)), IDS, {},
                 "max_norm"),
    "no second derivative": (BagOfItsOwn, IDS, {}, "differentiated twice"),
    "bags by offsets": (OffsetBags, IDS, {}, "offsets"),
    "fewer rows": (mlp, X[:-1], {}, "equally many"),
    "a batch too large": (mlp, X, {"batch_size": N + 1}, "between 1 and"),
    "rows that are not there": (mlp, X, {"order": [[0, N]]}, "0 to 11"),
    "a negative row": (mlp, X, {"order": [[0, -1]]}, "0 to 11"),
    "a batch of nothing": (mlp, X, {"order": [[0], []]}, "step 1 names rows"),
    "no batch at all": (mlp, X, {"batch_size": 0}, "between 1 and"),
    "order and batch size": (mlp, X, {"order": [[0]], "batch_size": 3}, "not both"),
    "no samples at once": (mlp, X, {"chunk": 0}, "at least 1"),
    "frozen without rows": (mlp, X, {"frozen": lambda model, w: model(X).mean(0)}, "a row for each"),
    "a regulariser that is no scalar": (mlp, X, {"regulariser": lambda view: view["0.bias"]}, "scalar"),
    "an order too short": (mlp, X, {"order": [[0, 1]]}, "fewer steps"),
    "instance norm in training": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.InstanceNorm1d(3, track_running_stats=True)), X, {}, "norm '1'"
    ),
    "a model that cannot be copied": (uncopied, X, {}, "cannot be copied"),
    "a tied embedding with a padding row": (TiedTable, IDS, {}, "tied and has a padding_idx"),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_done_is_one_sentence(reason):
    model, x, options, message = REFUSED[reason]

    def loss(out, batch, *target):
        return cross_entropy(out, batch)

    with pytest.raises(UserError, match=message) as caught:
        cl.train(cl.TorchField(model(), loss, (x, Y), **options), cl.SGD(0.1), steps=2)
    assert "\n" not in str(caught.value)


class Endless(IterableDataset):
    def __iter__(self):
        yield X[0], Y[0]


def test_a_loss_that_is_not_one_a_sample_is_one_sentence():
    for loss in (lambda out, b: F.cross_entropy(out, b[1]), lambda out, b: out, lambda out, b: 1.0):
        with pytest.raises(UserError, match=r"shape \(12,\)"):
            cl.train(cl.TorchField(mlp(), loss, (X, Y)), cl.SGD(0.1), steps=2)
    with pytest.raises(UserError, match="batch size"):
        cl.TorchField(mlp(), cross_entropy, DataLoader(TensorDataset(X, Y), batch_size=4), batch_size=3)
    sampler = WeightedRandomSampler(torch.ones(N), N)
    with pytest.raises(UserError, match="sampler is its own"):
        cl.TorchField(mlp(), cross_entropy, DataLoader(TensorDataset(X, Y), batch_size=4, sampler=sampler))
    with pytest.raises(UserError, match="no length"):
        cl.TorchField(mlp(), cross_entropy, Endless())
    with pytest.raises(UserError, match='no "x"'):
        cl.train(cl.TorchField(mlp(), cross_entropy, {"a": X}), cl.SGD(0.1), steps=2)
    assert cl.TorchField(mlp(), cross_entropy, (X[:1], Y[:1])).samples == 1
    for data in ((X, torch.tensor(1.0)), (X[:0], Y[:0]), ()):
        with pytest.raises(UserError, match="samples first"):
            cl.TorchField(mlp(), cross_entropy, data)
    with pytest.raises(UserError, match="hold a str"):
        cl.TorchField(mlp(), cross_entropy, {"x": X, "text": ["a"] * N})
