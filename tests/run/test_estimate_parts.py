"""What the backward pass of a run is estimated to take, part by part."""

from types import SimpleNamespace

import pytest

from crossloss.run import estimate as module
from crossloss.run.estimate import estimate_backward_pass, spills
from crossloss.run.trajectory import FolderStates, MemoryStates
from crossloss.utils.memory import Footprint

STATE, REPLAYED, THETA, DIRECTION = 1_000, 300, 500, 70
RULE = object()


class Stored(MemoryStates):
    def __init__(self, steps):
        self.steps = steps

    def stored(self):
        return self.steps


class Model:
    def footprint(self, rule):
        assert rule is RULE
        return Footprint(fixed=10**6, direction=DIRECTION, state=STATE, replayed=REPLAYED, theta=THETA)

    def activations(self):
        return 11


@pytest.fixture(autouse=True)
def process(monkeypatch):
    monkeypatch.setattr(module, "resident_memory", lambda: 123)


def training(states, steps=10, every=4):
    return SimpleNamespace(optimiser=RULE, every=every, steps=steps, states=states)


def test_in_memory_the_states_that_are_still_to_come_are_counted():
    """Ten steps, every fourth: 0, 4, 8 and the last; one of them is there."""
    found = estimate_backward_pass(Model(), training(Stored([0])), 2)
    assert found.parts == {
        "this process now": 123,
        "states": 3 * STATE,
        "steps taken again": 4 * REPLAYED,
        "2 objectives": 2 * DIRECTION,
        "adjoint of a step": 9 * THETA,
        "activations": 11,
    }
    assert found.memory == sum(found.parts.values())
    assert (found.storage.every, found.storage.on_disk, found.storage.stored) == (4, False, 4 * STATE)
    assert found.steps == 10


def test_states_that_are_there_are_in_the_process_already():
    assert estimate_backward_pass(Model(), training(Stored([0, 4, 8, 10])), 1).parts["states"] == 0
    assert estimate_backward_pass(Model(), training(Stored([0, 2, 4, 6, 8, 10])), 1).parts["states"] == 0, "not less"


def test_states_on_disk_take_no_memory(tmp_path):
    found = estimate_backward_pass(Model(), training(FolderStates(tmp_path)), 1)
    assert found.parts["states"] == 0
    assert (found.storage.on_disk, found.storage.stored) == (True, 4 * STATE)
    assert "1 objective" in found.parts


@pytest.mark.parametrize(
    ("resident", "fixed", "state", "disk", "expected"),
    [
        (889_860, 1_000, 10_000, 10**9, False),  # there is room
        (889_861, 1_000, 10_000, 10**9, True),
        (1_000, 889_860, 10_000, 10**9, False),  # a run opened again, which does not hold yet what it will
        (1_000, 889_861, 10_000, 10**9, True),
        (890_000, 1_000, 10_000, 10_000, False),  # and no room on disk
        (999_000, 1_000, 1_000, 10**9, False),  # less than a sixteenth of the budget
    ],
)
def test_a_retraining_spills_what_the_budget_does_not_bear_beside_the_process(
    monkeypatch, resident, fixed, state, disk, expected
):
    """Ten steps, every state: 11 of them, beside the process and two directions, in a budget of a million bytes."""
    monkeypatch.setattr(module, "resident_memory", lambda: resident)
    monkeypatch.setattr(module, "free_disk", lambda folder: disk)
    monkeypatch.setattr(
        Model,
        "footprint",
        lambda self, rule: Footprint(fixed=fixed, direction=DIRECTION, state=state, replayed=REPLAYED, theta=THETA),
    )
    assert spills(Model(), training(Stored([]), every=1), 1_000_000) == expected
