"""Scores by token against finite differences of a loop with a weight for every token, and sums over rows."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_batch_loss import LENGTH, ORDER, Tagger, by_token, model_of, probe, token_losses, tokens

import crossloss as cl
from capabilities import SkipGramExact
from crossloss.core import UserError

N = 10


def trained(loss=by_token, **more):
    field = cl.TorchField(model_of(Tagger), data=tokens(), loss=loss, order=ORDER, **more)
    return cl.train(field, cl.Adam(lr=1e-2, eps=1e-3), steps=len(ORDER), weights=np.linspace(0.5, 1.5, N))


def looped(w):
    """The loop of torch.optim with weights (N, LENGTH) of tokens."""
    model, data = model_of(Tagger), tokens()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, eps=1e-3)
    for rows in ORDER:
        batch = {name: part[rows] for name, part in data.items()}
        counted = batch["labels"] != -100
        optimizer.zero_grad()
        ((w[rows] * token_losses(model, batch))[counted].sum() / counted.sum()).backward()
        optimizer.step()
    return model


def test_they_are_the_slopes_of_a_loop_with_weights_of_tokens():
    run, rows, h = trained(), [7, 0, 4], 1e-5
    found = cl.token_scores(run, probe, rows)
    assert found.shape == (3, LENGTH)
    assert found.dtype == np.float64
    start = torch.linspace(0.5, 1.5, N, dtype=torch.float64)[:, None].repeat(1, LENGTH)
    largest = np.abs(found).max()
    for i, row in enumerate(rows):
        for t in range(LENGTH):
            values = []
            for side in (h, -h):
                w = start.clone()
                w[row, t] += side
                values.append(float(probe(looped(w)).detach()))
            assert found[i, t] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6, abs=1e-7 * largest)


@pytest.mark.parametrize("form", ["token_mean", "denominator"])
def test_they_add_up_to_the_scores_of_the_rows(form):
    def weighted(model, batch, w):
        return ((w if w.dim() == 2 else w[:, None]) * token_losses(model, batch)).sum()

    more = {"loss": weighted, "denominator": lambda b: (b["labels"] != -100).sum(), "chunk": 2}
    run = trained() if form == "token_mean" else trained(**more)
    scores = cl.score(run, [probe])
    found = scores.tokens(range(N))
    np.testing.assert_allclose(found.sum(1), scores.of(), rtol=1e-10, atol=1e-14)
    assert (found[(tokens()["labels"] == -100).numpy()] == 0).all()
    np.testing.assert_array_equal(scores.tokens([3]), found[[3]])


def test_tokens_predicted_from_those_before_have_one_loss_less():
    def shifted(model, batch, w):
        losses = F.cross_entropy(model(batch["x"])[:, :-1].transpose(1, 2), batch["x"][:, 1:], reduction="none")
        return cl.losses.token_mean(losses, torch.ones_like(losses), w)

    run = trained(shifted)
    with pytest.raises(UserError, match=f"no weights \\(B, {LENGTH}\\).*length="):
        cl.token_scores(run, probe, [0])
    scores = cl.score(run, [probe])
    found = scores.tokens([0, 5], length=LENGTH - 1)
    np.testing.assert_allclose(found.sum(1), scores.of()[[0, 5]], rtol=1e-10)


def test_what_is_refused():
    run = trained()

    def squares(model, batch, w):
        return ((w[:, None] if w.dim() == 1 else w**2) * token_losses(model, batch)).mean()

    plain = cl.train(cl.TorchField(model_of(Tagger), data=tokens(), loss=squares), cl.SGD(0.1), steps=1)  # weights 1
    rowwise = cl.TorchField(model_of(Tagger), lambda out, b: out.sum((1, 2)), tokens())
    for call, says in (
        (lambda: cl.token_scores(cl.train(rowwise, cl.SGD(0.1), steps=1), probe, [0]), "token_mean"),
        (lambda: cl.token_scores(plain, probe, [0]), "its own weight"),
        (lambda: cl.token_scores(SkipGramExact().run(None), probe, [0]), "explain"),
        (lambda: cl.token_scores(run, probe, [0, 0]), "twice"),
        (lambda: cl.token_scores(run, probe, [N]), "rows are 0 to 9"),
        (lambda: cl.token_scores(run, probe, [0], length=0), "length is 0"),
        (lambda: cl.token_scores(cl.imported(run.field), probe, [0]), "trained elsewhere"),
        (lambda: cl.score(run, [probe], "gradient-dot").tokens([0]), "only unrolled"),
    ):
        with pytest.raises(UserError, match=says):
            call()
