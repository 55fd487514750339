"""How many samples a piece may have, from what two samples' graphs hold."""

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import crossloss as cl

module = sys.modules["crossloss.models.torch.activations"]
X, Y = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2


def sums(**more):
    def loss(out, batch):
        return F.cross_entropy(out, batch["y"], reduction="none")

    return cl.TorchField(nn.Linear(3, 2), loss, {"x": X, "y": Y}, **more)


def coupled():
    def loss(model, batch, w):
        return (w * F.cross_entropy(model(batch["x"]), batch["y"], reduction="none")).mean()

    return cl.TorchField(nn.Linear(3, 2), data={"x": X, "y": Y}, loss=loss)


def test_a_straight_line_through_one_and_two_samples(monkeypatch):
    monkeypatch.setattr(module, "_held", lambda field, part: 100 + 7 * len(part.rows))
    assert module.activations(sums()) == (100.0, 7.0, 40)
    assert module.activations(sums(batch_size=8)) == (100.0, 7.0, 8)
    assert module.activations(sums(batch_size=2)) == (100.0, 7.0, 2)
    assert module.activations(sums(batch_size=1)) == (107, 0.0, 1)
    monkeypatch.setattr(module, "_held", lambda field, part: 100 - 7 * len(part.rows))
    assert module.activations(sums()) == (93, 0.0, 40)
    none = sums()
    monkeypatch.setattr(none, "own_parts", lambda step: [])
    assert module.activations(none) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("budget", "chunk"),
    [(10**10, None), (4_400_000_000, None), (4_399_999_998, 1999), (10**9, 300), (402_000_000, 1), (1, 1)],
)
def test_pieces_take_half_of_a_budget(budget, chunk, monkeypatch):
    """200 MB and 1 MB a sample, of 2,000 samples: 2.2 GB."""
    monkeypatch.setattr(module, "activations", lambda field: (2e8, 1e6, 2000))
    field = sums()
    made = module.within(field, budget)
    assert made is field if chunk is None else (made is not field and made.chunk == chunk)
    assert field.chunk == 1024


def test_no_pieces_where_they_would_not_help_or_all_is_small(monkeypatch):
    field = sums()
    monkeypatch.setattr(module, "activations", lambda field: (2e9, 0.0, 2000))
    assert module.within(field, 1) is field
    monkeypatch.setattr(module, "activations", lambda field: (0.0, 5e4, 2000))
    assert module.within(field, 1) is field  # 100 MB
    monkeypatch.setattr(module, "activations", lambda field: (0.0, 5e4, 2020))
    assert module.within(field, 1).chunk == 2000


def test_a_loss_of_the_batch_as_a_whole_takes_the_whole_budget_or_is_refused(monkeypatch):
    monkeypatch.setattr(module, "activations", lambda field: (2e8, 1e6, 2000))
    field = coupled()
    assert module.within(field, 2_200_000_000) is field
    with pytest.raises(cl.UserError, match=r"One batch of 2000 samples takes about 2.2 GB, more than memory 2.19GB"):
        module.within(field, 2_190_000_000)
