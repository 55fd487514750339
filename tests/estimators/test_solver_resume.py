"""A solve that is stopped goes on with what it had: the same bytes, and no product twice."""

from functools import partial

import numpy as np
import pytest
import torch

import crossloss as cl
import small
from crossloss.core import Curvature, silent
from crossloss.estimators import ConjugateGradient, InverseHessian, LiSSA
from crossloss.estimators.curvature import Jacobian
from crossloss.estimators.solvers import System
from crossloss.run.trajectory import FileCheckpoint
from crossloss.scores import scoring

SOLVERS = {
    "cg": ConjugateGradient(1e-9),
    "lissa": LiSSA(scale=4.0, depth=60, tolerance=0.9),
    "lissa of drawn steps": LiSSA(scale=4.0, depth=20, sampled=True, repeats=3, tolerance=0.9),
}


class Stopping(Curvature):
    """A run's Jacobian that counts its products and is stopped before one of them, if at all."""

    def __init__(self, stop=None):
        run = small.softmax_regression(torch.float64, batches=2).run
        self.inner = Jacobian(run.field, run.theta, run.weights, run.steps)
        self.theta, self.steps = run.theta, run.steps
        self.asked, self.stop = [], stop

    def product(self, a, step="all"):
        if len(self.asked) == self.stop:
            raise KeyboardInterrupt
        self.asked.append(step)
        return (self.inner if step == "all" else self.inner.of_step(step)).product(a)

    def of_step(self, step):
        return OfStep(self, step)


class OfStep(Curvature):
    def __init__(self, whole, step):
        self.whole, self.step = whole, step

    def product(self, a):
        return self.whole.product(a, self.step)


def solve(solver, curvature, file, b):
    system = System(curvature, 0.05)
    ready = solver.init(system)
    setting_up = len(curvature.asked)
    return ready(b, silent, file and FileCheckpoint(file, seconds=0.0)).x, setting_up


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_stopped_solve_goes_on(tmp_path, name, stop):
    solver, file = SOLVERS[name], tmp_path / "solve.safetensors"
    b = torch.randn(3, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    b[1] = 0  # is done before it starts
    whole = Stopping()
    expected, setting_up = solve(solver, whole, None, b)
    assert len(whole.asked) > setting_up + stop + 1, "stops within the solve"
    stopped = Stopping(setting_up + stop)
    with pytest.raises(KeyboardInterrupt):
        solve(solver, stopped, file, b)
    again = Stopping()
    found, _ = solve(solver, again, file, b)
    assert torch.equal(found, expected)
    assert stopped.asked + again.asked[setting_up:] == whole.asked


def test_a_curvature_that_only_its_code_describes_leaves_nothing_to_go_on_with(tmp_path, monkeypatch):
    """Another damping, or another function, would go on with what is not its own."""
    monkeypatch.setattr(scoring, "FileCheckpoint", partial(FileCheckpoint, seconds=0.0))
    saved = []
    monkeypatch.setattr(FileCheckpoint, "save", lambda self, tensors: saved.append(self.path))
    with cl.train(
        cl.SkipGram(cl.from_sentences(["a b c a b c", "b a c"]), min_count=1, dimension=2), out=tmp_path
    ) as run:
        function = lambda theta, weights: Jacobian(run.field, theta, weights, run.steps)  # noqa: E731
        cl.score(run, [cl.objectives.similarity("a", "b")], InverseHessian(function, LiSSA(9.0, 3, tolerance=1.0), 2.0))
    assert not saved


def test_a_stopped_score_goes_on_in_its_folder(tmp_path, monkeypatch):
    """From the run's folder, where nothing is left of it at the end."""
    monkeypatch.setattr(scoring, "FileCheckpoint", partial(FileCheckpoint, seconds=0.0))
    corpus = cl.from_sentences(["a b c d a b c d a b c d", "a c b d", "d c a b"])
    objective = cl.objectives.similarity("a", "b")
    estimator = InverseHessian(solver=ConjugateGradient(1e-9), damping=2.0)
    product, asked = Jacobian.product, []

    def score(folder, stop=None):
        def counted(self, a):
            if len(asked) == stop:
                raise KeyboardInterrupt
            asked.append(len(a))
            return product(self, a)

        asked.clear()
        monkeypatch.setattr(Jacobian, "product", counted)
        with cl.train(cl.SkipGram(corpus, min_count=1, dimension=3, dtype="float64"), steps=3, out=folder) as run:
            return cl.score(run, [objective], estimator).of()

    expected, whole = score(tmp_path / "whole"), len(asked)
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path / "run", whole - 3)
    assert list((tmp_path / "run").glob("backward-*"))
    np.testing.assert_array_equal(score(tmp_path / "run"), expected)
    assert len(asked) < whole / 2
    assert not list((tmp_path / "run").glob("backward-*"))
