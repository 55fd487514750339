"""Tiny transformers with random weights, a tokenizer whose pieces are letters, and vectors taken one text at a time."""

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
)

import crossloss as cl

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [*SPECIAL, ".", "this", "that", "is", "are", "he", "she", "nurse", *LETTERS, *("##" + c for c in LETTERS)]
TOKENIZER = BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)})
SIZES = {"vocab_size": len(PIECES), "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert(kind=BertForSequenceClassification, seed=0, **more):
    torch.manual_seed(seed)
    config = BertConfig(**SIZES, intermediate_size=16, max_position_embeddings=64, initializer_range=0.3, **more)
    return kind(config).double().eval()


def masked_lm(seed=0):
    return bert(BertForMaskedLM, seed, tie_word_embeddings=False)


def gpt2(seed=0):
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=len(PIECES), n_embd=12, n_layer=2, n_head=2, n_positions=64, initializer_range=0.3,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    return GPT2LMHeadModel(config).double().eval()


def field(model):
    """A field whose view an objective sees; its loss is of no interest."""
    ids = torch.tensor(TOKENIZER(["he is."] * 4)["input_ids"])
    forward = lambda m, batch: m(input_ids=batch["x"]).logits  # noqa: E731
    return cl.TorchField(model, lambda out, batch: out.flatten(1).mean(1), {"x": ids}, forward=forward)


def view_of(model):
    made = field(model)
    return made.view(made.initial)


def hidden(model, text, special, layer=-1):
    """Hidden states (t, d) and ids of one text alone, as numpy."""
    ids = TOKENIZER(text, add_special_tokens=special)["input_ids"]
    with torch.no_grad():
        states = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
    return states.numpy(), ids


def pooled(model, text, pooling, word=None, special=True, layer=-1):
    """A vector by the words of the measure's definition; ``word`` is (start, end) of the word in the text."""
    states, ids = hidden(model, text, special, layer)
    if pooling == "mean":
        return states.mean(0) / np.linalg.norm(states.mean(0))
    if pooling == "cls":
        assert ids[0] == 2
        return states[0]
    if pooling == "first-piece":
        return states[1 if special else 0]
    before = len(TOKENIZER(text[: word[0]], add_special_tokens=False)["input_ids"]) + special
    pieces = len(TOKENIZER(text[word[0] : word[1]], add_special_tokens=False)["input_ids"])
    part = states[before : before + pieces]
    return part[-1] if pooling == "last-piece" else part.mean(0)


def check_gradient(objective, model, seed=0, rtol=1e-6):
    """Its gradient is that of central differences along a random direction."""
    made = field(model)
    theta = made.initial.requires_grad_(True)
    value = objective(made.view(theta))
    assert value.shape == ()
    assert value.dtype == torch.float64
    (gradient,) = torch.autograd.grad(value, theta)
    assert gradient.norm() > 0
    along = torch.randn(len(theta), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    step = 1e-6
    with torch.no_grad():
        up, down = (float(objective(made.view(theta + s * along))) for s in (step, -step))
    slope = float(gradient @ along)
    assert abs((up - down) / (2 * step) - slope) < rtol * max(1.0, abs(slope)), ((up - down) / (2 * step), slope)
