"""Copies follow the weights; another trainer sees the difference."""

import sys

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives import as_objective
from crossloss.objectives.weat import Weat
from crossloss.plans.transfer import Copies, Transfer, copies, transfer
from dense import random_sentences
from stopping import Stopping
from train_on import train_on

transferring = sys.modules["crossloss.plans.transfer"]
WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 8, "steps": 5, "lr": 0.3, "subsample": 0}


@pytest.fixture(scope="module")
def run():
    planted = ["waa wai wab waj wac wak"] * 60 + ["wae wam waf wan wag wao"] * 60
    return train_on(cl.from_sentences([*random_sentences(7, sentences=300), *planted]), **SETTINGS)


def test_objectives_see_gensims_contexts_and_what_needs_more_is_refused_before_it_trains(run, monkeypatch):
    pytest.importorskip("gensim")
    pairing = as_objective(lambda view: view["waa"] @ view.contexts[view.index["wai"]])
    found = transfer(run, [pairing], run.weights, [1], epochs=1)
    assert found[pairing.name].before[0] != 0
    monkeypatch.setattr(transferring, "Copies", lambda *unused: pytest.fail("trained"))
    for objective in (cl.objectives.displacement("waa"), as_objective(lambda view: view.log_likelihood(["waa wai"]))):
        with pytest.raises(UserError):
            transfer(run, [objective], run.weights, [1], epochs=1)


def test_copies_have_the_weights_as_their_mean():
    weights = np.array([0.0, 1.0, 2.0, 0.3, 1.75])
    generator = np.random.default_rng(0)
    drawn = np.stack([copies(weights, generator) for _ in range(4000)])
    assert (drawn[:, :3] == weights[:3]).all()
    assert set(np.unique(drawn[:, 4])) == {1, 2}
    np.testing.assert_allclose(drawn.mean(axis=0), weights, atol=0.03)


def test_sentences_are_drawn_anew_in_every_epoch(run):
    weights = np.full(len(run.model.corpus), 0.5)
    weights[0] = 2
    sentences = Copies(run, weights, seed=1)
    first, second = list(sentences), list(sentences)
    assert first != second
    assert first[0] == first[1] == run.model.corpus.texts[0].split()
    assert list(Copies(run, weights, seed=1)) == first


def test_another_trainer_sees_the_removal_of_what_was_planted(run, monkeypatch):
    pytest.importorskip("gensim")
    weights = run.weights.copy()
    weights[301:] = 0
    entry = Stopping().entry("transfer")
    found = transfer(run, [ONE], weights, [1, 2, 3], epochs=15, entry=entry)["one"]
    assert found.significant
    assert np.mean(found.after) < np.mean(found.before) - 0.5
    assert found.spread == (np.std(found.before, ddof=1), np.std(found.after, ddof=1))
    done = dict(entry.load())
    done.popitem()
    entry.save(done)
    assert transfer(run, [ONE], weights, [1, 2, 3], epochs=15, entry=entry)["one"] == found
    monkeypatch.setattr(transferring, "Copies", lambda *unused: pytest.fail("trained again"))
    assert transfer(run, [ONE], weights, [1, 2, 3], epochs=15, entry=entry)["one"] == found
    monkeypatch.undo()
    # Another plan has the same models before it: only those after it are trained.
    made, copies = [], transferring.Copies
    monkeypatch.setattr(transferring, "Copies", lambda *given: made.append(given[1]) or copies(*given))
    other = np.minimum(weights + 0.5, 1)
    assert transfer(run, [ONE], other, [1, 2, 3], epochs=15, entry=entry)["one"].before == found.before
    assert [w.tolist() for w in made] == [other.tolist()] * 3


def test_gensim_knows_how_many_sentences_it_gets(run, caplog):
    # Its learning rate falls with the share of them that it has seen.
    pytest.importorskip("gensim")
    transfer(run, [ONE], 2 * run.weights, [1], epochs=2)
    assert not [entry for entry in caplog.records if "did not equal expected" in entry.message]


def test_no_difference_does_not_carry_over():
    assert not Transfer([1.0, 1.2, 0.9], [1.05, 1.1, 1.0]).significant
    assert Transfer([1.0, 1.2, 0.9], [0.1, 0.2, 0.0]).significant
    assert Transfer([1.0, 1.2, 0.9], [1.05, 1.1, 1.0]).verdict == "not beyond the spread"
    assert Transfer([1.0, 1.2, 0.9], [0.1, 0.2, 0.0]).verdict == "yes"
    assert Transfer([0.1, 0.2, 0.0], [-1.0, -1.2, -0.9]).verdict == "yes, but farther from 0"


def test_without_gensim_it_says_what_to_install(run, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(UserError, match=r"install \"crossloss\[gensim\]"):
        transfer(run, [ONE], run.weights, [1])
