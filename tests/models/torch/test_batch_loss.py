"""The loss of a batch with the weights inside: means over tokens, samples that are each other's negatives."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.core import UserError
from differences import agree

F64 = torch.float64
N, LENGTH, WORDS = 10, 4, 6


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(WORDS, 5), nn.Linear(5, WORDS)

    def forward(self, x):
        return self.head(torch.tanh(self.table(x)))


def tokens():
    draw = torch.Generator().manual_seed(3)
    x = torch.randint(0, WORDS, (N, LENGTH), generator=draw)
    labels = torch.randint(0, WORDS, (N, LENGTH), generator=draw)
    labels[torch.rand(N, LENGTH, generator=draw) < 0.4] = -100
    labels[:, 0] = 1
    return {"x": x, "labels": labels}


def token_losses(model, batch):
    return F.cross_entropy(model(batch["x"]).transpose(1, 2), batch["labels"], reduction="none")


def by_token(model, batch, w):
    return cl.losses.token_mean(token_losses(model, batch), batch["labels"] != -100, w)


ORDER = [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9, 0], [3, 1, 7], [2, 5, 9, 8]]


def model_of(kind):
    torch.manual_seed(0)
    return kind().double()


POINT = torch.linspace(-1, 1, 4, dtype=F64)[None]


def spelled_out(w):
    """The mean over tokens written by hand, in a loop of torch.optim."""
    model, data = model_of(Tagger), tokens()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, eps=1e-3)
    for rows in ORDER:
        batch = {name: part[rows] for name, part in data.items()}
        out, total, count = model(batch["x"]), 0.0, 0
        for i, row in enumerate(rows):
            for t in range(LENGTH):
                if batch["labels"][i, t] != -100:
                    total = total - w[row] * out[i, t].log_softmax(0)[batch["labels"][i, t]]
                    count += 1
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    return model


FORMS = {
    "token_mean": {"loss": by_token},
    "a sum over samples": {
        "sample_loss": lambda out, b: F.cross_entropy(out.transpose(1, 2), b["labels"], reduction="none").sum(1),
        "denominator": lambda b: (b["labels"] != -100).sum(),
    },
    "a weighted sum": {
        "loss": lambda m, b, w: (w[:, None] * token_losses(m, b)).sum(),
        "denominator": lambda b: (b["labels"] != -100).sum(),
    },
}


def probe(model):
    return model(torch.arange(WORDS)[None])[0, :, 2].sum()


@pytest.mark.parametrize("chunk", [1024, 2])
@pytest.mark.parametrize("form", FORMS)
def test_scores_of_a_mean_over_tokens_are_those_of_the_loop(form, chunk):
    field = cl.TorchField(model_of(Tagger), data=tokens(), order=ORDER, chunk=chunk, **FORMS[form])
    run = cl.train(field, cl.Adam(lr=1e-2, eps=1e-3), steps=len(ORDER))
    final = dict(spelled_out(torch.ones(N, dtype=F64)).named_parameters())
    for name in final:
        torch.testing.assert_close(run.view[name], final[name].detach(), rtol=1e-9, atol=1e-12)
    agree(cl.score(run, [probe]).samples[0], spelled_out, probe, N, (0, 1, 5, 8))


def test_the_mean_over_tokens_is_torchs_own_at_weight_one():
    model, data = model_of(Tagger), tokens()
    found = by_token(model, data, torch.ones(N, dtype=F64))
    torch.testing.assert_close(found, F.cross_entropy(model(data["x"]).flatten(0, 1), data["labels"].flatten()))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))

    def forward(self, x):
        return F.normalize(self.body(x), dim=-1)


def pairs():
    draw = torch.Generator().manual_seed(4)
    a = torch.randn(N, 4, generator=draw, dtype=F64)
    return {"a": a, "b": a + 0.3 * torch.randn(N, 4, generator=draw, dtype=F64)}


def contrastive(model, batch, w):
    return cl.losses.in_batch_negatives(3 * model(batch["a"]) @ model(batch["b"]).T, w)


def direction(model):
    return model(POINT)[0, 0]


def contrastive_loop(w):
    model, data = model_of(Encoder), pairs()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    for rows in ORDER:
        s = 3 * model(data["a"][rows]) @ model(data["b"][rows]).T
        loss = 0.0
        for i, row in enumerate(rows):
            among = s[i, i].exp() + sum(w[other] * s[i, j].exp() for j, other in enumerate(rows) if j != i)
            loss = loss + w[row] * (among.log() - s[i, i]) / len(rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def contrastive_run(weights=None):
    field = cl.TorchField(model_of(Encoder), data=pairs(), loss=contrastive, order=ORDER)
    return cl.train(field, cl.SGD(0.3, momentum=0.9), steps=len(ORDER), weights=weights)


def test_scores_of_in_batch_negatives_are_those_of_the_loop():
    scores = cl.score(contrastive_run(), [direction]).samples[0]
    agree(scores, contrastive_loop, direction, N, (0, 3, 6, 9))


def test_a_pair_of_weight_zero_is_as_if_it_were_not_in_the_batch():
    """Its own term and its presence as a negative are gone; B, a constant, stays."""
    s, w = torch.randn(5, 5, dtype=F64), torch.ones(5, dtype=F64)
    torch.testing.assert_close(cl.losses.in_batch_negatives(s, w), F.cross_entropy(s, torch.arange(5)))
    w[2] = 0
    kept = torch.tensor([0, 1, 3, 4])
    without = F.cross_entropy(s[kept][:, kept], torch.arange(4), reduction="sum") / 5
    torch.testing.assert_close(cl.losses.in_batch_negatives(s, w), without)
    scores = cl.score(contrastive_run(np.r_[np.ones(N - 1), 0]), [direction]).samples[0]
    assert scores[-1] != 0, "a candidate is scored"


@pytest.mark.parametrize("estimator", ["gradient-dot", "tracin", "inverse-hessian-gmres"])
def test_estimators_of_the_training_loss_take_the_batches_of_an_epoch(estimator):
    field = cl.TorchField(model_of(Encoder), data=pairs(), loss=contrastive, batch_size=4, seed=1)
    run = cl.train(field, cl.SGD(0.3), steps=6)
    scores = cl.score(run, [direction], estimator, **({"damping": 1.0} if "inverse" in estimator else {})).samples[0]
    assert np.isfinite(scores).all()
    if estimator == "gradient-dot":  # by hand, over the three batches of the first epoch
        w, model = torch.ones(N, dtype=F64, requires_grad=True), copy.deepcopy(field.module)
        nn.utils.vector_to_parameters(run.theta, model.parameters())
        parameters, data = list(model.parameters()), pairs()
        batches = [field.batch(t) for t in range(3)]
        total = sum(
            len(r) / N * contrastive(model, {name: part[r] for name, part in data.items()}, w[r]) for r in batches
        )
        g = torch.autograd.grad(total, parameters, create_graph=True)
        f = torch.autograd.grad(direction(model), parameters)
        (expected,) = torch.autograd.grad(-sum((a * b).sum() for a, b in zip(g, f, strict=True)), w)
        np.testing.assert_allclose(scores, expected.numpy(), rtol=1e-9, atol=1e-12)


def test_a_stored_run_of_a_batch_loss_opens_again(tmp_path):
    field = cl.TorchField(model_of(Encoder), data=pairs(), loss=contrastive, order=ORDER)
    with cl.train(field, cl.SGD(0.3), steps=5, out=tmp_path / "run") as run:
        before = cl.score(run, [direction]).samples
    with cl.load(tmp_path / "run", field) as again:
        np.testing.assert_allclose(cl.score(again, [direction]).samples, before)


X = torch.randn(6, 3, dtype=F64)
REFUSED = {
    "neither loss": ({}, "either sample_loss"),
    "both losses": ({"sample_loss": F.mse_loss, "loss": by_token}, "either sample_loss"),
    "data in place of a loss": ({"sample_loss": X}, "give a function"),
    "forward": ({"loss": by_token, "forward": lambda m, b: m(b)}, "forward= is not used"),
    "no scalar": ({"loss": lambda m, b, w: w * m(b).sum(1)}, r"one scalar.*\(2,\)"),
    "no weights": ({"loss": lambda m, b, w: m(b).square().mean()}, "does not depend on the weights"),
    "detached weights": ({"loss": lambda m, b, w: (w.detach()[:, None] * m(b)).mean()}, "does not depend on the weigh"),
    "nothing counted": ({"sample_loss": lambda o, b: o.sum(1), "denominator": lambda b: 0 * b.sum()}, "above 0"),
    "no sum over samples": (
        {"loss": lambda m, b, w: (w[:, None] * m(b).softmax(0)).square().sum(), "denominator": len},
        "depends on the other samples",
    ),
    "not finite": ({"loss": lambda m, b, w: (w[:, None] * m(b)).sum() / 0}, "batch of the samples 0, 1, 2"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_loss_of_a_batch_is_one_sentence(reason):
    options, message = REFUSED[reason]
    with pytest.raises(UserError, match=message) as caught:
        cl.train(cl.TorchField(nn.Linear(3, 3).double(), data=X, **options), cl.SGD(0.1), steps=1)
    assert "\n" not in str(caught.value)


def test_no_data_and_curvature_of_batches_are_refused():
    with pytest.raises(UserError, match="no data"):
        cl.TorchField(nn.Linear(3, 3), F.mse_loss)
    run = contrastive_run()
    with pytest.raises(UserError, match="loss of the batch as a whole"):
        run.field.curvature("ggn", run.theta, run.trajectory.weights)


def test_shapes_of_the_losses():
    with pytest.raises(UserError, match="weights"):
        cl.losses.token_mean(torch.ones(2, 3), torch.ones(2), torch.ones(2))
    with pytest.raises(UserError, match="without a token"):
        cl.losses.token_mean(torch.ones(2, 3), torch.zeros(2, 3), torch.ones(2))
    with pytest.raises(UserError, match="B, B"):
        cl.losses.in_batch_negatives(torch.ones(2, 3), torch.ones(2))
