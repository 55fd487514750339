"""Several processes: the same numbers as one, the same bytes again, a death that all hear of, and going on after it."""

import os
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.linearisation import ExactLinearisation
from crossloss.models.skipgram.negatives import DrawnNegatives
from crossloss.models.skipgram.settings import make_settings
from crossloss.objectives.weat import Weat
from crossloss.run.trajectory import FileCheckpoint
from crossloss.scores import scoring
from crossloss.text.pairs import count_pairs
from crossloss.text.read import from_sentences
from crossloss.text.vocabulary import build_vocabulary
from crossloss.utils import distributed
from dense import random_sentences
from distributed_sample import results, together
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 5, "lr": 0.5}


@pytest.fixture(autouse=True)
def every_step_is_saved(monkeypatch):
    """Of a backward pass, here and in the processes that are forked here."""
    monkeypatch.setattr(scoring, "FileCheckpoint", partial(FileCheckpoint, seconds=0.0))


def passes(cls, tile, control="none"):
    """Everything a field computes, on 30 words."""
    corpus = from_sentences(random_sentences(0), candidates=["waa wab wac"])
    vocabulary = build_vocabulary(corpus, min_count=1)
    counts = count_pairs(corpus, vocabulary, window=3)
    settings = make_settings(
        dimension=4, prior=0.0, dtype="float64", negative_columns=7, negative_seed=1, negative_control=control
    )
    more = {"tile": tile} if cls is SkipGramField else {}
    field = cls(counts, vocabulary, corpus.weights, settings, **more)
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(field.parameters, generator=generator, dtype=torch.float64)
    a = torch.randn(2, field.parameters, generator=generator, dtype=torch.float64)
    w = torch.rand(len(corpus), generator=generator, dtype=torch.float64)
    into = field.accumulator(2)
    found = [field.gradient(theta, w, 2), field.at(theta, w, 2).pullback(a, into), into.samples()]
    found += [field.at(theta, w, 2).pushforward(a[0], w - 0.5), field.curvature("word-blocks", theta, w).product(a)]
    found += [torch.tensor(field.loss(theta, w)), torch.from_numpy(into.unordered())]
    return [part.numpy() for part in found], len(field.tiling)


@pytest.mark.parametrize(
    ("cls", "control"), [(SkipGramField, "none"), *[(DrawnNegatives, c) for c in ("none", "linear", "quadratic")]]
)
@pytest.mark.parametrize("count", [2, 3])
def test_the_parts_of_all_make_the_whole(cls, control, count):
    tile = (7, 11)
    whole, pairs = passes(cls, tile, control)
    found = results(count, lambda rank: passes(cls, tile, control))
    assert sum(own for _, own in found) == pairs
    assert cls is DrawnNegatives or max(own for _, own in found) < pairs
    for parts, _ in found:
        for mine, first, one in zip(parts, found[0][0], whole, strict=True):
            assert mine.tobytes() == first.tobytes(), "every process has the same bytes"
            np.testing.assert_allclose(mine, one, rtol=1e-11, atol=1e-14)


def test_more_processes_than_strips_of_words():
    whole, _ = passes(SkipGramField, (30, 30))
    for parts, _ in results(3, lambda rank: passes(SkipGramField, (30, 30))):
        for mine, one in zip(parts, whole, strict=True):
            np.testing.assert_allclose(mine, one, rtol=1e-11, atol=1e-14)


def chain(folder, **settings):
    """Train, score, plan and retrain in a folder."""
    corpus = cl.from_sentences(random_sentences(2))
    with train_on(corpus, out=folder, **(SETTINGS | settings)) as run:
        run.remember([TEST])
        scored = cl.score(run, [TEST])
        cl.plan(scored, {"test": 0.0}).save(run)
        cl.validate(run, [TEST], subsets=3, plans={}, strongest=0)
        scored.save()
        return run.trajectory.theta.numpy(), scored.samples


