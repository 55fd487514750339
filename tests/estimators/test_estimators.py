"""Every estimator on every field in every dtype, against dense float64 references; what cannot be done says so.

The references (tests/small.py) are dense Jacobians and derivatives through the whole loop, by torch.autograd.
"""

import pytest
import torch

import small
from crossloss.core import FULL_BATCH, UserError
from crossloss.estimators import (
    ESTIMATORS,
    GMRES,
    LESS,
    TRAK,
    Arnoldi,
    ConjugateGradient,
    Dense,
    InverseHessian,
    LiSSA,
    TracIn,
    gradient_dot,
    unrolled,
)
from crossloss.objectives.custom import as_objective
from crossloss.optimisers import Adam, HeavyBall
from crossloss.run.trajectory import MemoryStates, Training, without_steps
from small import DTYPES, FIELDS, made
from stopping import StoppingCheckpoint

RANK = 4


def exact(case):
    return case.slopes() @ case.sensitivity()


def dot(case):
    return -case.slopes() @ case.jacobians()[1]


def tracin(every):
    """sum_t grad f(theta_u) . (theta_{t+1} - theta_t) by w, with all thetas held: each v_t written out as a sum."""

    def reference(case):
        states, total = case.states(), 0
        steps, scale = len(states), case.run.optimiser.scale.double()
        for t in range(steps):
            representative = steps - 1 - (steps - 1 - t) // every * every
            for later in range(t, steps):
                slope = case.slopes(states[steps - 1 - (steps - 1 - later) // every * every])
                by_weight = case.jacobians(states[representative], t if every == 1 else FULL_BATCH)[1]
                total = total - small.MOMENTUM ** (later - t) * (slope * scale) @ by_weight
        return total

    return reference


def influence(change=lambda jacobian: jacobian):
    def reference(case):
        jacobian, by_weight = case.jacobians()
        inverse = torch.linalg.inv(change(jacobian).T + case.damping * torch.eye(len(jacobian)))
        return -case.slopes() @ inverse.T @ by_weight

    return reference


def absolute(jacobian):
    values, vectors = torch.linalg.eigh(jacobian)
    return vectors @ torch.diag(values.abs()) @ vectors.T


def blocks(jacobian):
    return jacobian * torch.block_diag(*[torch.ones(2, 2)] * (len(jacobian) // 2))


def top_eigenvalues(case):
    jacobian, by_weight = case.jacobians()
    values, vectors = torch.linalg.eigh(jacobian)
    keep = values.abs().argsort(descending=True)[:RANK]
    inverse = vectors[:, keep] @ torch.diag(1 / (values[keep] + case.damping)) @ vectors[:, keep].T
    return -case.slopes() @ inverse @ by_weight


def solving(make, curvature="jacobian"):
    return lambda case, tolerance: InverseHessian(curvature, make(tolerance / 10), case.damping)


CASES = {
    "unrolled": (lambda case, tolerance: unrolled, exact),
    "gradient-dot": (lambda case, tolerance: gradient_dot, dot),
    "tracin": (lambda case, tolerance: TracIn(), tracin(1)),
    "tracin of every 3rd": (lambda case, tolerance: TracIn(every=3), tracin(3)),
    "tracin of every 4th": (lambda case, tolerance: TracIn(every=4), tracin(4)),
    "dense": (solving(lambda tolerance: Dense()), influence()),
    "cg": (solving(ConjugateGradient), influence()),
    "gmres": (solving(lambda tolerance: GMRES(tolerance)), influence()),
    "lissa": (solving(lambda tolerance: LiSSA(scale=1.5, tolerance=tolerance)), influence()),
    "arnoldi": (solving(lambda tolerance: Arnoldi(RANK)), top_eigenvalues),
    "absolute": (solving(lambda tolerance: None, "absolute"), influence(absolute)),
    "absolute, cg": (solving(ConjugateGradient, "absolute"), influence(absolute)),
    "word-blocks": (solving(lambda tolerance: None, "word-blocks"), influence(blocks)),
    "word-blocks, cg": (solving(ConjugateGradient, "word-blocks"), influence(blocks)),
    "no such curvature": (solving(lambda tolerance: Dense(), "ggn"), None),
}

NOT_SYMMETRIC, NO_KIND = "is not symmetric", "offers no curvature"
UNSUPPORTED = (
    {
        ("cg", "perceptron"): "has a direction of -.* not positive definite",
        ("lissa", "perceptron"): "LiSSA diverged .*: raise the scale",
        ("cg", "clustering"): NOT_SYMMETRIC,
        ("arnoldi", "clustering"): NOT_SYMMETRIC,
        ("absolute", "clustering"): NOT_SYMMETRIC,
        ("absolute, cg", "clustering"): NOT_SYMMETRIC,
    }
    | {
        ("no such curvature", field): "no curvature 'ggn'; there are: jacobian, absolute, word-blocks"
        for field in ("skipgram", "skipgram-prior")
    }
    | {
        (name, field): NO_KIND
        for name in ("word-blocks", "word-blocks, cg", "no such curvature")
        for field in FIELDS
        if not field.startswith("skipgram")
    }
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", CASES)
def test_scores_equal_the_dense_reference_or_say_why_not(name, field, dtype):
    case, (make, reference) = made(field, dtype), CASES[name]
    estimator = make(case, DTYPES[dtype])
    if (name, field) in UNSUPPORTED:
        with pytest.raises(UserError, match=UNSUPPORTED[name, field]):
            estimator(case.run, case.objectives)
        return
    scores, expected = estimator(case.run, case.objectives).samples(), reference(case)
    error = (scores - expected).abs().max(dim=1).values / expected.abs().max(dim=1).values
    assert error.max() < DTYPES[dtype]


def test_every_name_is_what_it_says():
    """Curvature and solver of each; LiSSA's scale is that of Koh and Liang's code."""
    assert ESTIMATORS["unrolled"] is unrolled
    assert ESTIMATORS["gradient-dot"] is gradient_dot
    assert ESTIMATORS["tracin"] == TracIn(every=1)
    solvers = {"cg": ConjugateGradient(), "gmres": GMRES(), "lissa": LiSSA(25.0), "arnoldi": Arnoldi()}
    found = {name: estimator for name, estimator in ESTIMATORS.items() if name.startswith("inverse-hessian")}
    assert found == (
        {"inverse-hessian": InverseHessian("jacobian", None, 0.0)}
        | {f"inverse-hessian-{name}": InverseHessian("jacobian", solver) for name, solver in solvers.items()}
        | {f"inverse-hessian-{kind}": InverseHessian(kind) for kind in ("absolute", "word-blocks", "ekfac")}
        | {"inverse-hessian-ggn": InverseHessian("ggn", ConjugateGradient())}
    )
    assert ESTIMATORS["trak"] == TRAK(4_096, 0.1, 1, 0)
    assert ESTIMATORS["less"] == LESS(4, True, None, 0)
    assert len(ESTIMATORS) == 5 + len(found)


def test_every_registered_estimator_is_in_the_product_or_refuses_small_fields_by_name():
    """A plain field: scores, or one sentence; never nan and never a row of zeros."""
    case = made("softmax", torch.float64)
    refusals = {
        "inverse-hessian-lissa": "raise depth",
        "inverse-hessian-arnoldi": "rank",
        "inverse-hessian-word-blocks": NO_KIND,
        "inverse-hessian-ggn": NO_KIND,
        "inverse-hessian-ekfac": NO_KIND,
        "trak": "no gradients of single samples",
        "less": "Adam's moments",
    }
    for name, estimator in ESTIMATORS.items():
        if name in refusals:
            with pytest.raises(UserError, match=refusals[name]):
                estimator(case.run, case.objectives)
            continue
        scores = estimator(case.run, case.objectives).samples()
        assert scores.isfinite().all()
        assert scores.abs().sum(dim=1).gt(0).all()


@pytest.mark.parametrize("name", [name for name in CASES if name != "no such curvature"])
def test_progress_rises_to_its_total(name):
    field = "skipgram" if "blocks" in name else "batches"
    case, calls = made(field, torch.float64), []
    CASES[name][0](case, 1e-7)(case.run, case.objectives, progress=lambda *at: calls.append(at))
    shares = [done / total for done, total in calls]
    assert shares == sorted(shares)
    assert shares[0] > 0
    assert shares[-1] == 1
    if name == "unrolled" or name.startswith("tracin"):
        assert calls == [(t, small.STEPS) for t in range(1, small.STEPS + 1)]
    elif name in ("cg", "gmres", "lissa"):
        assert len(set(calls)) > 5, "while it works too"
    elif name in ("arnoldi", "gradient-dot", "absolute", "word-blocks"):
        assert set(calls) == {(1, 1)}


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("kind", ["unrolled", "tracin"])
def test_a_stopped_backward_walk_goes_on_to_the_same_bytes(kind, every):
    case = made("batches", torch.float64)
    estimator = unrolled if kind == "unrolled" else TracIn(every)
    whole = estimator(case.run, case.objectives).samples()

    saved = StoppingCheckpoint()

    def stop(done, total):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimator(case.run, case.objectives, progress=stop, checkpoint=saved)
    assert 0 < int(saved.tensors["step"]) < 9
    first, calls = 10 - int(saved.tensors["step"]), []
    again = estimator(case.run, case.objectives, checkpoint=saved, progress=lambda *at: calls.append(at))
    assert torch.equal(again.samples(), whole)
    assert calls == [(done, 9) for done in range(first, 10)], "from where it stopped"
    every_step = kind == "unrolled" or every == 1
    assert saved.steps == ((8, 7, 6, 5, 4, 3, 2, 1) if every_step else (5, 1)), "each once, and the end is not"


def test_tracin_with_adam_is_the_derivative_of_the_steps_with_every_state_held():
    case, rate, eps, (b1, b2) = made("perceptron", torch.float64), 0.05, 1e-2, (0.9, 0.99)
    given = case.run
    run = Training(
        given.field, Adam(rate, (b1, b2), eps), given.weights, small.STEPS, given.initial, MemoryStates(), every=4
    )
    run.run_to_end()
    states = [state["theta"] for _, state in run.backwards(run.steps)][::-1]
    slopes = [torch.autograd.functional.jacobian(small.cubic, theta) for theta in states]

    def moved(w):
        total, m, v = 0, 0, 0
        for t, theta in enumerate(states):
            g = case.g(theta, w, t)
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            step = m / (1 - b1 ** (t + 1)) / ((v / (1 - b2 ** (t + 1))).sqrt() + eps)
            total = total - rate * slopes[t] @ step
        return total

    expected = torch.autograd.functional.jacobian(moved, run.weights)
    found = TracIn()(run, [as_objective(small.cubic)]).samples()[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_many_objectives_at_once_are_each_alone():
    case = made("skipgram", torch.float64)
    for solver in (ConjugateGradient(1e-12), Dense(), GMRES(1e-12)):
        estimator = InverseHessian(solver=solver, damping=case.damping)
        both = estimator(case.run, case.objectives).samples()
        for j, objective in enumerate(case.objectives):
            torch.testing.assert_close(estimator(case.run, [objective]).samples()[0], both[j], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("field", ["softmax", "perceptron", "clustering"])
def test_as_many_objectives_as_parameters_cost_one_pass_over_the_field(field):
    """The Jacobian keeps its matrix, and its scores are those of each objective alone."""
    case, calls = made(field, torch.float64), []
    p = len(case.theta)
    objectives = [as_objective(lambda theta, j=j: torch.sin(theta * (j + 1)).sum()) for j in range(p)]
    with pytest.MonkeyPatch.context() as patch:
        pullback = small.GivenPoint.pullback
        patch.setattr(small.GivenPoint, "pullback", lambda at, a, into: calls.append(len(a)) or pullback(at, a, into))
        for solver in (Dense(), LiSSA(scale=30.0, depth=20, tolerance=1.0)):
            calls.clear()
            estimator = InverseHessian(solver=solver, damping=case.damping)
            scores = estimator(case.run, objectives).samples()
            assert calls == [p], "the matrix, and with it the scores"
            for j in (0, p - 1):
                alone = estimator(case.run, [objectives[j]]).samples()[0]
                torch.testing.assert_close(scores[j], alone, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("solver", [Dense(), ConjugateGradient(), GMRES(), LiSSA(scale=1.0)])
@pytest.mark.parametrize("curvature", ["jacobian", "absolute"])
def test_a_singular_curvature_without_damping_is_refused(curvature, solver):
    """Without a ridge, the same vector added to every class changes nothing, but the objectives."""
    case = small.softmax_regression(torch.float64, ridge=0.0)
    if curvature == "absolute" and isinstance(solver, Dense):
        solver = None
    with pytest.raises(UserError, match="damping"):
        InverseHessian(curvature, solver)(case.run, [as_objective(small.cubic)])


def test_a_singular_word_block_is_refused_with_its_word():
    case = made("skipgram", torch.float64)
    theta = case.run.theta.clone().view(2, -1, 2)
    theta[1, :, 1] = 0  # contexts on one line bend no word's block across it
    flat = without_steps(case.run.field, case.run.weights, theta.reshape(-1))
    with pytest.raises(UserError, match="The block of word 'waa' is singular"):
        InverseHessian("word-blocks")(flat, [as_objective(small.vectors)])
    InverseHessian("word-blocks", damping=1e-3)(flat, [as_objective(small.vectors)])


def test_what_was_trained_elsewhere_has_no_run_to_go_back_over():
    case = made("skipgram", torch.float64)
    elsewhere = without_steps(case.run.field, case.run.weights, case.run.theta)
    for estimator in (unrolled, TracIn()):
        with pytest.raises(UserError, match="trained elsewhere"):
            estimator(elsewhere, case.objectives)
    optimiser, state = elsewhere.optimiser, {"theta": case.run.theta}
    for ask in (lambda: optimiser.step(state, case.run.theta, 0), lambda: optimiser.adjoint(state, 0, state)):
        with pytest.raises(UserError, match="trained elsewhere"):
            ask()
    assert elsewhere.steps == 0
    assert not list(elsewhere.backwards(0))
    for estimator in (gradient_dot, InverseHessian(damping=0.2), InverseHessian("word-blocks", damping=0.2)):
        here, there = (estimator(run, case.objectives).samples() for run in (case.run, elsewhere))
        assert torch.equal(here, there)


def linear(by_theta, by_weight, dtype):
    """A run of g = by_theta theta + by_weight (w - 1), which stays at 0 while its derivative grows."""
    ones = torch.ones(3, dtype=torch.float64)
    field = small.GivenField(lambda theta, w, step: by_theta * theta + by_weight * (w - 1).to(theta), 3)
    optimiser = HeavyBall(torch.ones(3, dtype=dtype), small.MOMENTUM)
    run = Training(field, optimiser, ones, small.STEPS, torch.zeros(3, dtype=dtype), MemoryStates())
    run.run_to_end()
    return run


@pytest.mark.parametrize("estimator", [unrolled, TracIn(), gradient_dot, InverseHessian()])
def test_scores_that_overflow_are_refused(estimator):
    """By their size alone, in float64; the unrolled also by an adjoint that grows in every step of a float32 run."""
    run = linear(1.0, 1e200, torch.float64)
    with pytest.raises(UserError, match="overflow"):
        estimator(run, [as_objective(lambda theta: 1e200 * theta.sum())])
    if estimator is unrolled:
        with pytest.raises(UserError, match="overflow"):
            estimator(linear(1e5, 1.0, torch.float32), [as_objective(lambda theta: theta.sum())])


def test_settings_out_of_range_are_refused():
    case = made("softmax", torch.float64)
    with pytest.raises(UserError, match="s is 1 or more"):
        TracIn(every=0)(case.run, case.objectives)
    for wrong in (LiSSA(scale=0.0), LiSSA(scale=1.0, depth=0), LiSSA(scale=1.0, repeats=0)):
        with pytest.raises(UserError, match="above 0"):
            InverseHessian(solver=wrong)(case.run, case.objectives)


def test_a_damping_that_is_none_is_refused():
    case = made("softmax", torch.float64)
    for damping in (-1.0, float("nan")):
        with pytest.raises(UserError, match="Damping"):
            InverseHessian(damping=damping)(case.run, case.objectives)
