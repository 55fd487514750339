"""Drawn negatives: against the dense sums of the same draws with autograd, and against the exact field on average."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import FULL_BATCH, UserError
from crossloss.estimators.predict import predict
from crossloss.models.skipgram import negatives as negatives_module
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.negatives import DrawnNegatives, SystematicSample
from crossloss.models.skipgram.settings import make_settings
from crossloss.objectives import as_objective
from crossloss.text.pairs import count_pairs
from crossloss.text.read import from_sentences
from crossloss.text.vocabulary import build_vocabulary
from dense import dense_counts, random_sentences
from train_on import train_on

NEGATIVES, EXPONENT, DIMENSION, COLUMNS = 3.5, 0.75, 4, 9
SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 6, "lr": 0.5, "dtype": "float64"}
PRIOR = {"prior": 0.0}
FAR_OFF = 4.5
"""Standard errors that the largest of 240 means does not reach by chance."""


@pytest.fixture(params=[0.0, 7.0], ids=["no prior", "prior"], autouse=True)
def prior(request, monkeypatch):
    """Pseudo-counts of ``make``, with and without."""
    monkeypatch.setitem(PRIOR, "prior", request.param)


@pytest.fixture(scope="module")
def small():
    corpus = from_sentences(random_sentences(0), candidates=["waa wab wac wbd"])
    vocabulary = build_vocabulary(corpus, min_count=1)
    return corpus, vocabulary, count_pairs(corpus, vocabulary, window=3)


def make(small, columns=COLUMNS, seed=5, cls=DrawnNegatives):
    corpus, vocabulary, counts = small
    settings = make_settings(
        dimension=DIMENSION, negatives=NEGATIVES, exponent=EXPONENT, negative_columns=columns, negative_seed=seed,
        dtype="float64", **PRIOR,
    )  # fmt: skip
    return cls(counts, vocabulary, corpus.weights, settings)


def random_inputs(field, k=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(field.parameters, generator=generator, dtype=torch.float64)
    w = torch.rand(field.counts.matrix.shape[0], generator=generator, dtype=torch.float64) * 2
    a = torch.randn(k, field.parameters, generator=generator, dtype=torch.float64)
    return theta, w, a


class DenseDrawn:
    """The field's sums written out: every pair, the drawn contexts of each word, the drawn words of each context."""

    def __init__(self, field):
        self.x, self.field = dense_counts(field.counts, field.size), field
        base = torch.einsum("n,nwc->wc", torch.from_numpy(field_weights(field)), self.x)
        self.total = base.sum()
        self.noise = field.noise.double()

    def gradient(self, theta, w, step):
        u, c = theta.view(2, self.field.size, self.field.dimension)
        x = torch.einsum("n,nwc->wc", w, self.x) / self.total
        r, s = NEGATIVES * x.sum(1), torch.sigmoid(u @ c.T)
        (j, q), (i, v) = ((torch.from_numpy(a), torch.from_numpy(b)) for a, b in (d(step) for d in self.field._drawn))
        observed = x * (s - 1)
        of_words = observed @ c + r[:, None] * (s[:, j] * (self.noise[j] * q)) @ c[j]
        of_contexts = observed.T @ u + self.noise[:, None] * (s[i].T * (r[i] * v)) @ u[i]
        return torch.stack([of_words, of_contexts]).view(-1) + PRIOR["prior"] / self.total * theta


def field_weights(field):
    weights = np.ones(field.counts.matrix.shape[0])
    weights[-1] = 0  # the candidate
    return weights


