"""Gradients of single samples by layers: against autograd, sample by sample, for transformers and plain models."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.core import FULL_BATCH, UserError

F64 = torch.float64


def one_by_one(field, theta):
    """Gradient of each sample's own term of the training loss, (n, p): that of the loss is linear in the weights."""
    at_zero = field.gradient(theta, torch.zeros(field.samples, dtype=F64), FULL_BATCH)
    units = torch.eye(field.samples, dtype=F64)
    return torch.stack([field.gradient(theta, unit, FULL_BATCH) - at_zero for unit in units])


def all_of(gradients, size, n):
    """Dense gradients (n, p) of all parts, and which parameters they are of."""
    found, part = torch.zeros(n, size, dtype=F64), torch.zeros(size, dtype=torch.bool)
    for number, count in enumerate(gradients.parts):
        rows, factors = gradients.part(number)
        assert len(rows) == count
        for block, of in zip(gradients.blocks, factors, strict=True):
            where = slice(block.start, block.stop)
            found[rows, where] += of.dense(slice(None)).reshape(count, -1).to(F64)
            part[where] = True
    return found, part


def recorded(case, tmp_path, **more):
    pytest.importorskip("accelerate")
    pytest.importorskip("transformers")
    from crossloss.integrations.transformers import record
    from trainers import CASES

    made = CASES[case](tmp_path, adam_epsilon=1e-3, **({"num_train_epochs": 1} | more))
    made.model.double()
    recorder = record(made)
    made.train()
    return recorder.finish(accept=1e-6)


@pytest.mark.parametrize("case", ["BERT, masked", "GPT-2", "BERT, classes", "BERT, a number"])
def test_a_trainers_rows_have_the_gradients_of_autograd(case, tmp_path):
    """All parameters but those named: tied embeddings and position embeddings too."""
    run = recorded(case, tmp_path)
    gradients = run.field.sample_gradients(run.theta)
    found, part = all_of(gradients, len(run.theta), run.field.samples)
    expected = one_by_one(run.field, run.theta)
    loose = 1e-5 if case == "GPT-2" else 1e-9  # whose loss is in float32
    torch.testing.assert_close(found, expected * part, rtol=loose, atol=loose * float(expected.abs().max()))
    left = run.field.left_out("sample-gradients")
    assert sum(size for _, size in left) == int((~part).sum())
    assert [name for name, _ in left] == (["cls.predictions.bias"] if case == "BERT, masked" else [])


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.norm, self.last = nn.LayerNorm(8), nn.Linear(8, 3)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        h = F.relu(self.first(x), inplace=True).flatten(1)
        return self.scale * self.last(self.last(self.norm(h)).repeat(1, 3)[:, :8])  # called twice


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.inner = nn.Embedding(7, 4, padding_idx=0), nn.Linear(4, 4)
        nn.init.normal_(self.table.weight)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        h = self.inner(self.table(x))
        h = self.attention(h, h, h, need_weights=False)[0]
        return h.mean(1)[:, :3]


N = 9
PLAIN = {
    "convolutions": (Convolutions, torch.randn(N, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64),
                     ["scale"]),
    "words": (Words, torch.arange(N * 3).reshape(N, 3) % 7,
              ["attention.in_proj_weight", "attention.in_proj_bias", "attention.out_proj.weight",
               "attention.out_proj.bias"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_field_has_those_of_known_layers(name):
    make, x, left = PLAIN[name]
    torch.manual_seed(0)
    field = cl.TorchField(
        make().double().eval(), lambda out, b: F.cross_entropy(out, b["y"], reduction="none"),
        {"x": x, "y": torch.arange(N) % 3}, chunk=4,
    )  # fmt: skip
    theta = field.initial
    found, part = all_of(field.sample_gradients(theta), len(theta), N)
    expected = one_by_one(field, theta)
    torch.testing.assert_close(found, expected * part, rtol=1e-9, atol=1e-12)
    assert found[:, part].any(0).sum() > 0.5 * part.sum()
    assert [name for name, _ in field.left_out("sample-gradients")] == left


def test_projections_and_products_are_those_of_the_dense_gradient():
    make, x, _ = PLAIN["words"]
    torch.manual_seed(0)
    field = cl.TorchField(
        make().double().eval(), lambda out, b: F.cross_entropy(out, b["y"], reduction="none"),
        {"x": x, "y": torch.arange(N) % 3},
    )  # fmt: skip
    gradients = field.sample_gradients(field.initial)
    draw = torch.Generator().manual_seed(1)
    for block, factors in zip(gradients.blocks, gradients.part(0)[1], strict=True):
        dense = factors.dense(slice(None))
        left = torch.randn(block.rows, 2, generator=draw, dtype=F64)
        right = torch.randn(block.columns, 3, generator=draw, dtype=F64) if block.columns > 1 else None
        for first, second in ((left, right), (None, right), (left, None), (None, None)):
            expected = dense if first is None else first.T @ dense
            expected = expected if second is None else expected @ second
            torch.testing.assert_close(factors.projected(first, second), expected)
        torch.testing.assert_close(factors.dense(slice(2, 5)), dense[2:5])


def field_of(**more):
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x = torch.randn(N, 4, generator=torch.Generator().manual_seed(2), dtype=F64)
    return cl.TorchField(model, data={"x": x, "y": torch.arange(N) % 3}, **more)


REFUSED = {
    "coupled": lambda: field_of(
        loss=lambda model, b, w: cl.losses.in_batch_negatives(model(b["x"]) @ model(b["x"]).T, w), batch_size=4
    ),
    "outside": lambda: field_of(
        loss=lambda model, b, w: (w * (model(b["x"]) + b["x"] @ model["0.weight"].T[:, :3]).square().sum(1)).mean()
    ),
    "frozen": lambda: field_of(
        sample_loss=lambda out, b, p: (p * out).sum(1), frozen=lambda view, w: view(torch.ones(N, 4).double())
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_gradients_of_single_samples_says_so(what):
    field = REFUSED[what]()
    with pytest.raises(UserError, match=r"frozen=" if what == "frozen" else "couples the samples of a batch"):
        field.sample_gradients(field.initial)
