"""Pieces that begin with a space, and a tokenizer without padding, unknown or mask token, as GPT-2 has them."""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
from contextual_tiny import view_of
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import crossloss as cl

TEXTS = ["This is a nurse.", "That is a long sentence on a woman.", "he is here.", "she is there, a nurse."]


@pytest.fixture(scope="module")
def tokenizer():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, initial_alphabet=alphabet, special_tokens=["<|end|>"], show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<|end|>", eos_token="<|end|>")


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    sizes = {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 40, "initializer_range": 0.3}
    config = GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **sizes)
    return GPT2LMHeadModel(config).double().eval()


def test_a_words_pieces_are_found_behind_its_space(tokenizer, model):
    words = [cl.objectives.Sentence(text, text.index(w), text.index(w) + len(w)) for text, w in zip(
        TEXTS, ("nurse", "woman", "he", "there"), strict=True)]  # fmt: skip
    weights = torch.linspace(-1, 1, 8, dtype=torch.float64)
    for sentence in words:
        ids = tokenizer(sentence.text)["input_ids"]
        pieces = tokenizer.convert_ids_to_tokens(ids)
        starts = np.cumsum([0, *map(len, pieces)])
        own = [i for i in range(len(ids)) if starts[i] < sentence.end and starts[i + 1] > sentence.start]
        assert "".join(pieces[i] for i in own).strip("Ġ") == sentence.word
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0]
        test = cl.objectives.probe(sentence, weights, tokenizer, pooling="word")
        assert float(test(view_of(model))) == pytest.approx(float(hidden[own].mean(0) @ weights), abs=1e-6)
    # Together, padded with a piece that is one of the vocabulary.
    alone = [float(cl.objectives.probe(s, weights, tokenizer, pooling="word")(view_of(model))) for s in words]
    together = cl.objectives.probe(words, weights, tokenizer, pooling="word")
    assert float(together(view_of(model))) == pytest.approx(np.mean(alone), abs=1e-10)


def test_likelihoods_are_those_of_transformers_own_loss(tokenizer, model):
    pairs = [("he is here.", "she is here."), (TEXTS[0], TEXTS[1])]
    test = cl.objectives.likelihood_difference(pairs, tokenizer, model="causal")
    found = []
    for pair in pairs:
        sums = []
        for text in pair:
            ids = torch.tensor([[0, *tokenizer(text)["input_ids"]]])
            with torch.no_grad():
                sums.append(-float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1))
        found.append(sums[0] - sums[1])
    # transformers takes its loss in float32
    assert float(test(view_of(model))) == pytest.approx(np.mean(found), rel=1e-6)


def test_poolings_and_measures_that_need_other_tokens_are_refused(tokenizer):
    with pytest.raises(cl.UserError, match="no cls token"):
        cl.objectives.seat("seat6", tokenizer, pooling="cls")
    with pytest.raises(cl.UserError, match="no mask token"):
        cl.objectives.log_probability_bias(["he"], ["she"], ["nurse"], tokenizer)
