"""What is measured of a trained model beside its objectives, and what no training sees."""

from types import SimpleNamespace

import numpy as np
import pytest

import crossloss as cl
from crossloss.run import figures as module
from crossloss.run.figures import HELD_OUT, figures, figures_of, held_in_samples
from dense import random_sentences
from train_on import train_on

TEST = cl.objectives.similarity("waa", "wab")
SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 3, "lr": 0.5, "dtype": "float64"}


@pytest.fixture(scope="module")
def run():
    return train_on(cl.from_sentences(random_sentences(2)), **SETTINGS)


def test_every_figure_has_its_name(run, monkeypatch):
    monkeypatch.setattr(type(run.model), "benchmarks", lambda self, view: {"wordsim353": 0.5, "simlex999": None})
    monkeypatch.setattr(module, "analogies", lambda words, vectors: 0.25 if vectors.shape == (len(words), 3) else None)
    found = figures(run, [TEST])
    assert found.keys() == {TEST.name, "wordsim353", "analogies", "loss"}
    assert (found["wordsim353"], found["analogies"]) == (0.5, 0.25)
    assert found[TEST.name] == pytest.approx(float(TEST(run.view)))
    w = run.trajectory.weights
    assert found["loss"] == pytest.approx(run.field.data_loss(run.theta, w))
    elsewhere = figures_of(run, [TEST])(run.trajectory.initial)
    assert elsewhere["loss"] == pytest.approx(run.field.data_loss(run.trajectory.initial, w))


def test_one_in_twenty_is_held_out_with_its_swapped_version():
    originals = np.concatenate([np.full(4000, -1), np.arange(1000)])
    corpus = SimpleNamespace(originals=originals)
    model = cl.SkipGram.__new__(cl.SkipGram)
    model.__dict__["corpus"] = corpus
    drawn = SimpleNamespace(model=model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cl.SkipGram, "samples", 5000)
        held_in = held_in_samples(drawn, 3)
        assert set(held_in) == {0.0, 1.0}
        assert 0.03 < 1 - held_in[:4000].mean() < 0.07
        np.testing.assert_array_equal(held_in[4000:], held_in[:1000])
        np.testing.assert_array_equal(held_in, held_in_samples(drawn, 3))
        assert (held_in != held_in_samples(drawn, 4)).any()
        first = next(s for s in range(1000) if np.random.default_rng([s, 353]).random() < HELD_OUT)
        out = held_in_samples(drawn, first)
        assert out[0] == out[4000] == 0, "the first sentence's swapped version too"
        np.testing.assert_array_equal(held_in_samples(drawn, None), held_in_samples(drawn, 0))
        corpus.originals = None
        assert (held_in_samples(drawn, 3)[4000:] != held_in[4000:]).any()
