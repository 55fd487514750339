"""Estimators as objects and by name: names that last, settings that identify, and one sentence for what is neither."""

import itertools
import json
import subprocess
import sys

import pytest
import torch

import small
from crossloss import estimators
from crossloss.core import UserError
from crossloss.estimators import (
    ESTIMATORS,
    GMRES,
    LESS,
    TRAK,
    Arnoldi,
    ConjugateGradient,
    Dense,
    GradientDot,
    InverseHessian,
    LiSSA,
    TracIn,
    Unrolled,
)
from crossloss.objectives.custom import as_objective

OBJECTS = {
    Unrolled(): "unrolled",
    GradientDot(): "gradient-dot",
    TracIn(every=10): "tracin",
    InverseHessian(): "inverse-hessian",
    InverseHessian(solver=Dense()): "inverse-hessian",
    InverseHessian(solver=LiSSA(scale=3.0), damping=0.1): "inverse-hessian-lissa",
    InverseHessian(solver=Arnoldi(rank=3)): "inverse-hessian-arnoldi",
    InverseHessian("absolute"): "inverse-hessian-absolute",
    InverseHessian("absolute", GMRES()): "inverse-hessian-absolute-gmres",
    InverseHessian("ggn", ConjugateGradient()): "inverse-hessian-ggn",
    InverseHessian("ggn", Dense()): "inverse-hessian-ggn-dense",
    InverseHessian("word-blocks"): "inverse-hessian-word-blocks",
    InverseHessian("ekfac-empirical", damping=0.1): "inverse-hessian-ekfac-empirical",
    TRAK(features=10): "trak",
    LESS(features=10): "less",
    InverseHessian(lambda theta, w: None, ConjugateGradient()): "inverse-hessian-own-curvature-cg",
}


def test_names_say_the_curvature_and_the_solver():
    assert {estimator: estimator.name for estimator in OBJECTS} == OBJECTS
    assert [estimator.name for estimator in ESTIMATORS.values()] == list(ESTIMATORS)


def test_settings_tell_any_two_estimators_apart():
    every = [e for e in (*OBJECTS, *ESTIMATORS.values()) if not callable(getattr(e, "curvature", None))]
    every += [TRAK(seed=1), TRAK(checkpoints=2), LESS(cosine=False), LESS(seed=1)]
    every += [TracIn(every=2), InverseHessian(solver=LiSSA(scale=3.0), damping=0.2), InverseHessian(damping=1e-3)]
    every += [InverseHessian(solver=LiSSA(scale=3.0, depth=5), damping=0.1), InverseHessian(solver=GMRES(restart=9))]
    for one, other in itertools.combinations(every, 2):
        same = json.dumps(one.settings()) == json.dumps(other.settings())
        assert same == (one == other), (one, other)
    assert InverseHessian(lambda theta, w: None).settings() is None, "nothing identifies a function in another process"


def test_settings_are_the_same_in_another_process():
    code = (
        "import json; from crossloss.estimators import *; "
        "print(json.dumps(InverseHessian(solver=LiSSA(scale=3.0), damping=0.1).settings(), sort_keys=True))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == InverseHessian(solver=LiSSA(scale=3.0), damping=0.1).settings()


def test_a_name_and_an_object_are_both_taken():
    assert estimators.get("tracin") is ESTIMATORS["tracin"]
    mine = TracIn(every=10)
    assert estimators.get(mine) is mine
    assert estimators.get("inverse-hessian-cg", 0.3) == InverseHessian(solver=ConjugateGradient(), damping=0.3)
    assert estimators.get("trak", 0.3) == TRAK(damping=0.3)
    assert estimators.get(InverseHessian(), 0.3) == InverseHessian(damping=0.3)
    assert estimators.get(InverseHessian(damping=0.3), 0.3) == InverseHessian(damping=0.3)


@pytest.mark.parametrize(
    ("given", "damping", "message"),
    [
        ("magic", 0.0, "no estimator 'magic'; there are: unrolled, .*inverse-hessian-ekfac, trak, less, mine"),
        (TracIn, 0.0, "is the class TracIn: give a name, or an object"),
        (None, 0.0, "is a NoneType: give a name"),
        (lambda run, objectives: None, 0.0, "is a function: give a name"),
        (["unrolled"], 0.0, "is a list: give a name"),
        ("tracin", 0.1, "tracin takes no damping"),
        ("less", 0.1, "less takes no damping"),
        (Unrolled(), 0.1, "unrolled takes no damping"),
        (InverseHessian(damping=0.3), 0.1, "has damping 0.3 of its own: give one damping"),
    ],
)
def test_what_is_neither_is_refused(given, damping, message):
    with pytest.raises(UserError, match=message):
        estimators.get(given, damping, others=["mine"])


@pytest.mark.parametrize("every", [0, -1, True, 1.0, 2.5, "2", None])
def test_tracin_counts_in_whole_steps(every):
    with pytest.raises(UserError, match="1 or more, and whole"):
        TracIn(every=every)


@pytest.mark.parametrize(
    "estimator",
    [
        InverseHessian(damping=0.1),
        InverseHessian("absolute", damping=0.1),
        InverseHessian(solver=Arnoldi(4), damping=0.1),
        InverseHessian("word-blocks", damping=0.1),
    ],
    ids=lambda e: e.name,
)
def test_an_estimator_at_a_run_factorises_once(estimator, monkeypatch):
    """The second call makes its right-hand side, its residual and its scores: no curvature is made again."""
    case = small.made("skipgram", torch.float64)
    point, calls = type(case.run.field.at(case.run.theta, case.run.weights, -1)), []
    pullback = point.pullback
    monkeypatch.setattr(point, "pullback", lambda at, a, into: calls.append(len(a)) or pullback(at, a, into))
    at = estimator.at(case.run)
    assert not calls, "nothing before it is asked"
    first = [at([objective]).samples() for objective in case.objectives[:1]]
    made = len(calls)
    second = at(case.objectives[1:]).samples()
    assert len(calls) - made <= 2
    whole = estimator(case.run, case.objectives).samples()
    torch.testing.assert_close(torch.cat([*first, second]), whole, rtol=1e-9, atol=1e-12)


def test_a_curvature_that_is_none_is_refused():
    case = small.made("softmax", torch.float64)
    with pytest.raises(UserError, match=r"made a Tensor: return a core\.Curvature"):
        InverseHessian(lambda theta, w: torch.eye(len(theta)))(case.run, [as_objective(small.cubic)])
