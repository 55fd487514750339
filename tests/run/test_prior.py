"""The prior of a run: its default, what it does to rare words, and where it is too strong."""

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram.loss import PRIOR, PRIOR_SHARE, default_prior
from dense import random_sentences
from train_on import train_on

SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 30, "lr": 0.5}


@pytest.fixture(scope="module")
def corpus():
    return cl.from_sentences(random_sentences(2, sentences=300))


def test_the_default_is_ten_pairs_or_a_thirtieth_of_a_words(corpus):
    assert default_prior(np.array([900.0, 900.0, 0.0])) == PRIOR
    assert default_prior(np.array([90.0, 30.0, 0.0])) == pytest.approx(2.0)
    run = train_on(corpus, **SETTINGS)
    assert run.model.settings.prior is None
    assert run.field.prior == pytest.approx(PRIOR_SHARE * run.field.total / len(run.model.vocabulary.words))
    same = train_on(corpus, prior=run.field.prior, **SETTINGS)
    assert (same.trajectory.theta == run.trajectory.theta).all()
    assert train_on(corpus, prior=0, **SETTINGS).field.shrinkage == 0


def test_it_shortens_rare_words_most(corpus):
    lengths = [train_on(corpus, prior=prior, **SETTINGS).view.vectors.norm(dim=1) for prior in (0.0, 5.0)]
    counts = train_on(corpus, **SETTINGS).model.vocabulary.counts
    ratio = (lengths[1] / lengths[0]).numpy()
    assert ratio.mean() < 1
    assert ratio[np.argsort(counts)[:8]].mean() < ratio[np.argsort(counts)[-8:]].mean()


def test_one_that_outweighs_the_corpus_is_refused_and_a_negative_one_too(corpus, tmp_path):
    with pytest.raises(UserError, match=r"prior of 1000 outweighs this corpus.*prior="):
        train_on(corpus, prior=1000.0, out=tmp_path / "run", **(SETTINGS | {"lr": 4.0}))
    with pytest.raises(UserError, match="Setting prior"):
        train_on(corpus, prior=-1.0, **SETTINGS)


@pytest.mark.parametrize("prior", [1e3, 1e6, 1e9])
def test_no_prior_makes_a_step_unstable(corpus, prior):
    """The default step and momentum, by the length of the vectors: the check of the run would come later."""
    run = train_on(corpus, **SETTINGS)
    field = run.model.changed(prior=prior).build()
    optimiser = type(run.trajectory.optimiser)(4.0 * field.step_scale(), 0.5)
    state, w = optimiser.init(field.initial(0)), run.trajectory.weights
    for t in range(40):
        state = optimiser.step(state, field.gradient(state["theta"], w, t), t)
    assert state["theta"].norm() < 0.01 * field.initial(0).norm()


def test_a_folder_of_another_prior_is_another_run(corpus, tmp_path):
    train_on(corpus, prior=1.0, out=tmp_path / "run", **SETTINGS).close()
    with pytest.raises(UserError, match="different: prior"):
        train_on(corpus, prior=2.0, out=tmp_path / "run", **SETTINGS)
    with cl.load(tmp_path / "run") as run:
        assert run.field.prior == 1.0
