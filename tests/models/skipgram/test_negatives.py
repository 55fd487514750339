"""Drawn negatives: against the dense sums of the same draws with autograd, and against the exact field on average."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import FULL_BATCH, UserError
from crossloss.estimators import unrolled
from crossloss.estimators.predict import predict
from crossloss.models.skipgram import control as control_module
from crossloss.models.skipgram import negatives as negatives_module
from crossloss.models.skipgram import observed as observed_module
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.negatives import DrawnNegatives, SystematicSample
from crossloss.models.skipgram.settings import Settings, make_settings, stored_settings
from crossloss.objectives import as_objective
from crossloss.text.pairs import count_pairs
from crossloss.text.read import from_sentences
from crossloss.text.vocabulary import build_vocabulary
from dense import dense_counts, random_sentences
from train_on import train_on

NEGATIVES, EXPONENT, DIMENSION, COLUMNS = 3.5, 0.75, 4, 9
SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 6, "lr": 0.5, "dtype": "float64"}
GROWN = SETTINGS | {"steps": 15, "lr": 2.0, "prior": 0.0}
"""So long a training that logits leave the straight part of the sigmoid."""
PRIOR = {"prior": 0.0}
FAR_OFF = 4.5
"""Standard errors that the largest of 240 means does not reach by chance."""


@pytest.fixture(params=[0.0, 0.7], ids=["no prior", "prior"], autouse=True)
def prior(request, monkeypatch):
    """Pseudo-counts of ``make``, with and without."""
    monkeypatch.setitem(PRIOR, "prior", request.param)


@pytest.fixture(params=["none", "linear", "quadratic"])
def control(request):
    return request.param


@pytest.fixture(scope="module")
def small():
    corpus = from_sentences(random_sentences(0), candidates=["waa wab wac wbd"])
    vocabulary = build_vocabulary(corpus, min_count=1)
    return corpus, vocabulary, count_pairs(corpus, vocabulary, window=3)


@pytest.fixture(params=[0.0, 0.3, 1.0], ids=["dense", "both", "sparse"])
def tiles(request, monkeypatch):
    """Small tiles of the observed pairs: all of them dense products, some, or none."""
    monkeypatch.setattr(observed_module, "DENSE", request.param)
    return (5, 7)


def make(small, columns=COLUMNS, seed=5, cls=DrawnNegatives, control="none", tile=None):
    corpus, vocabulary, counts = small
    settings = make_settings(
        dimension=DIMENSION, negatives=NEGATIVES, exponent=EXPONENT, negative_columns=columns, negative_seed=seed,
        negative_control=control, dtype="float64", **PRIOR,
    )  # fmt: skip
    return cls(counts, vocabulary, corpus.weights, settings, tile)


def random_inputs(field, k=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(field.parameters, generator=generator, dtype=torch.float64)
    w = torch.rand(field.counts.matrix.shape[0], generator=generator, dtype=torch.float64) * 2
    a = torch.randn(k, field.parameters, generator=generator, dtype=torch.float64)
    return theta, w, a


class DenseDrawn:
    """The field's sums written out: every pair, the drawn contexts of each word, the drawn words of each context.

    Of a control variate: the polynomial at every logit, its sum over all less its sum over the drawn.
    """

    def __init__(self, field, control="none", weights=None):
        self.control = control
        self.x, self.field = dense_counts(field.counts, field.size), field
        base = torch.einsum("n,nwc->wc", torch.from_numpy(field_weights(field) if weights is None else weights), self.x)
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
        if self.control != "none":
            h, g = (self.polynomial(z, number) for number, z in enumerate((u @ c.T, c @ u.T)))
            of_words = of_words + r[:, None] * ((h * self.noise) @ c - (h[:, j] * (self.noise[j] * q)) @ c[j])
            of_contexts = of_contexts + self.noise[:, None] * ((g * r) @ u - (g[:, i] * (r[i] * v)) @ u[i])
        return torch.stack([of_words, of_contexts]).view(-1) + PRIOR["prior"] / self.total * theta

    def polynomial(self, z, number):
        """Hermite's expansion of the sigmoid at the mean and variance of a row's logits with what may be left out."""
        share = torch.from_numpy(self.field._drawn[number].probability)
        share = torch.where(share < 1, share, 0.0)
        mean = (z @ share / share.sum())[:, None]
        away = z - mean
        variance = (away.square() @ share / share.sum())[:, None]
        k = 1 / torch.sqrt(1 + torch.pi / 8 * variance)
        s = torch.sigmoid(k * mean)
        h = s + k * s * (1 - s) * away
        if self.control == "quadratic":
            h = h + k**2 * s * (1 - s) * (1 - 2 * s) * (away.square() - variance) / 2
        return h


def field_weights(field):
    weights = np.ones(field.counts.matrix.shape[0])
    weights[-1] = 0  # the candidate
    return weights


@pytest.mark.parametrize(
    ("columns", "rows", "threads"), [(2, 1024, 2), (COLUMNS, 7, 3), (COLUMNS, 7, 1), (29, 1024, 9)]
)
def test_gradient_pullback_and_pushforward_are_those_of_the_dense_sums(
    small, columns, rows, threads, control, tiles, monkeypatch
):
    monkeypatch.setattr(negatives_module, "ROWS", rows)
    monkeypatch.setattr(control_module, "ROWS", rows)
    with monkeypatch.context() as patch:  # while it is made only: torch's own number is set back from it
        patch.setattr(torch, "get_num_threads", lambda: threads)
        field = make(small, columns, control=control, tile=tiles)
    assert field.tiling.threads == threads
    assert {0.0: not field._observed._sides[0], 0.3: field._observed.dense, 1.0: not field._observed.dense}[
        observed_module.DENSE
    ]
    dense = DenseDrawn(field, control)
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


def test_all_columns_and_the_whole_loss_are_exact(small, tiles, control):
    exact = make(small, cls=SkipGramField)
    all_columns, few = (make(small, columns, control=control, tile=tiles) for columns in (1000, 3))
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


def test_the_mean_over_draws_is_the_exact_gradient(small, control):
    field, exact = make(small, control=control), make(small, cls=SkipGramField)
    theta, w, _ = random_inputs(field)
    mean, error = mean_and_error(field, theta, w, steps=3000 if control == "none" else 1000)
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
    probability, trained = made._drawn[1].probability, made.precision[0] > 0
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


def test_scores_are_the_derivative_of_that_run(control):
    corpus = cl.from_sentences(random_sentences(2))
    run = train_on(corpus, negative_columns=8, negative_control=control, seed=3, **GROWN)
    exact = train_on(corpus, seed=3, **GROWN)
    assert isinstance(run.field, DrawnNegatives)
    assert float((run.theta - exact.theta).norm()) > 1e-5 * float(exact.theta.norm())
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


def test_scores_are_those_of_autograd_through_the_whole_loop(control):
    corpus = cl.from_sentences(random_sentences(2))
    run = train_on(corpus, negative_columns=8, negative_control=control, negatives=NEGATIVES, **(GROWN | PRIOR))
    field, dense = run.field, DenseDrawn(run.field, control, run.weights)
    w = torch.from_numpy(run.weights).requires_grad_()
    theta, velocity = field.initial(0), torch.zeros(field.parameters, dtype=torch.float64)
    assert run.steps < 20
    for step in range(run.steps):
        beta = 0.5 + 0.3 * step / 20  # the default's rise
        velocity = beta * velocity + dense.gradient(theta, w, step)
        theta = theta - GROWN["lr"] * field.step_scale() * velocity
    torch.testing.assert_close(theta.detach(), run.theta, rtol=1e-10, atol=1e-13)
    u, c = theta.view(2, field.size, field.dimension)
    (torch.sin(u).sum() / u.norm() + (c[:3] ** 2).sum()).backward()
    scores = unrolled(run.trajectory, [as_objective(vectors)]).samples()[0]
    torch.testing.assert_close(scores, w.grad, rtol=1e-9, atol=1e-12)


def test_a_control_takes_variance_out_of_the_gradient_of_a_trained_model_and_brings_the_run_nearer_to_the_exact_one():
    corpus = cl.from_sentences(random_sentences(4, sentences=300))
    settings = SETTINGS | {"steps": 60, "lr": 2.0, "dimension": 5, "negative_columns": 8}
    exact = train_on(corpus, **(settings | {"negative_columns": 0}))
    truth = exact.field.gradient(exact.theta, torch.from_numpy(exact.weights), 0)
    variance, away = {}, {}
    for control in ("none", "linear", "quadratic"):
        run = train_on(corpus, negative_control=control, **settings)
        drawn = [run.field.gradient(exact.theta, torch.from_numpy(run.weights), step) for step in range(60)]
        variance[control] = float((torch.stack(drawn) - truth).square().sum())
        away[control] = float((run.theta - exact.theta).norm())
    assert variance["linear"] < variance["none"] / 2
    assert variance["quadratic"] < variance["linear"] / 2
    assert away["quadratic"] < away["linear"] < away["none"]


def test_a_run_keeps_its_control_and_goes_on_with_it(tmp_path, control, monkeypatch):
    corpus = cl.from_sentences(random_sentences(2))
    settings = SETTINGS | {"negative_columns": 8, "negative_control": control}
    whole, draws, gradient = train_on(corpus, **settings), [], DrawnNegatives.gradient

    def stopping(field, theta, w, step=0):
        draws.append(step)
        if len(draws) == 4:
            raise KeyboardInterrupt
        return gradient(field, theta, w, step)

    monkeypatch.setattr(DrawnNegatives, "gradient", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_on(corpus, out=tmp_path / "run", **settings)
    monkeypatch.setattr(DrawnNegatives, "gradient", gradient)
    with train_on(corpus, out=tmp_path / "run", **settings) as run:
        assert torch.equal(run.theta, whole.theta)
        assert run.model.identity(1, 0)["settings"].get("negative_control", "none") == control
    with cl.load(tmp_path / "run") as run:
        assert run.model.settings.negative_control == control
        assert np.array_equal(cl.score(run, [vectors]).samples, cl.score(whole, [vectors]).samples)


def test_manifests_from_before_the_control_are_those_of_runs_without_one():
    for columns in (0, 8):
        before = make_settings(negative_columns=columns, negative_control="none").model_dump()
        del before["negative_control"]
        again = make_settings(**Settings.known(before))
        assert again.stored() == before
        assert again.negative_columns == 0 or again.negative_control == "none"
        assert stored_settings({"field": {"settings": before}}).get("negative_control", "none") == "none"


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
