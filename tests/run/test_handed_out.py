"""What a run hands out: a copy, or read-only. Whatever is done to it, every later result is as it was."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import crossloss as cl
from crossloss.core import UserError
from crossloss.estimators import gradient_dot
from crossloss.run.trajectory import without_steps
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = cl.objectives.Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 4, "lr": 0.5, "dtype": "float64"}


def words_run(**more):
    return train_on(cl.from_sentences(random_sentences(5)), **(SETTINGS | more))


def field_run():
    torch.manual_seed(0)
    x = torch.randn(12, 3, dtype=torch.float64)
    data = {"x": x, "y": (x.sum(1) > 0).long()}
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    model[0].bias.requires_grad_(False)
    field = cl.TorchField(model, lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), data)
    for tensor in (*data.values(), *model.parameters()):  # what was passed in is not shared either
        tensor.data.zero_()
    return cl.train(field, cl.SGD(0.3, momentum=0.5), steps=4)


def logit(view):
    return view(torch.ones(1, 3, dtype=torch.float64))[0, 0]


def results(run):
    """All that a run says, as numbers."""
    objective = TEST if isinstance(run.model, cl.SkipGram) else logit
    scores = cl.score(run, [objective])
    view = run.view
    heavier = np.ones(len(scores.of()))
    heavier[0] = 2.0
    return [scores.of(), np.array([run.loss, float(objective(view))]), run.retrain(heavier).theta.numpy()]


def spoil(value):
    """Write into an array, tensor, list or dict; True where that was possible."""
    try:
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        if isinstance(value, np.ndarray):
            value[...] = 7
        elif isinstance(value, dict):
            for key in list(value):
                value[key] = 7
        elif isinstance(value, list):
            value.clear()
        else:
            raise AssertionError(type(value))
    except (ValueError, TypeError):
        return False
    return True


OF_WORDS = {
    "vectors": lambda run: run.view.vectors,
    "contexts": lambda run: run.view.contexts,
    "initial": lambda run: run.view.initial,
    "words": lambda run: run.view.words,
    "index": lambda run: run.view.index,
    "a word": lambda run: run.view[WORDS[0]],
    "weights": lambda run: run.weights,
    "theta": lambda run: run.theta,
    "the trajectory's weights": lambda run: run.trajectory.weights,
    "the trajectory's start": lambda run: run.trajectory.initial,
    "a state": lambda run: run.trajectory.states.get(0)["theta"],
    "a view of the start": lambda run: run.retrain().view.initial,
    "retrained": lambda run: run.retrain(run.weights).theta,
    "initial of a seed": lambda run: run.field.initial(0),
    "the corpus's weights": lambda run: run.model.corpus.weights,
    "the corpus's words": lambda run: run.model.corpus.tokens,
    "the vocabulary's counts": lambda run: run.model.vocabulary.counts,
    "how often words are kept": lambda run: run.model.vocabulary.keep,
    "the pairs": lambda run: run.model.counts.pairs,
    "their counts": lambda run: run.model.counts.matrix.data,
}


@pytest.mark.parametrize("what", OF_WORDS)
@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "in a folder"])
def test_a_run_of_words_is_as_it_was(what, stored, tmp_path):
    with words_run(**({"out": tmp_path / "run"} if stored else {})) as run:
        before = results(run)
        spoil(OF_WORDS[what](run))
        for found, expected in zip(results(run), before, strict=True):
            np.testing.assert_array_equal(found, expected)


OF_FIELD = {
    "theta": lambda run: run.theta,
    "weights": lambda run: run.weights,
    "a parameter": lambda run: run.view["2.weight"],
    "a fixed parameter": lambda run: run.view["0.bias"],
    "initial": lambda run: run.field.initial,
    "the trajectory's start": lambda run: run.trajectory.initial,
    "the trajectory's weights": lambda run: run.trajectory.weights,
    "data": lambda run: run.field.rows["x"],
    "labels": lambda run: run.field.rows["y"],
    "a state": lambda run: run.trajectory.states.get(2)["theta"],
}


@pytest.mark.parametrize("what", OF_FIELD)
def test_a_run_of_a_field_is_as_it_was(what):
    run = field_run()
    before = results(run)
    assert before[0].any()
    spoil(OF_FIELD[what](run))
    for found, expected in zip(results(run), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("make", [words_run, field_run])
def test_scores_are_as_they_were(make):
    run = make()
    scores = cl.score(run, [TEST if make is words_run else logit])
    shown = [
        scores.of,
        scores.effects,
        scores.ranks,
        lambda: scores.samples,
        lambda: scores.values,
        lambda: scores.objectives,
    ]
    shown += [lambda: scores.top(3), lambda: scores.table()["weight"].to_numpy()]
    if make is words_run:
        shown += [lambda: scores.atoms, lambda: scores.explain(0).pairs]
    before = [copy.deepcopy(get()) for get in shown]
    for get in shown:
        spoil(get())
    for get, expected in zip(shown, before, strict=True):
        np.testing.assert_equal(get(), expected)


def test_a_view_has_words_and_a_start_of_its_own():
    run = words_run()
    view, words = run.view, list(run.view.words)
    view.words.clear()
    view.index.clear()
    view.initial.zero_()
    again = run.view
    assert again.words == words
    assert again.index == {word: i for i, word in enumerate(words)}
    assert again.initial.any()


def test_plans_and_fits_cannot_be_written_to():
    scores = cl.score(words_run(), [TEST])
    plan = cl.plan(scores, float(TEST(scores.run.view)) / 2, rounds=0)
    fitted = cl.plan(scores, plan.target, method="reweight", rounds=1)
    for array in (plan.weights, plan.before, plan.curve, fitted.weights, fitted.scores):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_trajectory_of_a_model_trained_elsewhere_is_its_own():
    run = words_run()
    theta, weights = run.trajectory.theta, torch.from_numpy(run.weights)
    elsewhere = without_steps(run.field, weights, theta)
    before = gradient_dot(elsewhere, [TEST]).samples()
    spoil(theta)
    spoil(weights)
    assert torch.equal(gradient_dot(elsewhere, [TEST]).samples(), before)


def test_a_cell_that_is_run_again_takes_over_its_folder(tmp_path):
    """And the older run says so, where it would write into what may be another run's."""
    first = words_run(out=tmp_path / "run")
    expected = cl.score(first, [TEST]).of()
    again = words_run(out=tmp_path / "run")
    np.testing.assert_array_equal(cl.score(again, [TEST]).of(), expected)
    with pytest.raises(UserError, match="go on with the newer run"):
        cl.score(first, [cl.objectives.similarity(WORDS[0], WORDS[1])])
    other = words_run(out=tmp_path / "run", seed=3, overwrite=True)
    with pytest.raises(UserError, match="newer run"):
        cl.score(again, [TEST])
    assert not np.array_equal(cl.score(other, [TEST]).of(), expected)
    opened = cl.load(tmp_path / "run")
    np.testing.assert_allclose(
        cl.score(opened, [TEST]).of(), cl.score(words_run(seed=3), [TEST]).of(), rtol=1e-4, atol=1e-9
    )
    opened.close()


def test_words_that_are_kept_are_words():
    for wrong in ("waa wab", {"waa": 1}, ["waa", 3]):
        with pytest.raises(UserError, match=r"keep_words|of type int"):
            words_run(keep_words=wrong)
    assert words_run(keep_words=["WAA", "waa"]).model.keep_words == ("waa",)
