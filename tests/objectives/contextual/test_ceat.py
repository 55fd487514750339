"""CEAT against numpy on the drawn occurrences, finite differences, and its refusals."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

pytest.importorskip("transformers")
from contextual_tiny import TOKENIZER, bert, check_gradient, pooled, view_of

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.contextual.ceat import _combine

MODEL = bert()
TEST = cl.objectives.Weat("lean", X=["math", "nurse", "zebra"], Y=["art", "dance"], A=["he", "him"], B=["she", "her"])
TEXTS = [
    "He likes math and this is all that there is to say of him and his math, is it not",
    "Art is what she does. The dance of the nurse was seen by her",
    "To dance is human. Math, art. This nurse knows him",
    "is she here with him or did he see her art",
]


def of(**more):
    return cl.objectives.ceat(TEST, TOKENIZER, TEXTS, **{"occurrences": 3, "seed": 1, "draws": 25} | more)


def sentences_of(test):
    """Snippet and place of every occurrence, read back from the tokens of the blocks."""
    made = {}
    for block in test.pooled.blocks:
        for row, ids, mask, weights in zip(block.rows, block.ids, block.mask, block.weights, strict=True):
            made[int(row)] = (ids[mask.bool()].tolist(), weights[mask.bool()].numpy())
    return made


def random_effects(effects, variances):
    """Guo and Caliskan's formulas, in loops."""
    w = [1 / v for v in variances]
    pairs = list(zip(w, effects, strict=True))
    q = sum(a * e**2 for a, e in pairs) - sum(a * e for a, e in pairs) ** 2 / sum(w)
    c = sum(w) - sum(a**2 for a in w) / sum(w)
    df = len(effects) - 1
    between = (q - df) / c if q >= df else 0
    v = [1 / (x + between) for x in variances]
    combined, error = sum(a * e for a, e in zip(v, effects, strict=True)) / sum(v), math.sqrt(1 / sum(v))
    return combined, error, 2 * norm.sf(abs(combined / error)), between


@pytest.mark.parametrize("pooling", ["last-piece", "word", "mean"])
def test_values_equal_numpy(pooling):
    test, view = of(pooling=pooling), view_of(MODEL)
    assert test.missing == {"X": ("zebra",), "Y": (), "A": (), "B": ()}
    special = pooling != "last-piece"
    # The snippets, built here by hand from the texts; the draws are the objective's own.
    snippets = [
        "He likes math and this is all", "of him and his math, is it not",
        "To dance is human. Math, art. This nurse knows",
        "He likes math and this", "with him or did he see her art", "is to say of him and his math, is",
        "is she here with him or did he see", "art. This nurse knows him",
    ]  # fmt: skip
    found = sentences_of(test)
    for snippet in snippets:
        ids = TOKENIZER(snippet, add_special_tokens=special)["input_ids"]
        assert any(ids == known for known, _ in found.values()), snippet
    vectors = {}
    for row, (ids, weights) in found.items():
        vectors[row] = weights @ hidden_of(ids)
    effects, variances, differences = [], [], []
    for n in range(25):
        unit = {
            side: [vectors[int(i)] / np.linalg.norm(vectors[int(i)]) for i in test.drawn[side][n]] for side in "XYAB"
        }
        s = {
            side: [np.mean([w @ a for a in unit["A"]]) - np.mean([w @ b for b in unit["B"]]) for w in unit[side]]
            for side in "XY"
        }
        sd = np.std(s["X"] + s["Y"], ddof=1)
        differences.append(np.mean(s["X"]) - np.mean(s["Y"]))
        effects.append(differences[-1] / sd)
        variances.append(sd**2)
    combined, error, p, between = random_effects(effects, variances)
    result = test.combined(view)
    assert float(test(view)) == pytest.approx(combined, abs=1e-6)
    assert result.effect == pytest.approx(combined, abs=1e-6)
    assert result.standard_error == pytest.approx(error, abs=1e-6)
    assert result.p_value == pytest.approx(p, abs=1e-6)
    assert result.between == pytest.approx(between, abs=1e-6)
    assert result.difference == pytest.approx(np.mean(differences), abs=1e-6)
    assert float(of(pooling=pooling, kind="difference")(view)) == pytest.approx(np.mean(differences), abs=1e-6)


def hidden_of(ids):
    with torch.no_grad():
        return MODEL(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0].numpy()


def test_the_vector_is_that_of_the_words_last_piece():
    test = of()
    text = "of him and his math, is it not"
    start = text.index("math")
    expected = pooled(MODEL, text, "last-piece", (start, start + 4), special=False)
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    ((found, weights),) = [pair for pair in sentences_of(test).values() if pair[0] == ids]
    assert np.allclose(weights @ hidden_of(found), expected)


def test_variance_between_draws_enters():
    """With small variances within, the clamp at 0 is passed."""
    effects, within = np.array([0.1, 1.9, -0.7, 0.4]), np.array([0.02, 0.01, 0.05, 0.03])
    made = _combine(torch.tensor(effects), torch.tensor(within))
    expected = random_effects(list(effects), list(within))
    assert expected[3] > 0
    assert [float(x) for x in made] == pytest.approx([expected[0], expected[1], expected[3]])


@pytest.mark.parametrize("kind", ["effect", "difference"])
def test_the_gradient_is_that_of_finite_differences(kind):
    check_gradient(of(kind=kind), MODEL)


def test_the_same_seed_draws_the_same():
    view = view_of(MODEL)
    assert float(of()(view)) == float(of()(view))
    assert float(of(seed=2)(view)) != float(of()(view))
    assert of(seed=2).name != of().name


def test_it_says_what_it_means():
    sentence = of().interpretation()
    assert sentence.startswith("Positive: in sentences of the corpus")
    assert "last piece" in sentence
    assert ". " not in sentence
    assert of().bounds({})[1] > 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"occurrences": 0}, "occurrences is 0"),
        ({"draws": 0}, "draws is 0"),
        ({"pooling": "first-piece"}, "not the word"),
        ({"kind": "statistic"}, "kind is"),
    ],
)
def test_what_is_wrong_is_said(options, match):
    with pytest.raises(UserError, match=match):
        of(**options)


def test_a_corpus_without_the_words_is_refused():
    with pytest.raises(UserError, match="0 of the words of X"):
        cl.objectives.ceat(TEST, TOKENIZER, ["nothing here"], occurrences=1, seed=0)
    with pytest.raises(UserError, match="one string"):
        cl.objectives.ceat(TEST, TOKENIZER, "he", occurrences=1, seed=0)
