"""A torch run opened without its field: what is stored is there, the rest is refused in one sentence."""

import numpy as np
import pytest
import torch

import crossloss as cl
from capabilities import N, data, held_out, module, sample_loss
from crossloss.core import UserError
from crossloss.run.origin import settings_of

TEXTS = [f"the text {i}" for i in range(N)]


def field(**more):
    return cl.TorchField(module(0), sample_loss, data(), **more)


def trained(out, **more):
    return cl.train(field(**more), cl.AdamW(0.05), steps=6, out=out)


def recorded(out):
    f, model = field(), module(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = cl.Recorder(f, model, optimizer)
    for rows in ([0, 3], [1, 2, 5]):
        recorder.batch(rows)
        optimizer.zero_grad()
        parts = data()
        sample_loss(model(parts["x"][rows]), {"y": parts["y"][rows]}).mean().backward()
        optimizer.step()
    return recorder.finish(out)


def imported(out):
    return cl.imported(field(), out=out)


def scored(run):
    return cl.score(run, [held_out], *([] if run.steps else ["inverse-hessian"]), damping=0.0 if run.steps else 0.5)


@pytest.mark.parametrize("make", [trained, recorded, imported])
def test_parameters_settings_scores_and_start_are_those_stored(make, tmp_path):
    with make(tmp_path / "run") as run:
        scores = scored(run)
        theta, samples, values, top = run.theta, scores.samples, scores.values, str(scores.top(4))
        initial, parameters = run.trajectory.initial, {name: p.clone() for name, p in run.view.items()}
        settings, weights, steps = settings_of(run.origin), run.weights, run.steps
    with cl.load(tmp_path / "run") as run:
        assert torch.equal(run.theta, theta)
        assert torch.equal(run.trajectory.initial, initial)
        assert {name: p.tolist() for name, p in run.view.items()} == {n: p.tolist() for n, p in parameters.items()}
        assert settings_of(run.origin) == settings
        assert run.steps == steps
        np.testing.assert_array_equal(run.weights, weights)
        np.testing.assert_array_equal(run.results.scores.samples, samples)
        assert run.results.scores.values == values
        assert str(run.results.scores.top(4)) == top
        assert [o.name for o in run.objectives] == ["held_out"]


def test_scores_of_stored_objectives_are_read_again(tmp_path):
    with trained(tmp_path / "run") as run:
        samples = scored(run).samples
    with cl.load(tmp_path / "run") as run:
        np.testing.assert_array_equal(cl.score(run, run.objectives).samples, samples)
    with cl.load(tmp_path / "run") as run:  # once more, after a score without the field
        np.testing.assert_array_equal(run.results.scores.samples, samples)


def test_plans_validation_report_and_texts_are_those_stored(tmp_path):
    with trained(tmp_path / "run", show=TEXTS) as run:
        scores = scored(run)
        plan = cl.plan(scores, {"held_out": 1.1 * scores.values["held_out"]})
        plan.save(run)
        validation = str(cl.validate(run))
        strongest = scores.amplifiers(1)[0].sample
    with cl.load(tmp_path / "run") as run:
        html = cl.report(run).read_text(encoding="utf-8")
        assert run.model.show(strongest) == TEXTS[strongest]
        assert all(text in html for text in TEXTS)
        np.testing.assert_array_equal(run.results.plans["held_out"].weights, plan.weights)
        assert str(run.results.validation) == validation


@pytest.mark.parametrize(
    "act",
    [
        lambda run: cl.score(run, [held_out]),
        lambda run: cl.score(run, run.objectives, "tracin"),
        lambda run: cl.score(run, run.objectives, "inverse-hessian", damping=0.5),
        lambda run: cl.plan(run.results.scores, {"held_out": 0.9 * run.results.scores.values["held_out"]}),
        lambda run: cl.validate(run),
        lambda run: cl.measure(run, [held_out]),
        lambda run: cl.train(run.model, cl.SGD(0.1), steps=2),
        lambda run: cl.imported(run.model),
        lambda run: run.view(torch.zeros(1, 2)),
        lambda run: run.retrain(run.weights * 0.5),
        lambda run: list(run.trajectory.backwards(run.steps)),
        lambda run: run.loss,
        lambda run: run.field.gradient(run.theta, run.trajectory.weights, 0),
    ],
)
def test_what_needs_the_field_asks_for_it_and_leaves_the_folder_whole(act, tmp_path):
    with trained(tmp_path / "run") as run:
        samples = scored(run).samples
    with cl.load(tmp_path / "run") as run, pytest.raises(UserError, match=r"needs the field .*cl\.load\(.*, field\)"):
        act(run)
    with cl.load(tmp_path / "run") as run:
        np.testing.assert_array_equal(run.results.scores.samples, samples)
    with cl.load(tmp_path / "run", field()) as run:
        np.testing.assert_array_equal(scored(run).samples, samples)


def test_a_run_without_scores_opens_with_none(tmp_path):
    trained(tmp_path / "run").close()
    with cl.load(tmp_path / "run") as run:
        assert run.results.scores is None
        assert run.objectives == []


def test_a_folder_that_lacks_what_this_needs_is_refused_and_opens_with_its_field(tmp_path):
    trained(tmp_path / "run").close()
    (tmp_path / "run" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"does not hold all .* give the field"):
        cl.load(tmp_path / "run")
    cl.load(tmp_path / "run", field()).close()


def test_texts_that_changed_are_shown_as_they_are_now(tmp_path):
    trained(tmp_path / "run", show=TEXTS).close()
    cl.load(tmp_path / "run", field(show=[text.upper() for text in TEXTS])).close()
    with cl.load(tmp_path / "run") as run:
        assert run.model.show(3) == "THE TEXT 3"


def test_rows_are_shown_as_rows_and_images_by_number(tmp_path):
    trained(tmp_path / "rows", show=[{"left": i, "right": f"r{i}"} for i in range(N)]).close()
    with cl.load(tmp_path / "rows") as run:
        assert run.model.show(2) == {"left": "2", "right": "r2"}
    trained(tmp_path / "images", show=lambda i: np.eye(2) * i).close()
    with cl.load(tmp_path / "images") as run:
        assert run.model.show(2) == "sample 2"


def test_a_text_of_half_a_character_is_no_obstacle(tmp_path):
    trained(tmp_path / "run", show=["\ud800", *TEXTS[1:]]).close()
    with cl.load(tmp_path / "run") as run:
        assert run.model.show(0) == "?"
        assert run.model.show(1) == TEXTS[1]
