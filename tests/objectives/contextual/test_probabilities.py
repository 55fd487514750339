"""Log-probability bias and likelihood differences against softmaxes of one sentence at a time, in numpy."""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
from contextual_tiny import PIECES, TOKENIZER, bert, check_gradient, gpt2, masked_lm, view_of
from transformers import BertTokenizer

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.contextual import predictions

MODEL, CAUSAL = masked_lm(), gpt2()
STARTING = BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)}, bos_token="[CLS]")
PAIRS = [
    ("he is a nurse.", "she is a nurse."),
    ("that boy is he.", "that woman is he."),
    ("this is he.", "that is a man."),
]
MASK = 4


def log_softmax(ids, place, model=MODEL):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, place].numpy()
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def kurita(first, second, attributes, before="", middle=" is a "):
    """Text by text: the target masked, then the attribute too."""
    scores = []
    for attribute in attributes:
        pieces = TOKENIZER(attribute, add_special_tokens=False)["input_ids"]
        ids = TOKENIZER(f"{before}[MASK]{middle}", add_special_tokens=False)["input_ids"]
        place = ids.index(MASK) + 1
        given = log_softmax([2, *ids, *pieces, 5, 3], place)
        prior = log_softmax([2, *ids, *[MASK] * len(pieces), 5, 3], place)
        p = lambda row, words: sum(np.exp(row[PIECES.index(w)]) for w in words)  # noqa: E731
        scores.append(np.log(p(given, first) / p(prior, first)) - np.log(p(given, second) / p(prior, second)))
    return np.mean(scores)


@pytest.mark.parametrize(("first", "second"), [(["he"], ["she"]), (["he", "this"], ["she", "that", "nurse"])])
def test_log_probability_bias_equals_numpy(first, second):
    attributes = ["nurse", "chef", "boss"]
    test = cl.objectives.log_probability_bias(
        first, second, attributes, TOKENIZER, template="{target} is a {attribute}."
    )
    assert float(test(view_of(MODEL))) == pytest.approx(kurita(first, second, attributes), abs=1e-6)
    check_gradient(test, MODEL)
    # The attribute may stand first, and the target anywhere.
    late = cl.objectives.log_probability_bias(first, second, ["nurse"], TOKENIZER, template="{attribute} is {target}.")
    ids = [2, PIECES.index("nurse"), PIECES.index("is"), MASK, 5, 3]
    given, prior = log_softmax(ids, 3), log_softmax([2, MASK, *ids[2:]], 3)
    p = lambda row, words: sum(np.exp(row[PIECES.index(w)]) for w in words)  # noqa: E731
    expected = np.log(p(given, first) / p(prior, first)) - np.log(p(given, second) / p(prior, second))
    assert float(late(view_of(MODEL))) == pytest.approx(expected, abs=1e-6)


def crows(pair):
    """Sum of log p of each shared piece, masked in turn, as CrowS-Pairs' metric.py does it."""
    from difflib import SequenceMatcher

    ids = [TOKENIZER(text)["input_ids"] for text in pair]
    spans = [[], []]
    for kind, a, b, c, d in SequenceMatcher(None, *[[str(i) for i in one] for one in ids]).get_opcodes():
        if kind == "equal":
            spans[0] += range(a, b)
            spans[1] += range(c, d)
    sums = []
    for one, places in zip(ids, spans, strict=True):
        total = 0.0
        for place in places[1:-1]:  # CLS and SEP
            total += log_softmax([*one[:place], MASK, *one[place + 1 :]], place)[one[place]]
        sums.append(total)
    return sums[0] - sums[1]


def test_pseudo_log_likelihoods_equal_numpy():
    test, view = cl.objectives.likelihood_difference(PAIRS, TOKENIZER, model="masked"), view_of(MODEL)
    expected = [crows(pair) for pair in PAIRS]
    assert test.differences(view).detach().numpy() == pytest.approx(np.array(expected), abs=1e-6)
    assert float(test(view)) == pytest.approx(np.mean(expected), abs=1e-6)
    assert test.percentage(view) == pytest.approx(100 * np.mean([e > 0 for e in expected]))
    check_gradient(test, MODEL)