def contents(folder):
    names = sorted(
        p for p in folder.rglob("*") if p.is_file() and p.name not in ("metrics.json", "SHA256SUMS", ".lock")
    )
    return {str(p.relative_to(folder)): p.read_bytes() for p in names if "retrains" not in p.parts}


def test_a_run_in_two_processes_is_that_of_one_and_the_same_again(tmp_path):
    theta, found = chain(tmp_path / "one")
    for name in ("two", "again"):
        for other_theta, other in results(2, lambda rank, name=name: chain(tmp_path / name)):
            np.testing.assert_allclose(other_theta, theta, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(other, found, rtol=1e-3, atol=1e-4 * np.abs(found).max())
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert two == contents(tmp_path / "again")
    assert set(one) == set(two), "one process writes, and nothing is left behind"
    assert one["pairs.safetensors"] == two["pairs.safetensors"], "counting in parts gives the same counts"
    assert len(list((tmp_path / "two" / "retrains").iterdir())) == 3


def dying(folder, rank, method, call):
    """The chain, in which process 1 dies at some call of a pass."""
    if rank == 1:
        owner = SkipGramField if method == "gradient" else ExactLinearisation
        original, seen = getattr(owner, method), []

        def deadly(*given, **more):
            seen.append(1)
            if len(seen) == call:
                os._exit(9)  # as kill -9: nothing is said
            return original(*given, **more)

        setattr(owner, method, deadly)
    return chain(folder)


@pytest.mark.parametrize(("method", "call"), [("gradient", 3), ("pullback", 3)])
def test_a_death_is_told_to_all_and_the_run_goes_on_from_there(tmp_path, method, call):
    (first, message, seconds), second, third = together(3, lambda rank: dying(tmp_path / "run", rank, method, call))
    assert second[0] == 9
    assert first == third[0] == 2
    assert "lost another one" in message
    assert "same command again" in message
    assert seconds < 20
    left = sorted(path.name for path in tmp_path.rglob("*.safetensors") if path.parent.name == "states")
    assert left
    if method == "pullback":
        assert len(list((tmp_path / "run").glob("backward-*"))) == 3
    results(3, lambda rank: chain(tmp_path / "run"))
    results(3, lambda rank: chain(tmp_path / "whole"))
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_sums_saved_at_different_steps_are_not_gone_on_from(tmp_path):
    def saved(rank, at):
        checkpoint = FileCheckpoint(tmp_path / "sums.safetensors")
        checkpoint.save({"step": torch.tensor(at(rank))})
        return checkpoint.load() is not None

    assert results(2, lambda rank: saved(rank, lambda rank: 4)) == [True, True]
    assert results(2, lambda rank: saved(rank, lambda rank: 4 + rank)) == [False, False]
    next(iter(tmp_path.glob("*2-of-2*"))).unlink()
    assert results(2, lambda rank: FileCheckpoint(tmp_path / "sums.safetensors").load()) == [None, None]


def test_one_that_does_not_answer_counts_as_dead():
    def work(rank):
        if rank == 1:
            time.sleep(3)
        return float(distributed.add_(torch.ones(1)))

    found = together(2, work, timeout="1")
    assert found[0][0] == 2
    assert f"did not answer within 1 s ({distributed.TIMEOUT})" in found[0][1]
    assert found[0][2] < 2.9


@pytest.mark.slow
def test_torchrun_runs_the_command_and_only_one_speaks(tmp_path):
    (tmp_path / "corpus.txt").write_text("\n".join(random_sentences(2, sentences=200)) + "\n")
    sides = ", ".join(f"{s}: [{', '.join(getattr(TEST, s))}]" for s in "XYAB")
    (tmp_path / "test.yaml").write_text(f"mine: {{{sides}}}\n")
    given = ["run", "corpus.txt", "--objective", "test.yaml", "--validate", "3", "--out", "run", "--min-count", "1"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "crossloss", *given]
    done = subprocess.run([*torchrun, "--steps", "5"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Report: ") == 1
    assert (tmp_path / "run" / "report.html").exists()
