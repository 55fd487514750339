"""Batches evaluated in pieces, in one process or in several: the same numbers as at once, random numbers too."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.core import FULL_BATCH
from crossloss.models.torch.module import DrawsOfTheWhole
from distributed_sample import results, together

F64 = torch.float64
N, LONG, WORDS = 14, 5, 7


class Tagger(nn.Module):
    """Words to logits of words, with attention and dropout wherever a transformer has it."""

    def __init__(self, p):
        super().__init__()
        self.table, self.norm, self.out = nn.Embedding(WORDS, 8), nn.LayerNorm(8), nn.Linear(8, WORDS)
        self.p, self.drop = p, nn.Dropout(p)

    def forward(self, x):
        h = self.drop(self.table(x))
        q = h.view(*x.shape, 2, 4).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, q, q, dropout_p=self.p if self.training else 0.0)
        h = self.norm(h + self.drop(mixed.transpose(1, 2).reshape(h.shape)))
        return self.out(self.drop(h.flatten(0, 1))).view(*x.shape, WORDS)  # rows and words end to end


def data():
    draw = torch.Generator().manual_seed(0)
    x, labels = (torch.randint(0, WORDS, (N, LONG), generator=draw) for _ in range(2))
    labels[torch.rand(N, LONG, generator=draw) < 0.3] = -100
    return {"x": x, "labels": labels}


def by_token(model, batch):
    return F.cross_entropy(model(batch["x"]).transpose(1, 2), batch["labels"], reduction="none")


def token_sum(model, batch, w):
    return ((w if w.dim() == 2 else w[:, None]) * by_token(model, batch)).sum()


def token_mean(model, batch, w):
    return cl.losses.token_mean(by_token(model, batch), batch["labels"] != -100, w)


def model(p=0.0, seed=1):
    torch.manual_seed(seed)
    return Tagger(p).double().train(p > 0)


def tokens(batch):
    return (batch["labels"] != -100).sum()


def by_sample(out, batch):
    return F.cross_entropy(out.transpose(1, 2), batch["labels"], reduction="none").sum(1)


KINDS = {
    "sample loss": {"sample_loss": by_sample},
    "token mean": {"loss": token_sum, "denominator": tokens},
    "additive": {"loss": lambda m, b, w: token_sum(m, b, w) / 20, "additive": True},
    "dropout": {"loss": token_sum, "denominator": tokens, "dropout_seed": 3, "p": 0.3},
}


def field(kind, chunk=1024, batch_size=7, **more):
    given = KINDS[kind] | more
    p = given.pop("p", 0.0)
    return cl.TorchField(model(p), data=data(), batch_size=batch_size, chunk=chunk, **given)


def held_out(m):
    x = torch.arange(10).view(2, LONG) % WORDS
    return F.cross_entropy(m(x).flatten(0, 1), x.flip(1).flatten())


def passes(f):
    theta, w = f.initial, torch.linspace(0.5, 1.5, N, dtype=F64)
    a = torch.randn(2, len(theta), generator=torch.Generator().manual_seed(5), dtype=F64)
    found = [torch.tensor([f.loss(theta, w), f.loss(theta, w, 1)])]
    for step in (0, 1, FULL_BATCH):
        at, into = f.at(theta, w, step), f.accumulator(2)
        found += [f.gradient(theta, w, step), at.value, at.pullback(a, into), into.samples()]
        only = f.accumulator(2)
        f.at(theta, w, step).weight_gradient(a, only)
        torch.testing.assert_close(only.samples(), into.samples(), rtol=1e-9, atol=1e-12)
    return [x.numpy() for x in found]


def same(found, expected, rtol=1e-10):
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 3, 6])
def test_pieces_are_the_whole(kind, chunk):
    parts = field(kind, chunk).parts(0)
    assert sum(len(part.rows) for part in parts) == 7
    assert max(len(part.rows) for part in parts) <= chunk
    same(passes(field(kind, chunk)), passes(field(kind)))


def test_the_mean_over_tokens_in_pieces_is_token_mean():
    whole = field("token mean", denominator=None, loss=token_mean)
    theta, w = whole.initial, torch.linspace(0.5, 1.5, N, dtype=F64)
    pieces = field("token mean", 2)
    torch.testing.assert_close(pieces.gradient(theta, w, 1), whole.gradient(theta, w, 1), rtol=1e-11, atol=1e-13)


def trained(f, out=None):
    run = cl.train(f, cl.ClipNorm(cl.AdamW(lr=0.02, eps=1e-3), 0.5), steps=5, out=out)
    with run:
        weights = run.weights
        weights[3] = 0
        scores = cl.score(run, [held_out]).samples
        return (
            run.theta.numpy(),
            scores,
            run.retrain(weights).theta.numpy(),
            cl.score(run, [held_out], "tracin").samples,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_scores_in_pieces_and_in_processes_are_those_of_one(kind, tmp_path):
    expected = trained(field(kind))
    same(trained(field(kind, 2)), expected, 1e-7)
    for found in results(2, lambda rank: trained(field(kind), tmp_path / "two")):
        same(found, expected, 1e-7)
    for found in results(3, lambda rank: passes(field(kind, 2))):
        same(found, passes(field(kind)))


def test_more_processes_than_rows():
    for found in results(3, lambda rank: passes(field("dropout", batch_size=2))):
        same(found, passes(field("dropout", batch_size=2)))
    for found in results(3, lambda rank: trained(field("dropout", batch_size=2))):
        same(found, trained(field("dropout", batch_size=2)), 1e-7)


def test_penalty_and_frozen_are_counted_once():
    def clustering():
        torch.manual_seed(0)
        net = nn.Linear(3, 2).double()
        x = torch.randn(N, 3, generator=torch.Generator().manual_seed(2), dtype=F64)

        def target(m, w):
            q = torch.softmax(m(x), 1)
            return (q**2 / (w[:, None] * q).sum(0)).softmax(1)

        def loss(out, batch, p):
            return (p * (p.log() - out.log_softmax(1))).sum(1)

        return cl.TorchField(
            net, loss, x, frozen=target, batch_size=5, chunk=2, regulariser=lambda m: 0.1 * m["weight"].square().sum()
        )

    for found in results(2, lambda rank: passes(clustering())):
        same(found, passes(clustering()))


def test_token_scores_of_all_processes():
    def found(rank=0):
        run = cl.train(field("token mean"), cl.SGD(lr=0.1), steps=4)
        return cl.token_scores(run, held_out, [2, 9])

    for tokens_ in results(2, found):
        same([tokens_], [found()], 1e-8)


def test_a_coupled_loss_is_not_dealt_over_processes():
    coupled = field("token mean", denominator=None, loss=token_mean)
    codes = together(2, lambda rank: trained(coupled))
    assert [code for code, *_ in codes] == [2, 2]
    assert "which 2 processes cannot share: take one process" in codes[0][1]


def test_draws_that_are_not_of_samples_first_are_not_dealt():
    class Sideways(Tagger):
        def forward(self, x):
            return self.out(self.drop(self.table(x).transpose(0, 1)).transpose(0, 1))

    torch.manual_seed(0)
    net = Sideways(0.5).double().train()
    made = {"data": data(), "loss": token_sum, "denominator": tokens, "dropout_seed": 1, "batch_size": 10}
    whole = passes(cl.TorchField(net, **made))
    for chunk in (5, 3, 1):
        field = cl.TorchField(net, chunk=chunk, **made)
        assert len(field.parts(0)) == 1
        same(passes(field), whole)
    (code, sentence, _), _ = together(2, lambda rank: trained(cl.TorchField(net, **made)))
    assert code == 2
    assert "2 processes cannot share its batches: take one process" in sentence


def test_every_way_to_draw_takes_the_rows_of_the_whole():
    for draw in (torch.rand_like, torch.randn_like, lambda x: torch.empty_like(x).uniform_(1, 2)):
        torch.manual_seed(0)
        whole = draw(torch.zeros(6, 4))
        torch.manual_seed(0)
        with DrawsOfTheWhole(2, 3, 6):
            piece = draw(torch.zeros(3, 4))
        assert torch.equal(piece, whole[2:5])
