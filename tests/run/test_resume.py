"""Killed at every write and every step, in training and in the backward pass, then restarted: the same bytes."""

import os
import sys
from functools import partial

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.models.skipgram import loss as loss_module
from crossloss.models.skipgram.estimate import footprint
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.kernels import Kernels
from crossloss.models.skipgram.linearisation import ExactLinearisation
from crossloss.models.skipgram.settings import make_settings
from crossloss.objectives.weat import Weat
from crossloss.run.trajectory import FileCheckpoint
from crossloss.scores import scoring
from crossloss.text.pairs import count_pairs
from crossloss.text.vocabulary import build_vocabulary
from crossloss.utils import files
from crossloss.utils.files import LEDGER
from dense import random_sentences
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 5, "lr": 0.5}
LEFT = 7300  # bytes for states: so little that they are stored every second step and replayed between


def work(folder):
    """Train, score and plan in a folder; every step of the backward pass is saved."""
    scoring.FileCheckpoint = partial(FileCheckpoint, seconds=0.0)
    corpus = cl.from_sentences(random_sentences(2))
    counts = count_pairs(corpus, build_vocabulary(corpus, min_count=1), window=3)
    words, pairs = int(counts.pairs.max()) + 1, len(counts.pairs)
    wanted = footprint(make_settings(dimension=3), corpus, words=words, pairs=pairs, elements=0)
    memory = f"{wanted.fixed + wanted.direction + LEFT}B"
    with train_on(corpus, out=folder, memory=memory, **SETTINGS) as run:
        assert run.trajectory.every == 2
        run.remember([TEST])
        scored = cl.score(run, [TEST])
        scored.save()
        cl.plan(scored, {"test": 0.0}).save(run)


def contents(folder):
    """Bytes of every file but the figures, which hold seconds, and the ledger, which has a line for each write."""
    left_out = ("metrics.json", ".lock", LEDGER)
    names = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in left_out)
    return {str(p.relative_to(folder)): p.read_bytes() for p in names}


class Events:
    """Counts writes and steps, and dies for good at one of them."""

    def __init__(self, deadly=None):
        self.deadly, self.seen = deadly, 0

    def happen(self):
        self.seen += 1
        if self.seen == self.deadly:
            os._exit(9)  # as kill -9: nothing is cleaned up

    def install(self):
        replace, gradient, pullback = os.replace, SkipGramField.gradient, ExactLinearisation.pullback

        def counted_replace(source, target):
            self.happen()
            replace(source, target)
            self.happen()

        def counted_gradient(*given, **more):
            self.happen()
            return gradient(*given, **more)

        def counted_pullback(*given, **more):
            self.happen()
            return pullback(*given, **more)

        files.os.replace = counted_replace
        SkipGramField.gradient, ExactLinearisation.pullback = counted_gradient, counted_pullback


def in_child(folder, deadly=None):
    """Do the work in a forked process; returns its exit code and how many events it saw."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            events = Events(deadly)
            events.install()
            work(folder)
            os.write(write, str(events.seen).encode())
            code = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        seen = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), int(seen or 0)


@pytest.mark.slow
def test_killed_anywhere_and_restarted_gives_the_same_bytes(tmp_path):
    code, events = in_child(tmp_path / "whole")
    assert code == 0
    expected = contents(tmp_path / "whole")
    assert {"model.safetensors", "scores.parquet", "plan-test.parquet", "states/000002.safetensors"} <= set(expected)
    assert not any(name.startswith("backward") for name in expected)
    assert events > 40
    for deadly in range(1, events + 1):
        folder = tmp_path / f"killed-{deadly}"
        assert in_child(folder, deadly) == (9, 0)
        code, seen = in_child(folder)
        assert code == 0
        assert contents(folder) == expected, f"killed at event {deadly} of {events}"
        if deadly > events // 2:
            assert seen < events, "a restarted run goes on where it was"


def test_two_equal_runs_give_the_same_bytes(tmp_path):
    work(tmp_path / "one")
    work(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_finished_run_does_no_step_again(tmp_path, monkeypatch):
    work(tmp_path / "run")

    def refuse(*unused):
        raise AssertionError("a finished stage ran again")

    monkeypatch.setattr(SkipGramField, "gradient", refuse)
    monkeypatch.setattr(ExactLinearisation, "pullback", refuse)
    work(tmp_path / "run")


def test_a_backward_pass_goes_on_only_where_its_pairs_are_in_the_same_order(tmp_path, monkeypatch):
    """Tiles, and so the order of the pairs, follow from the number of threads, which may be another one."""
    monkeypatch.setattr(scoring, "FileCheckpoint", partial(FileCheckpoint, seconds=0.0))
    monkeypatch.setattr(loss_module, "choose", lambda *given: Kernels("torch", (6, 5)))
    corpus, threads = cl.from_sentences(random_sentences(2)), torch.get_num_threads()
    pullback, calls = ExactLinearisation.pullback, []

    def stopped(self, a, into):
        calls.append(self.step)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return pullback(self, a, into)

    def run():
        return train_on(corpus, out=tmp_path / "run", dtype="float64", **SETTINGS)

    try:
        torch.set_num_threads(2)
        with run() as first:
            order = first.field.tiling.source.tolist()
            monkeypatch.setattr(ExactLinearisation, "pullback", stopped)
            with pytest.raises(KeyboardInterrupt):
                cl.score(first, [TEST])
            monkeypatch.setattr(ExactLinearisation, "pullback", pullback)
        assert list((tmp_path / "run").glob("backward-*"))
        torch.set_num_threads(5)
        with run() as again:
            assert again.field.tiling.source.tolist() != order
            found = cl.score(again, [TEST]).of()
        expected = cl.score(train_on(corpus, dtype="float64", **SETTINGS), [TEST]).of()
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)
