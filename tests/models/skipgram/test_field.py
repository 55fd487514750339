"""The field against dense autograd, in float64 and float32, over tiles, directions, weights and candidates."""

import warnings

import numpy as np
import pytest
import torch

from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.settings import make_settings
from crossloss.models.threads import each_in_a_thread
from crossloss.run.train import train
from crossloss.text import pairs as pairs_module
from crossloss.text.pairs import count_pairs
from crossloss.text.read import from_sentences
from crossloss.text.vocabulary import build_vocabulary
from dense import DenseSkipGram, dense_counts, random_sentences

NEGATIVES, EXPONENT, DIMENSION = 3.5, 0.75, 4
PRIOR = {"prior": 0.0}


@pytest.fixture(scope="module")
def small():
    corpus = from_sentences(random_sentences(0))
    vocabulary = build_vocabulary(corpus, min_count=1)
    return corpus, vocabulary, count_pairs(corpus, vocabulary, window=3)


@pytest.fixture(params=[0.0, 7.0], ids=["no prior", "prior"], autouse=True)
def prior(request, monkeypatch):
    """Pseudo-counts of ``make``, with and without."""
    monkeypatch.setitem(PRIOR, "prior", request.param)


def make(small, tile=(512, 1024), dtype="float64", base=None):
    corpus, vocabulary, counts = small
    base = np.ones(len(corpus)) if base is None else base
    settings = make_settings(dimension=DIMENSION, negatives=NEGATIVES, exponent=EXPONENT, dtype=dtype, **PRIOR)
    field = SkipGramField(counts, vocabulary, base, settings, tile)
    x = dense_counts(counts, len(vocabulary.words))
    dense = DenseSkipGram(x, torch.from_numpy(base), NEGATIVES, EXPONENT, DIMENSION, **PRIOR)
    return field, dense


