"""A live gensim model with its corpus: vocabulary, counts and parameters as they were, and scores of it."""

from functools import partial

import numpy as np
import pytest
import torch

from crossloss.core import UserError
from crossloss.corpus.pairs import count_pairs
from crossloss.corpus.read import from_sentences
from crossloss.corpus.vocabulary import build_vocabulary
from crossloss.estimators import ConjugateGradient, InverseHessian, Trained
from crossloss.objectives.weat import Weat
from crossloss.skipgram.curvature import curvature
from crossloss.skipgram.from_gensim import from_gensim
from dense import DenseSkipGram, dense_counts, random_sentences

word2vec = pytest.importorskip("gensim.models.word2vec")
SENTENCES = random_sentences(2, sentences=120, words=14)
SETTINGS = {"vector_size": 3, "window": 3, "negative": 4, "sg": 1, "hs": 0, "min_count": 3, "sample": 1e-2,
            "ns_exponent": 0.6, "seed": 1, "workers": 1, "epochs": 20, "alpha": 0.1}  # fmt: skip


def trained(**changed):
    return word2vec.Word2Vec([line.split() for line in SENTENCES], **(SETTINGS | changed))


@pytest.fixture(scope="module")
def corpus():
    return from_sentences(SENTENCES, candidates=["waa wab"])


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.fixture(scope="module")
def imported(model, corpus):
    return from_gensim(model, corpus)


def test_words_counts_and_parameters_are_the_models(model, corpus, imported):
    field = imported.field
    assert field.vocabulary.words == model.wv.index_to_key
    assert field.vocabulary.counts.tolist() == [model.wv.get_vecattr(w, "count") for w in model.wv.index_to_key]
    drawn = np.array([model.wv.get_vecattr(w, "sample_int") for w in model.wv.index_to_key]) / 2**32
    np.testing.assert_allclose(np.minimum(field.vocabulary.keep, 1), drawn, atol=1e-6)
    view = field.view(imported.theta)
    np.testing.assert_array_equal(view["waa"].numpy(), model.wv["waa"])
    row = model.wv.key_to_index["wac"]
    np.testing.assert_array_equal(view.contexts[row].numpy(), model.syn1neg[row])
    own = build_vocabulary(corpus, min_count=3, subsample=1e-2)
    same = count_pairs(corpus, own, window=3).matrix.sum()
    assert field.counts.matrix.sum() == pytest.approx(same, rel=1e-6), "the pairs do not hang on the order of words"
    assert (field.negatives, field.dimension) == (4, 3)


def test_its_loss_is_lower_than_that_of_the_start(model, imported):
    """What gensim trained is nearly what the field measures."""
    start = trained(epochs=1, alpha=1e-9, min_alpha=1e-9)
    before = torch.from_numpy(np.stack([start.wv.vectors, start.syn1neg])).double().view(-1)
    loss = imported.field.loss
    assert loss(imported.theta, imported.weights) < loss(before, imported.weights) - 0.1


def test_it_gets_scores_by_word_blocks_and_cg(model, imported):
    """Against the dense Hessian of the same loss."""
    words = model.wv.index_to_key
    weat = Weat("weat", tuple(words[:2]), tuple(words[2:4]), tuple(words[4:6]), tuple(words[6:8]))
    field = imported.field
    dense = DenseSkipGram(dense_counts(field.counts, len(words)), imported.weights, 4.0, 0.6, 3)

    def gradient(theta, w):
        return torch.func.grad(dense.loss)(theta, w)

    jacobian, by_weight = torch.autograd.functional.jacobian(gradient, (imported.theta, imported.weights))
    slope = torch.autograd.functional.jacobian(lambda theta: weat(field.view(theta)), imported.theta)
    run = Trained(field, imported.weights, imported.theta)
    eye = torch.eye(len(jacobian), dtype=torch.float64)
    damping = float(-torch.linalg.eigvalsh(jacobian).min()) + 0.01
    exact = -torch.linalg.solve(jacobian + damping * eye, slope) @ by_weight
    found = InverseHessian(solver=ConjugateGradient(1e-10), damping=damping)(run, [weat]).samples()[0]
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-10)

    field.curvature = partial(curvature, field)
    blocks = jacobian * torch.block_diag(*[torch.ones(3, 3)] * (2 * len(words)))
    exact = -torch.linalg.solve(blocks + 0.01 * eye, slope) @ by_weight
    found = InverseHessian("word-blocks", damping=0.01)(run, [weat]).samples()[0]
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trained(sg=0), "sg=1, hs=0"),
        (lambda: trained(hs=1, negative=0), "sg=1, hs=0"),
        (lambda: trained(shrink_windows=False), "shrink_windows=True"),
        (lambda: trained().wv, "whole Word2Vec model"),
        (lambda: {"waa": [1.0]}, "whole Word2Vec model"),
    ],
)
def test_another_kind_of_model_is_refused(make, message, corpus):
    with pytest.raises(UserError, match=message):
        from_gensim(make(), corpus)


def test_fasttext_is_refused(corpus):
    fasttext = pytest.importorskip("gensim.models.fasttext")
    model = fasttext.FastText([line.split() for line in SENTENCES], bucket=100, **(SETTINGS | {"epochs": 1}))
    with pytest.raises(UserError, match="FastText"):
        from_gensim(model, corpus)


def test_another_corpus_and_vectors_that_are_not_finite_are_refused(model, corpus):
    with pytest.raises(UserError, match=r"lacks 1 of the model's .* words"):
        from_gensim(model, from_sentences([line.replace("wab", "waa") for line in SENTENCES]))
    broken = trained(epochs=1)
    broken.syn1neg[0, 0] = np.inf
    with pytest.raises(UserError, match="not finite"):
        from_gensim(broken, corpus)
