"""The sweep is every update as made alone, resumes anywhere, and is chosen from without the answer."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.plans import sweep as sweeping
from crossloss.plans.sweep import Cell, choose, sweep, write_csv
from crossloss.plans.update import ARMS, update
from dense import random_sentences
from stopping import Stopping
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 20, "lr": 0.3, "momentum": 0.9, "dtype": "float64"}
GRID = {"sizes": (2, 5), "passes": (1, 3, 4)}


@pytest.fixture(scope="module")
def made():
    run = train_on(cl.from_sentences(random_sentences(7, sentences=100)), **SETTINGS)
    return run, cl.score(run, [ONE])


def swept(made, **more):
    run, scores = made
    value = scores.values["one"]

    def judge(theta):
        return {"one": float(ONE(run.field.view(theta)))}

    return sweep(run, run.trajectory.theta, scores.of(), judge, value=value, target=0.0, **GRID, **more)


def test_every_cell_is_its_update_made_alone(made):
    run, scores = made
    cells = swept(made)
    assert [(c.how, c.size, c.passes) for c in cells] == [
        (h, s, k) for h in ARMS for s in GRID["sizes"] for k in GRID["passes"]
    ]
    for c in cells:
        made_of = {"how": c.how, "size": c.size, "passes": c.passes}
        alone = update(scores.of(), run.weights, value=scores.values["one"], target=0.0, **made_of)
        assert c.figures["one"] == float(ONE(run.field.view(alone.apply(run, run.trajectory.theta))))
    assert all(b.seconds > a.seconds for a, b in pairwise(cells) if a.size == b.size and a.how == b.how)


@pytest.mark.parametrize("stop_at", [1, 2, 3, 8])
@pytest.mark.parametrize("between", [False, True])
def test_a_stopped_sweep_goes_on_and_ends_alike(made, monkeypatch, stop_at, between):
    """Stopped after a stage, or between writing its parameters and its cell."""
    store = Stopping(stop_at, ".safetensors" if between else ".json")
    places = {"entry": store.entry("sweep"), "state": store.entry("sweep", suffix=".safetensors")}
    with pytest.raises(KeyboardInterrupt):
        swept(made, **places)
    whole, resumed = swept(made), swept(made, **places)
    assert [(c.how, c.size, c.passes, c.figures) for c in resumed] == [
        (c.how, c.size, c.passes, c.figures) for c in whole
    ]
    monkeypatch.setattr(sweeping.Update, "apply", lambda *unused: pytest.fail("done again"))
    assert swept(made, **places) == resumed


def test_a_cell_that_cannot_be_measured_says_so(made):
    run, scores = made

    def judge(theta):
        raise UserError("no finite vector")

    cells = sweep(
        run, run.trajectory.theta, scores.of(), judge, value=1.0, target=0.0, ways=["undo"], sizes=(2,), passes=(1, 2)
    )
    assert [c.failed for c in cells] == ["no finite vector"] * 2
    with pytest.raises(UserError, match="measured"):
        choose(cells, judged="one", target=0.0, quality="one", least=0.0)


def test_the_choice_is_by_held_out_words_and_quality_only():
    def cell(size, passes, judged, quality, answer):
        return Cell("undo", size, passes, {"judged": judged, "quality": quality, "answer": answer}, 0.0)

    cells = [cell(5, 5, 0.3, 0.6, 0.0), cell(10, 5, 0.1, 0.59, 0.5), cell(10, 100, 0.0, 0.4, 0.0)]
    by = {"judged": "judged", "target": 0.0, "quality": "quality"}
    assert choose(cells, **by, least=0.58) == cells[1]
    assert choose(cells, **by, least=0.3) == cells[2]
    assert choose(cells, **by | {"target": 0.4}, least=0.58) == cells[0]
    assert choose(cells, **by, least=0.9) == cells[0]  # none keeps so much: the one that keeps most
    equal = [cell(10, 100, -0.1, 0.6, 0.0), cell(100, 5, 0.1, 0.6, 0.0)]
    assert choose(equal, **by, least=0.5) == equal[1]


def test_the_table_has_every_cell(made, tmp_path):
    cells = [*swept(made), Cell("both", 9, 9, {}, 1.0, 'it said "no", twice')]
    write_csv(tmp_path / "s.csv", cells)
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == 'how,size,passes,seconds,failed,"one"'
    assert len(lines) == len(cells) + 1
    assert float(lines[1].split(",")[-1]) == pytest.approx(cells[0].figures["one"], rel=1e-5)


def test_stages_of_one_walk_share_its_steps(made, monkeypatch):
    """4 passes of 2 + 5 samples for undo and for reinforce, twice that for both: nothing is walked twice."""
    steps = []
    step = sweeping.Update.walk

    def counted(self, run, theta):
        steps.append(self.passes * (len(self.undone) + len(self.reinforced)))
        return step(self, run, theta)

    monkeypatch.setattr(sweeping.Update, "walk", counted)
    cells = swept(made)
    assert sum(steps) == 4 * 7 * 4
    assert all(np.isfinite(c.figures["one"]) for c in cells)
    assert torch.isfinite(made[0].trajectory.theta).all()


def test_what_takes_too_many_steps_is_left_out_and_said_so(made):
    cells = swept(made, most_steps=15)
    out = {(c.how, c.size, c.passes) for c in cells if c.failed}
    assert out == {("undo", 5, 4), ("reinforce", 5, 4), ("both", 5, 3), ("both", 5, 4), ("both", 2, 4)}
    assert all(c.failed.startswith("left out") and not c.figures for c in cells if c.failed)
    assert [c.figures for c in cells if not c.failed] == [
        w.figures for w, c in zip(swept(made), cells, strict=True) if not c.failed
    ]


def test_what_diverged_stays_so_for_more_passes(made, tmp_path, monkeypatch):
    apply = sweeping.Update.apply

    def explode(self, run, theta):
        if self.how == "undo" and self.passes == 2:  # from the first to the third pass
            raise UserError(f"The update {sweeping.DIVERGED}.")
        return apply(self, run, theta)

    monkeypatch.setattr(sweeping.Update, "apply", explode)
    entry = Stopping().entry("sweep")
    cells = swept(made, entry=entry, state=Stopping().entry("sweep"))
    assert {(c.how, c.passes) for c in cells if c.failed} == {("undo", 3), ("undo", 4)}
    assert swept(made, entry=entry) == cells
    entry.save([sweeping.asdict(c) for c in cells if (c.how, c.size, c.passes) != ("undo", 2, 4)])
    again = {(c.how, c.size, c.passes): c.failed for c in swept(made, entry=entry)}
    assert again["undo", 2, 4] == "The update diverged."