def random_inputs(field, k=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(field.parameters, generator=generator, dtype=torch.float64)
    w = torch.rand(field.counts.matrix.shape[0], generator=generator, dtype=torch.float64) * 2
    a = torch.randn(k, field.parameters, generator=generator, dtype=torch.float64)
    return theta, w, a


@pytest.mark.parametrize("tile", [(512, 1024), (7, 11), (1, 30), (30, 1)])
def test_gradient_and_loss_match_autograd(small, tile):
    field, dense = make(small, tile)
    theta, w, _ = random_inputs(field)
    leaf = theta.clone().requires_grad_(True)
    torch.testing.assert_close(field.gradient(theta, w), dense.gradient(leaf, w).detach(), rtol=1e-11, atol=1e-14)
    assert field.loss(theta, w) == pytest.approx(float(dense.loss(theta, w)), rel=1e-12)


@pytest.mark.parametrize("tile", [(512, 1024), (7, 11)])
@pytest.mark.parametrize("k", [1, 3])
def test_pullback_is_the_transposed_jacobian(small, tile, k):
    field, dense = make(small, tile)
    theta, w, a = random_inputs(field, k)
    into = field.accumulator(k)
    back = field.at(theta, w, 0).pullback(a, into)
    samples = into.samples()
    for j in range(k):
        leaf, weights = theta.clone().requires_grad_(True), w.clone().requires_grad_(True)
        paired = dense.gradient(leaf, weights) @ a[j]
        by_theta, by_weight = torch.autograd.grad(paired, (leaf, weights))
        torch.testing.assert_close(back[j], by_theta, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(samples[j], by_weight, rtol=1e-10, atol=1e-13)


def test_float32_agrees_to_rounding(small):
    field, _ = make(small, dtype="float32")
    theta, w, a = random_inputs(field)
    into = field.accumulator(3)
    back = field.at(theta.float(), w, 0).pullback(a.float(), into)
    exact_field, _ = make(small)
    exact_into = exact_field.accumulator(3)
    exact = exact_field.at(theta, w, 0).pullback(a, exact_into)
    assert torch.linalg.norm(back - exact) < 1e-5 * torch.linalg.norm(exact)
    assert torch.linalg.norm(into.samples() - exact_into.samples()) < 1e-5 * torch.linalg.norm(exact_into.samples())


def test_samples_in_blocks_are_the_same(small, monkeypatch):
    def results():
        field, _ = make(small)
        theta, w, a = random_inputs(field)
        into = field.accumulator(3)
        back = field.at(theta, w, 0).pullback(a, into)
        return field.gradient(theta, w), back, into.samples(), torch.tensor(field.loss(theta, w))

    whole = results()
    for at_once in (1, 7):
        monkeypatch.setattr(pairs_module, "ROWS_AT_ONCE", at_once)
        for found, expected in zip(results(), whole, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("word", [None, "wbd"])
def test_candidates_are_scored_but_change_no_constant(small, word):
    """Those too that alone have a word, whose vector is not trained."""
    base = np.ones(len(small[0]))
    base[[3, 5]] = 0
    if word is not None:
        base[[word in text.split() for text in small[0].texts]] = 0
    field, dense = make(small, base=base)
    theta, _, a = random_inputs(field, 1)
    w = torch.from_numpy(base)
    leaf, weights = theta.clone().requires_grad_(True), w.clone().requires_grad_(True)
    (by_weight,) = torch.autograd.grad(dense.gradient(leaf, weights) @ a[0], weights)
    into = field.accumulator(1)
    field.at(theta, w, 0).pullback(a, into)
    torch.testing.assert_close(into.samples()[0], by_weight, rtol=1e-10, atol=1e-13)
    assert abs(by_weight[3]) > 0


def test_weights_changed_in_place_are_seen(small):
    field, dense = make(small)
    theta, w, _ = random_inputs(field)
    field.gradient(theta, w)
    w[4] = 0.0
    expected = dense.gradient(theta.clone().requires_grad_(True), w).detach()
    torch.testing.assert_close(field.gradient(theta, w), expected, rtol=1e-11, atol=1e-14)


def test_the_defaults_are_word2vecs(small):
    corpus, vocabulary, counts = small
    field = SkipGramField(counts, vocabulary, np.ones(len(corpus)), make_settings(dimension=2))
    rows = dense_counts(counts, len(vocabulary.words)).sum((0, 2))
    assert field.negatives == 5
    assert field.dtype == torch.float32
    torch.testing.assert_close(field.noise.double(), rows**0.75 / (rows**0.75).sum(), rtol=1e-6, atol=0)
    assert field.parameters == 2 * 2 * len(vocabulary.words)


def test_a_word_without_pairs_stays_where_it_started(small):
    field, _ = make(small)
    corpus = from_sentences(["alone", "red green blue", "green blue red"])
    vocabulary = build_vocabulary(corpus, min_count=1)
    counts = count_pairs(corpus, vocabulary, window=2)
    field = SkipGramField(counts, vocabulary, np.ones(3), make_settings(dimension=2, dtype="float64"))
    row = vocabulary.index["alone"]
    scale = field.step_scale().view(2, -1, 2)
    assert scale[0, row].eq(0).all()
    assert torch.isfinite(scale).all()
    assert (scale[0, vocabulary.index["red"]] > 0).all()


def test_steps_are_smaller_along_rows_that_weights_make_much_more_frequent(small):
    corpus, vocabulary, counts = small
    settings = make_settings(dimension=2, dtype="float64", **PRIOR)
    field, own = SkipGramField(counts, vocabulary, np.ones(len(corpus)), settings), torch.ones(len(corpus))
    for w in (own, own * 1.2, own * 0.1):
        assert torch.equal(field.step_scale(w.double()), field.step_scale())
    w = own.double()
    w[0] = 50.0
    # The field of these weights, as dense counts: its own frequency D, beside which 2 prior/N stands.
    dense = dense_counts(counts, len(vocabulary.words))
    before, after = (torch.einsum("i,iwc->wc", x, dense.double()) for x in (own.double(), w))
    total, k = before.sum(), settings.negatives

    def frequency(x):
        rows = x.sum(1)
        return torch.stack([rows * (1 + k), rows + k * field.noise * rows.sum()]) / total

    expected = 1 / (torch.maximum(frequency(before), frequency(after) / 1.25) + 2 * field.shrinkage)
    scale = field.step_scale(w).view(2, -1, 2)[:, :, 0]
    torch.testing.assert_close(scale, expected, rtol=1e-9, atol=0)
    assert (scale < field.step_scale().view(2, -1, 2)[:, :, 0]).any()
    assert field.rows_following(w) == int((frequency(after) > 1.25 * frequency(before)).sum())
    assert field.rows_following(own.double() * 1.2) == 0


def test_weights_that_steps_follow_are_named():
    corpus = from_sentences(["alone red", "red green blue", "green blue red"])
    model = SkipGram(corpus, min_count=1, dimension=2, prior=0.0)
    with pytest.warns(UserWarning, match=r"more than 1.25 times as frequent .* check them by cl[.]validate"):
        train(model, steps=1, weights=np.array([3.0, 1.0, 1.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, steps=1, weights=np.array([1.0, 1.0, 0.5]))


def test_threads_change_nothing_beyond_rounding_and_two_runs_agree_to_the_bit(small):
    corpus, vocabulary, counts = small
    outcomes = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            field = SkipGramField(counts, vocabulary, np.ones(len(corpus)), make_settings(dimension=DIMENSION, **PRIOR))
            theta, w, a = random_inputs(field)
            into = field.accumulator(3)
            parts = (field.gradient(theta.float(), w), field.at(theta.float(), w, 0).pullback(a.float(), into))
            assert len(field.tiling.shares(field.tiling.tiles)) == threads
            assert torch.get_num_threads() == threads
            outcomes.append([part.double() for part in (*parts, into.samples())])
    finally:
        torch.set_num_threads(before)
    for one, two, again, five in zip(*outcomes, strict=True):
        assert torch.equal(two, again)
        assert torch.linalg.norm(two - one) < 1e-6 * torch.linalg.norm(one)
        assert torch.linalg.norm(five - one) < 1e-6 * torch.linalg.norm(one)


def test_an_error_in_one_thread_is_raised_after_all_have_ended():
    ended = []

    def work(share):
        if share == 0:
            raise ValueError("broken")
        ended.append(share)

    with pytest.raises(ValueError, match="broken"):
        each_in_a_thread(work, [0, 1, 2])
    assert sorted(ended) == [1, 2]
