"""A run as an object: what it hands out, fingerprints of objectives, the list that its folder keeps."""

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from dense import random_sentences
from train_on import train_on

SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 3, "lr": 0.5}


@pytest.fixture
def run(tmp_path):
    corpus = cl.from_sentences(random_sentences(2), candidates=["waa wab"])
    with train_on(corpus, out=tmp_path / "run", **SETTINGS) as made:
        yield made


def test_weights_are_the_trajectorys_and_a_copy(run):
    weights = run.weights
    assert weights.tolist() == [1.0] * (run.model.samples - 1) + [0.0]
    weights[0] = 7
    assert run.weights[0] == 1.0


def test_fingerprints_of_functions_tell_their_values_and_slopes_apart(run):
    constant = run.fingerprint(lambda view: torch.tensor(2.0))
    assert constant[1:] == [2.0, None]
    unused = run.fingerprint(lambda view: view.vectors.detach().sum() * 0 + torch.ones(1, requires_grad=True).sum())
    assert unused[1:] == [1.0, None]
    one, other = (run.fingerprint(lambda view, k=k: k * view.vectors.square().sum()) for k in (1.0, 2.0))
    assert one[1] != other[1]
    assert other[2] == pytest.approx(2 * one[2])
    assert run.fingerprint(cl.objectives.similarity("waa", "wab")) != run.fingerprint(
        cl.objectives.similarity("waa", "wac")
    )


def test_objectives_are_remembered_once_and_under_one_name(run):
    first, second = cl.objectives.similarity("waa", "wab"), cl.objectives.similarity("waa", "wac")
    assert [o.name for o in run.remember([first])] == [first.name]
    assert [o.name for o in run.remember([second, first])] == [first.name, second.name]
    assert [o.name for o in run.objectives] == [first.name, second.name]
    other = cl.objectives.similarity("wab", "wac", name=first.name)
    with pytest.raises(UserError, match="has another objective named"):
        run.remember([other])


def test_what_a_notebook_shows(run):
    html = run._repr_html_()
    assert "<th style='text-align:left'>what</th><th style='text-align:left'>value</th>" in html
    assert "train.loss" in html
    assert "dimension" in html


def test_an_estimate_is_of_one_objective_unless_said_otherwise(run):
    assert run.estimate().parts.keys() == run.estimate(1).parts.keys()
    assert any("1 objective" in name for name in run.estimate().parts)
    assert any("2 objectives" in name for name in run.estimate(2).parts)
    assert run.estimate(2).memory > run.estimate(1).memory - 50_000_000
    assert np.isfinite(run.estimate().memory)


def test_memory_for_objectives_counts_what_the_optimiser_carries(run, monkeypatch):
    asked, footprint = [], type(run.model).footprint
    monkeypatch.setattr(type(run.model), "footprint", lambda self, rule: asked.append(rule) or footprint(self, rule))
    assert run.at_once(4) == 4
    model = cl.SkipGram(run.model.corpus, vectors=run.theta.view(2, -1, 3).numpy(), min_count=1, dimension=3, window=3)
    imported = cl.imported(model)
    asked.clear()
    assert imported.at_once(4) >= 1
    run.at_once(4)
    assert asked == [None, run.optimiser]