@pytest.mark.parametrize(("columns", "rows"), [(2, 1024), (COLUMNS, 7), (29, 1024)])
def test_gradient_pullback_and_pushforward_are_those_of_the_dense_sums(small, columns, rows, monkeypatch):
    monkeypatch.setattr(negatives_module, "ROWS", rows)
    field = make(small, columns)
    dense = DenseDrawn(field)
    theta, w, a = random_inputs(field)
    for step in (0, 7):
        value, vjp = torch.func.vjp(lambda th, w, t=step: dense.gradient(th, w, t), theta, w)
        torch.testing.assert_close(field.gradient(theta, w, step), value, rtol=1e-11, atol=1e-14)
        into = field.accumulator(len(a))
        back, samples = field.at(theta, w, step).pullback(a, into), into.samples()
        for j, direction in enumerate(a):
            by_theta, by_weight = vjp(direction)
            torch.testing.assert_close(back[j], by_theta, rtol=1e-10, atol=1e-13)
            torch.testing.assert_close(samples[j], by_weight, rtol=1e-10, atol=1e-13)
        dw = torch.linspace(-1, 1, len(w), dtype=torch.float64)
        _, moved = torch.func.jvp(lambda th, w, t=step: dense.gradient(th, w, t), (theta, w), (a[0], dw))
        torch.testing.assert_close(field.at(theta, w, step).pushforward(a[0], dw), moved, rtol=1e-10, atol=1e-13)
    assert not torch.equal(field.gradient(theta, w, 0), field.gradient(theta, w, 7))


@pytest.mark.parametrize("elements", [1 << 22, 100, 1])
def test_all_columns_and_the_whole_loss_are_exact(small, elements, monkeypatch):
    """In strips of all words, of three or of one."""
    monkeypatch.setattr(negatives_module, "TILE_ELEMENTS", elements)
    exact, all_columns, few = make(small, cls=SkipGramField), make(small, 1000), make(small, 3)
    theta, w, a = random_inputs(exact)
    into = exact.accumulator(3)
    expected, back = exact.gradient(theta, w), exact.at(theta, w, 0).pullback(a, into)
    for field, step in ((all_columns, 0), (few, FULL_BATCH)):
        sums = field.accumulator(3)
        torch.testing.assert_close(field.gradient(theta, w, step), expected, rtol=1e-11, atol=1e-14)
        torch.testing.assert_close(field.at(theta, w, step).pullback(a, sums), back, rtol=1e-11, atol=1e-14)
        torch.testing.assert_close(sums.samples(), into.samples(), rtol=1e-11, atol=1e-14)
        assert field.loss(theta, w) == pytest.approx(exact.loss(theta, w), rel=1e-12)
        moved = exact.at(theta, w, 0).pushforward(a[0], a[1][: len(w)])
        torch.testing.assert_close(
            field.at(theta, w, step).pushforward(a[0], a[1][: len(w)]), moved, rtol=1e-11, atol=1e-14
        )


def test_more_pairs_than_an_index_of_32_bits_has_are_refused(small, monkeypatch):
    monkeypatch.setattr("crossloss.models.skipgram.tiles.Tiling.__len__", lambda tiling: 2**31)
    with pytest.raises(UserError, match="2 billion pairs"):
        make(small)


def mean_and_error(field, theta, w, steps=3000):
    drawn = torch.stack([field.gradient(theta, w, step) for step in range(steps)])
    return drawn.mean(0), drawn.std(0) / steps**0.5


def test_the_mean_over_draws_is_the_exact_gradient(small):
    field, exact = make(small), make(small, cls=SkipGramField)
    theta, w, _ = random_inputs(field)
    mean, error = mean_and_error(field, theta, w)
    away = (mean - exact.gradient(theta, w)) / error.clamp(min=1e-15)
    assert float(away.abs().max()) < FAR_OFF
    assert float(away.square().mean()) == pytest.approx(1, abs=0.5)


def test_without_their_weights_the_mean_is_off(small):
    field, exact = make(small), make(small, cls=SkipGramField)
    theta, w, _ = random_inputs(field)
    alike = np.full(COLUMNS, field.size / COLUMNS)
    field._drawn = tuple(lambda step, draws=draws: (draws(step)[0], alike) for draws in field._drawn)
    mean, error = mean_and_error(field, theta, w, steps=500)
    assert float(((mean - exact.gradient(theta, w)) / error.clamp(min=1e-15)).abs().max()) > FAR_OFF


