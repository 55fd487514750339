"""Pullbacks of many directions: in batches, at one point again and again, through what cannot be batched."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_models import F64, N, Words, cross_entropy, field_of, make, mlp

import crossloss as cl
import crossloss.models.torch.linearisation as linearisation_module
from crossloss.core import FULL_BATCH
from crossloss.models.torch.module import intermediates


@pytest.mark.parametrize("at_once", [16_384, 3 * N, 1])
def test_many_directions_at_once_equal_one_at_a_time(at_once, monkeypatch):
    monkeypatch.setattr(linearisation_module, "AT_ONCE", at_once)
    for kind in ("mlp", "lstm", "sparse", "transformer"):
        field = field_of(make(kind))
        w, a = torch.rand(N, dtype=F64), torch.randn(7, len(field.initial), dtype=F64)
        together, apart = field.accumulator(7), field.accumulator(1)
        back = field.at(field.initial, w, 0).pullback(a, together)
        rows = []
        for j, row in enumerate(a):
            apart.sums.zero_()
            rows.append(field.at(field.initial, w, 0).pullback(row[None], apart)[0])
            torch.testing.assert_close(together.samples()[j], apart.samples()[0], rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(back, torch.stack(rows), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("at_once", [1, 60, 10**9])
def test_directions_are_batched_by_the_size_of_what_lies_between_and_that_changes_nothing(monkeypatch, at_once):
    field = field_of(make("mlp"))
    w, a = torch.rand(N, dtype=F64), torch.randn(7, len(field.initial), dtype=F64)
    found = []
    for limit in (at_once, linearisation_module.AT_ONCE):
        monkeypatch.setattr(linearisation_module, "AT_ONCE", limit)
        into = field.accumulator(7)
        found.append(torch.cat([field.at(field.initial, w, 0).pullback(a, into), into.samples()], 1))
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
    at = field.at(field.initial, w, 1)
    for k in (2, 1, 3):
        a = torch.randn(k, p, dtype=F64)
        mine, own = field.accumulator(k), field.accumulator(k)
        called.clear()
        back = at.pullback(a, mine)
        assert chunk < N or k == 2 or not called, "the gradient was computed again"
        torch.testing.assert_close(back, field.at(field.initial, w, 1).pullback(a, own), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(mine.samples(), own.samples(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["regularised", "mini-batches", "embedding", "lstm", "dropout", "bags"])
def test_a_weight_gradient_is_what_a_pullback_adds(kind):
    field = field_of(make(kind))
    w, p = torch.rand(N, dtype=F64), len(field.initial)
    for step, k in ((1, 3), (FULL_BATCH, 3), (FULL_BATCH, p + 2)):
        a = torch.randn(k, p, dtype=F64)
        whole, part = field.accumulator(k), field.accumulator(k)
        field.at(field.initial, w, step).pullback(a, whole)
        field.at(field.initial, w, step).weight_gradient(a, part)
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
        back.append(torch.cat([field.at(field.initial, w, 0).pullback(a, into), into.samples()], 1))
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
    field = cl.TorchField(mlp(), lambda out, b: Broken.apply(out).sum(1), torch.randn(N, 4))
    with pytest.raises(RuntimeError, match="of its own"):
        field.gradient(field.initial, torch.ones(N), 0)


def test_what_does_not_depend_on_the_parameters_adds_nothing():
    case = make("mlp")
    w, a = torch.rand(N, dtype=F64), torch.randn(2, len(field_of(case).initial), dtype=F64)
    still = field_of(case, regulariser=lambda view: torch.ones((), dtype=F64))
    plain, sums = field_of(case), [field_of(case).accumulator(2) for _ in range(2)]
    assert torch.equal(still.gradient(still.initial, w, 0), plain.gradient(plain.initial, w, 0))
    assert still.loss(still.initial, w) == pytest.approx(plain.loss(plain.initial, w) + 1)
    backs = [f.at(f.initial, w, 0).pullback(a, into) for f, into in zip((still, plain), sums, strict=True)]
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
