"""Likelihood of text: minus the loss of that text, and scores that are its derivatives."""

import numpy as np
import pytest
import torch
from every import view

from crossloss.core import UserError
from crossloss.models.skipgram import text
from crossloss.models.skipgram.hard_debias import HardDebias
from crossloss.objectives import displacement, fingerprint, from_dict, likelihood, similarity, to_dict
from crossloss.scores.scoring import score
from crossloss.text.pairs import count_pairs
from crossloss.text.read import from_sentences
from dense import DenseSkipGram, dense_counts, random_sentences
from train_on import train_on

LINES = random_sentences(0)
HELD = ["Waa, wab wac waa!", "wad wae", "unknown words only", "wab Waa wad waf wac"]


@pytest.fixture(scope="module")
def run():
    return train_on(from_sentences(LINES), dimension=3, steps=5, min_count=1, window=3, negatives=2.5, dtype="float64")


def dense_value(run, lines, theta):
    """Minus the dense loss of the lines as a corpus of their own, with the noise of the run."""
    corpus = from_sentences(lines)
    counts = dense_counts(count_pairs(corpus, run.model.vocabulary, window=3), len(run.model.vocabulary.words))
    ones = torch.ones(len(counts), dtype=torch.float64)
    own = dense_counts(run.model.counts, len(run.model.vocabulary.words))
    dense = DenseSkipGram(own, torch.from_numpy(run.weights), 2.5, run.model.settings.exponent, 3)
    dense.total = counts.sum()
    dense.x = counts
    return -dense.loss(theta, ones)


def test_it_is_minus_the_loss_of_the_text(run):
    held = likelihood(HELD)
    assert float(held(run.view)) == pytest.approx(float(dense_value(run, HELD, run.trajectory.theta)), rel=1e-6)
    loss = run.field.data_loss(run.trajectory.theta, run.trajectory.weights)
    assert run.field.prior > 0
    assert float(likelihood(LINES)(run.view)) == pytest.approx(-loss, rel=1e-6)


def test_its_gradient_is_that_of_the_dense_loss_in_words_and_contexts(run, monkeypatch):
    for at_once in (10**6, 70):  # 70: two words at a time
        monkeypatch.setattr(text, "NUMBERS_AT_ONCE", at_once)
        mine, dense = (run.trajectory.theta.clone().requires_grad_(True) for _ in range(2))
        likelihood(HELD)(run.field.view(mine)).backward()
        dense_value(run, HELD, dense).backward()
        assert mine.grad.view(2, -1)[1].norm() > 0
        torch.testing.assert_close(mine.grad, dense.grad, rtol=1e-6, atol=1e-9)


def test_its_scores_are_derivatives_of_retraining(run):
    objective = likelihood(HELD)
    scores = score(run, [objective]).samples[0]
    for sample in (0, 11):
        values = []
        for h in (1e-4, -1e-4):
            weights = np.array(run.weights)
            weights[sample] += h
            values.append(float(objective(run.retrain(weights).view)))
        assert scores[sample] == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-4, abs=1e-8)


def test_words_are_those_of_the_runs_pattern():
    run = train_on(
        from_sentences([line.replace("wa", "9a") for line in LINES], token_pattern=r"\w+"),
        dimension=2, steps=2, min_count=1,
    )  # fmt: skip
    assert np.isfinite(float(likelihood("9aa 9ab 9ac")(run.view)))
    with pytest.raises(UserError, match="No sentence of the text"):
        likelihood("waa wab wac")(run.view)


def test_what_has_no_likelihood_says_so(run):
    with pytest.raises(UserError, match="no sentence in the text"):
        likelihood(["", " "])
    with pytest.raises(UserError, match="No sentence of the text has two words"):
        likelihood("one two three")(run.view)
    words = run.model.vocabulary.words
    debiased = HardDebias("g", ((words[1], words[2]),), (), (), "")(run.view)
    for given in (debiased, view(torch.ones(14, 2))):
        with pytest.raises(UserError, match="give no text a likelihood"):
            likelihood(HELD)(given)


def test_it_is_stored_described_and_added_like_others(run):
    objective = likelihood(HELD, name="held") - 0.5 * similarity("waa", "wab") + displacement("wac")
    again = from_dict(to_dict(objective))
    assert again == objective
    assert fingerprint(again) == fingerprint(objective)
    assert objective.words == ("waa", "wab", "wac")
    assert "nats a pair" in likelihood(HELD).interpretation()
    assert "the 4 given sentences" in likelihood(HELD).interpretation()