def test_a_word_with_pairs_in_candidates_alone_is_drawn_half_as_often_as_the_rarest():
    corpus = from_sentences([*random_sentences(0), "new"], candidates=["new waa wab"])
    vocabulary = build_vocabulary(corpus, min_count=1)
    made = make((corpus, vocabulary, count_pairs(corpus, vocabulary, window=3)), columns=2)
    probability, trained = made._drawn[1].probability, made._precision[0] > 0
    new = vocabulary.index["new"]
    assert not trained[new]
    assert probability[new] == pytest.approx(probability[trained.numpy()].min() / 2)
    assert probability.sum() == pytest.approx(2)


@given(
    st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=40),
    st.integers(1, 40),
    st.integers(0, 2**31),
)
def test_draws_are_so_many_all_different_and_the_same_again(shares, count, seed):
    share = np.array(shares) / np.sum(shares)
    count = min(count, len(share))
    draws = SystematicSample(share, count, (seed, 0))
    assert draws.probability.sum() == pytest.approx(count)
    assert (draws.probability <= 1).all()
    chosen, weight = draws(3)
    assert len(np.unique(chosen)) == count
    np.testing.assert_allclose(weight, 1 / draws.probability[chosen])
    again = SystematicSample(share, count, (seed, 0))(3)
    assert np.array_equal(chosen, again[0])


def test_each_is_drawn_as_often_as_its_probability_says():
    share = 1 / np.arange(1, 51) ** 1.2
    draws = SystematicSample(share / share.sum(), 12, (1, 0))
    steps = 4000
    found = sum(np.bincount(draws(t)[0], minlength=50) for t in range(steps)) / steps
    p = draws.probability
    assert (p == 1).sum() >= 2
    assert (found[p == 1] == 1).all()
    rest = p < 1
    z = (found - p)[rest] / np.sqrt(p * (1 - p) / steps)[rest]
    assert np.abs(z).max() < 4


def vectors(view):
    return torch.sin(view.vectors).sum() / view.vectors.norm() + (view.contexts[:3] ** 2).sum()


def test_scores_are_the_derivative_of_that_run():
    corpus = cl.from_sentences(random_sentences(2))
    run = train_on(corpus, negative_columns=8, seed=3, **SETTINGS)
    exact = train_on(corpus, seed=3, **SETTINGS)
    assert isinstance(run.field, DrawnNegatives)
    assert not torch.allclose(run.trajectory.theta, exact.trajectory.theta, rtol=1e-3)
    scores = cl.score(run, [vectors]).of("vectors")
    h = 1e-5
    for i in (0, 7, 31):
        values = []
        for sign in (1, -1):
            w = run.weights.copy()
            w[i] += sign * h
            values.append(float(vectors(run.retrain(w).view)))
        assert scores[i] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6, abs=1e-9)
    gone = [4, 9]
    found = predict(run.trajectory, [as_objective(vectors)], without=gone)
    assert float(found.linear[0] - found.now[0]) == pytest.approx(-scores[gone].sum(), rel=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_another_other_draws():
    corpus = cl.from_sentences(random_sentences(2))
    settings = SETTINGS | {"dtype": "float32", "negative_columns": 8}
    one, again = (train_on(corpus, **settings) for _ in range(2))
    assert torch.equal(one.trajectory.theta, again.trajectory.theta)
    assert np.array_equal(cl.score(one, [vectors]).samples, cl.score(again, [vectors]).samples)
    assert torch.equal(one.retrain(one.weights).theta, one.theta)
    other = train_on(corpus, like=one, negative_seed=1)
    assert not np.array_equal(one.field._drawn[0](0)[0], other.field._drawn[0](0)[0])
    assert train_on(corpus, like=one, lr=0.4).field._drawn is one.field._drawn
