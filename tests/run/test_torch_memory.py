"""Memory of torch runs: states in memory or on disk, batches in pieces, a backward pass that goes on after a stop."""

import gc
import itertools
import os
import tempfile
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.torch import activations as pieces
from crossloss.run.trajectory import FileCheckpoint, SpilledStates
from crossloss.scores import scoring
from crossloss.utils import memory
from crossloss.utils.memory import Footprint

F64 = torch.float64
N, STEPS = 24, 6
RULE = cl.ClipNorm(cl.AdamW(lr=0.02, eps=1e-3), 0.3)


def field(**more):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 3)).double().train()
    x = torch.randn(N, 5, generator=torch.Generator().manual_seed(1), dtype=F64)
    return cl.TorchField(
        net, lambda out, b: F.cross_entropy(out, b[1], reduction="none"), (x, torch.arange(N) % 3),
        batch_size=12, dropout_seed=2, **more,
    )  # fmt: skip


def objective(m):
    return F.cross_entropy(m(torch.eye(5, dtype=F64)), torch.tensor([0, 1, 2, 0, 1]))


def train(budget="4GB", **more):
    return cl.train(field(), RULE, steps=STEPS, memory=budget, **more)


def small_budget(states=0.0):
    """One objective, one step, and so many of the states."""
    needed = field().footprint(RULE)
    return f"{int(needed.fixed + needed.direction + needed.replayed + states * needed.state)}B"


def test_states_lie_in_memory_else_on_disk_else_the_run_is_refused():
    needed = Footprint(fixed=5, direction=10, state=100, replayed=30, theta=25)
    plenty, disk = 10_000, 10_000
    assert needed.storage(8, plenty, disk) == memory.Storage(1, False, 900)
    some = needed.storage(8, 5 + 10 + 500 + 60, disk)
    assert not some.on_disk
    assert some.every > 1
    assert needed.storage(8, 5 + 10 + 30, disk) == memory.Storage(1, True, 900)
    assert needed.storage(8, 5 + 10 + 3 * 30, 400 / memory.DISK_SHARE) == memory.Storage(3, True, 400)
    for budget, free in ((5 + 10 + 29, disk), (5 + 10 + 30, 500)):
        with pytest.raises(UserError, match="raise memory="):
            needed.storage(8, budget, free)


def test_a_run_on_disk_has_the_same_scores_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    whole, spilled = train(), train(small_budget())
    assert isinstance(spilled.trajectory.states, SpilledStates)
    assert len(list(tmp_path.glob("crossloss-*/*.safetensors"))) == STEPS + 1
    assert torch.equal(spilled.theta, whole.theta)
    assert np.array_equal(cl.score(spilled, [objective]).samples, cl.score(whole, [objective]).samples)
    weights = whole.weights
    weights[:5] = 0
    again = spilled.retrain(weights)
    assert torch.equal(again.theta, whole.retrain(weights).theta)
    assert np.array_equal(cl.score(again, [objective]).samples, cl.score(whole.retrain(weights), [objective]).samples)
    del spilled, again
    gc.collect()
    assert not list(tmp_path.glob("crossloss-*"))


def test_the_estimate_says_where_the_states_lie():
    (whole,), (spilled,) = (train(budget).estimate().summary() for budget in ("4GB", small_budget()))
    assert whole.startswith("States of every step in memory:")
    assert spilled.startswith("States of every step on disk:")
    (sparse,) = train(small_budget(5.5)).estimate().summary()
    assert sparse.startswith("States of every 2nd step, those between taken again, in memory:")
    assert train("free").estimate().storage.every == 1


def test_what_the_graph_holds_is_foretold_from_two_samples():
    f = field(chunk=1024)
    fixed, each, rows = pieces.activations(f)
    assert rows == 12
    held = pieces._held(f, f.parts(0)[0].some(slice(None)))
    assert fixed + each * rows == pytest.approx(held, rel=0.1)


def test_a_small_budget_deals_batches_in_pieces(monkeypatch):
    whole = train()
    monkeypatch.setattr(pieces, "FLOOR", 2_000)
    dealt = train(small_budget())
    assert dealt.field.chunk < 12
    assert len(dealt.field.parts(0)) > 1
    np.testing.assert_allclose(dealt.theta.numpy(), whole.theta.numpy(), rtol=1e-9, atol=1e-12)
    found, expected = (cl.score(run, [objective]).samples for run in (dealt, whole))
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)


def test_a_coupled_batch_that_memory_does_not_bear_is_refused(monkeypatch):
    monkeypatch.setattr(pieces, "FLOOR", 1_000)
    torch.manual_seed(0)
    x = torch.randn(N, 5, dtype=F64)

    def contrastive(m, batch, w):
        a = F.normalize(m(batch), dim=1)
        return cl.losses.in_batch_negatives(5 * a @ a.T.roll(1, 1), w)

    coupled = cl.TorchField(nn.Linear(5, 4).double(), data=x, loss=contrastive, batch_size=12)
    assert cl.train(coupled, cl.SGD(0.1), steps=2).steps == 2
    with pytest.raises(UserError, match="cannot be evaluated in pieces: raise memory="):
        cl.train(coupled, cl.SGD(0.1), steps=2, memory="3kB")


def work(folder):
    with train(out=folder) as run:
        return cl.score(run, [objective]).samples


def killed(folder, writes):
    """Do the work in a process that is killed at that write; whether it was."""
    pid = os.fork()
    if not pid:
        replace, count = os.replace, itertools.count(1)

        def deadly(*given, **more):
            if next(count) == writes:
                os._exit(9)
            replace(*given, **more)

        os.replace = deadly
        work(folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def test_a_backward_pass_killed_at_any_write_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "FileCheckpoint", partial(FileCheckpoint, seconds=0.0))
    expected = work(tmp_path / "whole")
    stops = 0
    for writes in itertools.count(1):
        folder = tmp_path / f"killed-{writes}"
        train(out=folder).close()
        if not killed(folder, writes):
            break
        stops += bool(list(folder.glob("backward-*")))
        assert np.array_equal(work(folder), expected)
    assert stops > 3, "the adjoint was saved on the way"
