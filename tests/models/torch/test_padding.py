"""Padding rows of tied embeddings: torch leaves out what the embedding reads of one, not what the decoder does."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from differences import agree

F64 = torch.float64
N, LENGTH, WORDS = 6, 5, 12


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(WORDS, 4, padding_idx=0), nn.Linear(4, WORDS)
        nn.init.normal_(self.table.weight)
        self.head.weight = self.table.weight
        self.again = self.table  # a layer with two names

    def forward(self, x):
        return self.head(torch.tanh(self.table(x) + 0.1 * self.again(x.flip(1))))


class Scaled(nn.Embedding):
    """A subclass with a forward of its own, as some translation models have."""

    def forward(self, x):
        return 2 * super().forward(x)


class Rescaled(Tied):
    def __init__(self):
        super().__init__()
        scaled = Scaled(WORDS, 4, padding_idx=3)
        scaled.weight = self.table.weight
        self.table = scaled


def bert():
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=WORDS, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=LENGTH, attn_implementation="eager",
    )  # fmt: skip
    return Outputs(BertForMaskedLM(config))


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=WORDS, n_embd=8, n_layer=1, n_head=2, n_positions=LENGTH)
    return Outputs(GPT2LMHeadModel(config))


class Outputs(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(input_ids=x, attention_mask=(x != 0).long()).logits


MODELS = {"tied": Tied, "subclass": Rescaled, "bert": bert, "gpt2": gpt2}


def model_of(kind):
    if kind in ("bert", "gpt2"):
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = MODELS[kind]().double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, dtype=F64))  # padding rows that are not zero, and all biases
    return model.eval()


def data():
    draw = torch.Generator().manual_seed(5)
    x, labels = (torch.randint(1, WORDS, (N, LENGTH), generator=draw) for _ in range(2))
    x[1, 3:] = x[4, 2:] = 0
    return {"x": x, "labels": torch.where(x == 0, -100, labels)}


def loss(model, batch, w):
    losses = F.cross_entropy(model(batch["x"]).transpose(1, 2), batch["labels"], reduction="none")
    return cl.losses.token_mean(losses, batch["labels"] != -100, w)


def objective(model):
    return model(torch.tensor([[2, 1, 4, 0, 0]])).log_softmax(-1)[0, 1, 2]


def loop(kind):
    def trained(w):
        model, rows = model_of(kind), data()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, eps=1e-2)
        for _ in range(4):
            optimizer.zero_grad()
            loss(model, rows, w).backward()
            optimizer.step()
        return model

    return trained


@pytest.mark.parametrize("kind", MODELS)
def test_the_gradient_is_torchs_own_and_scores_are_those_of_the_loop(kind):
    model, w = model_of(kind), torch.ones(N, dtype=F64)
    field = cl.TorchField(model, data=data(), loss=loss)
    loss(model, data(), w).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    torch.testing.assert_close(field.gradient(field.initial, w, 0), expected, rtol=1e-11, atol=1e-13)
    cl.check_field(field, field.initial, w)
    run = cl.train(field, cl.Adam(lr=1e-2, eps=1e-2), steps=4)
    agree(cl.score(run, [objective]).samples[0], loop(kind), objective, N, (0, 1, 4))


def test_the_padding_row_of_a_tied_table_moves():
    """Injected fault: held as an untied one is, the scores are others."""
    run = cl.train(cl.TorchField(model_of("tied"), data=data(), loss=loss), cl.Adam(lr=1e-2, eps=1e-2), steps=4)
    assert not torch.equal(run.view["table.weight"][0], model_of("tied").table.weight[0])
    assert np.abs(cl.score(run, [objective]).samples).max() > 0