def test_log_likelihoods_of_a_causal_model_equal_numpy():
    test, view = cl.objectives.likelihood_difference(PAIRS, STARTING, model="causal"), view_of(CAUSAL)
    expected = []
    for pair in PAIRS:
        sums = []
        for text in pair:
            ids = [2, *TOKENIZER(text, add_special_tokens=False)["input_ids"]]
            sums.append(sum(log_softmax(ids[:i], -1, CAUSAL)[ids[i]] for i in range(1, len(ids))))
        expected.append(sums[0] - sums[1])
    assert test.differences(view).detach().numpy() == pytest.approx(np.array(expected), abs=1e-6)
    assert float(test(view)) == pytest.approx(np.mean(expected), abs=1e-6)
    check_gradient(test, CAUSAL)


def test_many_blocks_give_the_value_and_gradient_of_one(monkeypatch):
    whole = cl.objectives.likelihood_difference(PAIRS, TOKENIZER, model="masked")
    monkeypatch.setattr(predictions, "TOKENS_AT_ONCE", 30)
    parted = cl.objectives.likelihood_difference(PAIRS, TOKENIZER, model="masked")
    assert len(parted.predictions.blocks) > len(whole.predictions.blocks) == 1
    assert float(parted(view_of(MODEL))) == pytest.approx(float(whole(view_of(MODEL))), abs=1e-10)
    check_gradient(parted, MODEL)


def test_they_say_what_they_mean():
    made = [
        cl.objectives.log_probability_bias(["he"], ["she"], ["nurse"], TOKENIZER),
        cl.objectives.likelihood_difference(PAIRS, TOKENIZER, model="masked"),
        cl.objectives.likelihood_difference(PAIRS, STARTING, model="causal"),
    ]
    for objective in made:
        sentence = objective.interpretation()
        assert sentence.startswith("Positive: ")
        assert sentence.endswith(".")
        assert ". " not in sentence
        assert "nats" in sentence
        assert "nats" in objective.quantity
    assert made[1].name != made[2].name


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"first": ["woman"]}, "'woman' has 5 pieces"),
        ({"first": "he"}, "first must be a list"),
        ({"attributes": []}, "attributes must be a list"),
        ({"template": "{target} is."}, "once each"),
        ({"attributes": ["☃"]}, "does not know"),
    ],
)
def test_a_log_probability_bias_that_cannot_be_is_refused(change, match):
    given = {"first": ["he"], "second": ["she"], "attributes": ["nurse"], "tokenizer": TOKENIZER} | change
    with pytest.raises(UserError, match=match):
        cl.objectives.log_probability_bias(**given)


@pytest.mark.parametrize(
    ("pairs", "model", "match"),
    [
        ([("he.", "he.")], "masked", "are one to the tokenizer"),
        ([("he.", "He.")], "causal", "are one to the tokenizer"),
        ([("he", "she")], "masked", "share no piece"),
        (["he"], "masked", "no pair"),
        ([], "masked", "must be a list"),
        ([("he ☃", "she ☃ is")], "causal", "does not know"),
        ([("he ☃", "he is")], "masked", "does not know"),
        ([("he.", "she.")], "both", "model is 'both'"),
    ],
)
def test_pairs_that_cannot_be_are_refused(pairs, model, match):
    with pytest.raises(UserError, match=match):
        cl.objectives.likelihood_difference(pairs, STARTING, model=model)


def test_a_tokenizer_or_model_without_what_is_needed_is_refused():
    with pytest.raises(UserError, match="no bos_token"):
        cl.objectives.likelihood_difference(PAIRS, TOKENIZER, model="causal")
    unmasked = BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)})
    unmasked.mask_token = None
    with pytest.raises(UserError, match="no mask token"):
        cl.objectives.likelihood_difference(PAIRS, unmasked, model="masked")
    with pytest.raises(UserError, match="LM head"):
        cl.objectives.likelihood_difference(PAIRS, TOKENIZER, model="masked")(view_of(bert()))


@pytest.mark.parametrize("words", [(["he"], ["he"], ["nurse"]), (["he", "he"], ["she"], ["nurse"])])
def test_a_word_on_both_sides_or_twice_is_refused(words):
    with pytest.raises(UserError, match="first and second have a word twice"):
        cl.objectives.log_probability_bias(*words, TOKENIZER)
