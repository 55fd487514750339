"""Which states a training stores, and when a backward pass saves its sums."""

import pytest
import torch

from crossloss.optimisers import SGD
from crossloss.run import trajectory as module
from crossloss.run.trajectory import FileCheckpoint, MemoryStates, Training


class Bowl:
    """The loss w * theta^2 / 2."""

    def gradient(self, theta, weights, t):
        return weights.sum() * theta


class Counted(MemoryStates):
    def __init__(self):
        super().__init__()
        self.put_at = []

    def put(self, t, state):
        self.put_at.append(t)
        super().put(t, state)


def training(every, steps=10):
    theta = torch.tensor([1.0, -2.0], dtype=torch.float64)
    return Training(Bowl(), SGD(0.1), torch.ones(2, dtype=torch.float64), steps, theta, Counted(), every)


def test_every_so_many_states_the_first_and_the_last():
    made = training(4)
    made.run_to_end()
    assert made.states.put_at == [0, 4, 8, 10]
    made.run_to_end()
    assert made.states.put_at == [0, 4, 8, 10], "what is stored is not made again"
    torch.testing.assert_close(made.theta, made.initial * 0.8**10, rtol=1e-12, atol=0)


def test_a_first_state_that_was_lost_is_made_again():
    made = training(4)
    made.run_to_end()
    del made.states._states[0]
    made.run_to_end()
    assert made.states.put_at == [0, 4, 8, 10, 0]


def test_states_between_are_made_when_someone_walks_backwards():
    made = training(3)
    made.run_to_end(states=False)
    assert made.states.stored() == [0, 10]
    walked = list(made.backwards(10))
    assert [t for t, _ in walked] == list(range(9, -1, -1))
    for t, state in walked:
        torch.testing.assert_close(state["theta"], made.initial * 0.8**t, rtol=1e-12, atol=0)
    assert made.states.stored() == [0, 3, 6, 9, 10]
    before = list(made.states.put_at)
    assert len(list(made.backwards(5))) == 5
    assert made.states.put_at == before, "once"


def test_a_checkpoint_is_due_by_the_clock_and_by_what_a_save_takes(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    checkpoint = FileCheckpoint(tmp_path / "sums.safetensors", seconds=30.0)
    assert checkpoint.load() is None
    clock[0] += 29.0
    assert not checkpoint.due(7)
    clock[0] += 1.0
    assert checkpoint.due(7)
    write = module.write_own

    def slow(path, tensors):
        clock[0] += 8.0
        write(path, tensors)

    monkeypatch.setattr(module, "write_own", slow)
    checkpoint.save({"step": torch.tensor(7)})
    clock[0] += 79.0
    assert not checkpoint.due(6), "ten times what a save takes"
    clock[0] += 1.0
    assert checkpoint.due(6)
    assert checkpoint.load()["step"] == 7


def test_a_checkpoint_without_seconds_is_always_due(tmp_path):
    checkpoint = FileCheckpoint(tmp_path / "sums.safetensors", seconds=0.0)
    checkpoint.save({"step": torch.tensor(3)})
    assert checkpoint.due(2)


def test_a_training_that_diverges_says_at_which_step():
    made = training(1)
    made._initial = module.HandedOut(torch.tensor([1e308, 1e308], dtype=torch.float64))
    made.optimiser = SGD(9.0)
    with pytest.raises(module.UserError, match=r"diverged at step 1: choose a smaller lr="):
        made.run_to_end()
