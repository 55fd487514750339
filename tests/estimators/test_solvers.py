"""Each solver against dense solves: symmetric, indefinite, not symmetric, ill-conditioned; and what each refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import small
from crossloss.core import Curvature, UserError, silent
from crossloss.estimators import GMRES, Arnoldi, ConjugateGradient, Dense, InverseHessian, LiSSA, get
from crossloss.estimators import curvature as curvature_module
from crossloss.estimators.curvature import Absolute, Jacobian, materialise, require_regular, symmetry_tolerance
from crossloss.estimators.solvers import System


class Given(Curvature):
    """A dense C as a curvature; rows of products are a C, so that C^T is what is solved."""

    def __init__(self, matrix):
        self.matrix, self.theta, self.rows = matrix, matrix[0], 0

    def product(self, a):
        self.rows += len(a)
        return a @ self.matrix


def matrix(eigenvalues, seed=0):
    """Symmetric with these eigenvalues."""
    generator = torch.Generator().manual_seed(seed)
    p = len(eigenvalues)
    q = torch.linalg.qr(torch.randn(p, p, generator=generator, dtype=torch.float64))[0]
    made = q @ torch.diag(torch.as_tensor(eigenvalues, dtype=torch.float64)) @ q.T
    return (made + made.T) / 2


def right(k, p, seed=1):
    return torch.randn(k, p, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


DEFINITE = matrix(np.linspace(0.1, 2, 12))
ILL = matrix(np.logspace(-7, 0, 12))
INDEFINITE = matrix(np.concatenate([-np.linspace(0.3, 1, 5), np.linspace(0.2, 2, 7)]))
SKEW = DEFINITE + 0.1 * (right(12, 12) - right(12, 12).T)
SINGULAR = matrix([0.0, *np.linspace(0.1, 2, 11)])
MATRICES = {"definite": DEFINITE, "ill": ILL, "indefinite": INDEFINITE, "skew": SKEW, "singular": SINGULAR}
SOLVERS = {
    "dense": Dense(),
    "cg": ConjugateGradient(1e-9),
    "gmres": GMRES(1e-10),
    "lissa": LiSSA(scale=2.0, depth=3_000, tolerance=1e-8),
}
REFUSED = {
    ("cg", "indefinite"): "not positive definite",
    ("cg", "skew"): "not symmetric",
    ("lissa", "ill"): "raise depth",
    ("lissa", "indefinite"): "diverged",
    ("dense", "singular"): "singular",
    ("cg", "singular"): "raise the damping|a damping above",
    ("gmres", "singular"): "raise the damping",
    ("lissa", "singular"): "diverged|raise depth",
}


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("name", SOLVERS)
def test_solutions_equal_dense_ones_or_say_why_not(name, kind):
    system, b = System(Given(MATRICES[kind]), 0.0), right(3, 12)
    if (name, kind) in REFUSED:
        with pytest.raises(UserError, match=REFUSED[name, kind]):
            SOLVERS[name].solve(system, b)
        return
    solution = SOLVERS[name].solve(system, b)
    expected = torch.linalg.solve(MATRICES[kind].T, b.T).T
    assert (solution.x - expected).norm() < 1e-6 * expected.norm() * (1e3 if kind == "ill" else 1)
    true = (b - solution.x @ MATRICES[kind]).norm(dim=1) / b.norm(dim=1)
    torch.testing.assert_close(solution.residual, true, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("name", [*SOLVERS, "arnoldi"])
def test_a_system_is_set_up_once_for_all_right_hand_sides(name):
    """What is solved later costs a direct solver its residual's product and no more, and gives the same."""
    curvature, b = Given(DEFINITE), right(3, 12)
    solver = SOLVERS.get(name, Arnoldi(4))
    solve = solver.init(System(curvature, 0.1))
    set_up = curvature.rows
    assert set_up == {"dense": 12, "cg": 2, "gmres": 0, "lissa": 0}.get(name, set_up)
    whole = solve(b, silent).x
    before = curvature.rows
    for row, expected in zip(b, whole, strict=True):
        torch.testing.assert_close(solve(row[None], silent).x[0], expected, rtol=1e-6, atol=1e-9)
    if name in ("dense", "arnoldi"):
        assert curvature.rows == before + 3
    torch.testing.assert_close(solver.solve(System(Given(DEFINITE), 0.1), b).x, whole, rtol=0, atol=0)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 4),
    eigenvalues=st.lists(st.floats(0.01, 5), min_size=2, max_size=15),
    damping=st.floats(0, 3),
)
def test_cg_solves_any_definite_system_for_all_right_hand_sides(seed, k, eigenvalues, damping):
    curvature, b = Given(matrix(eigenvalues, seed)), right(k, len(eigenvalues), seed)
    b[0] *= 1e-8  # a relative tolerance is each right-hand side's own
    solution = ConjugateGradient(1e-9).solve(System(curvature, damping), b)
    damped = curvature.matrix + damping * torch.eye(len(eigenvalues), dtype=torch.float64)
    expected = torch.linalg.solve(damped, b.T).T
    assert ((solution.x - expected).norm(dim=1) < 1e-5 * expected.norm(dim=1)).all()


def test_a_right_hand_side_that_is_done_costs_nothing_more():
    """An eigenvector takes one step; the other right-hand side goes on alone; a zero takes none."""
    values, vectors = torch.linalg.eigh(DEFINITE)
    curvature = Given(DEFINITE)
    b = torch.stack([vectors[:, 3], right(1, 12)[0], torch.zeros(12, dtype=torch.float64)])
    solution = ConjugateGradient(1e-10).solve(System(curvature, 0.0), b)
    torch.testing.assert_close(solution.x[0], vectors[:, 3] / values[3])
    assert solution.x[2].eq(0).all()
    assert solution.residual[2] == 0
    assert curvature.rows == 2 + 2 + (solution.iterations - 1) + 3, "symmetry check, first step, the rest, residuals"


def test_iterations_are_products_and_a_few_are_not_exceeded():
    curvature = Given(DEFINITE)
    solution = GMRES(1e-10).solve(System(curvature, 0.0), right(2, 12))
    assert curvature.rows == solution.iterations + 2
    assert Dense().solve(System(Given(DEFINITE), 0.0), right(2, 12)).iterations == 1
    for repeats in (1, 3):  # used where steps are drawn
        lissa = LiSSA(2.0, depth=100, repeats=repeats, tolerance=1.0)
        assert lissa.solve(System(Given(DEFINITE), 0.0), right(2, 12)).iterations == 100
    run, calls = small.made("batches", torch.float64).run, []
    jacobian = Jacobian(run.field, run.theta, run.weights, run.steps)
    lissa = LiSSA(4.0, depth=5, sampled=True, repeats=3, tolerance=1.0)
    drawn = lissa.solve(System(jacobian, 1.0), right(2, 9), lambda *at: calls.append(at))
    assert drawn.iterations == 15
    assert calls == [(done, 15) for done in range(1, 16)]
    with pytest.raises(UserError, match="draws steps"):
        lissa.solve(System(Jacobian(run.field, run.theta, run.weights, 0), 1.0), right(2, 9))
    for solver in (ConjugateGradient(1e-12, iterations=3), GMRES(1e-12, iterations=3)):
        curvature = Given(DEFINITE)
        with pytest.raises(UserError, match="relative residual"):
            solver.solve(System(curvature, 0.0), right(1, 12))
        assert curvature.rows <= 2 + 3 + 2


def test_damping_named_by_cg_is_enough():
    with pytest.raises(UserError, match="give a damping above") as refused:
        ConjugateGradient().solve(System(Given(INDEFINITE), 0.0), right(2, 12))
    assert float(str(refused.value).split("above ")[1].split(",")[0]) <= 1.0 + 1e-6, "the lowest eigenvalue is -1"
    solution = ConjugateGradient(1e-9).solve(System(Given(INDEFINITE), 1.01), right(2, 12))
    assert solution.residual.max() < 1e-8


def test_a_residual_that_does_not_fall_is_an_error_with_its_size():
    for solver in (ConjugateGradient(1e-12, iterations=3), GMRES(1e-12, iterations=3)):
        with pytest.raises(UserError, match=r"relative residual of \d"):
            solver.solve(System(Given(DEFINITE), 0.0), right(2, 12))


def test_float32_reaches_what_float32_can():
    b = right(2, 12)
    for solver in (Dense(), ConjugateGradient(), GMRES(), LiSSA(scale=2.0, tolerance=1e-4)):
        x = solver.solve(System(Given(DEFINITE.float()), 0.1), b.float()).x
        assert x.dtype == torch.float32
        expected = torch.linalg.solve(DEFINITE + 0.1 * torch.eye(12, dtype=torch.float64), b.T).T
        assert (x.double() - expected).norm() < 1e-3 * expected.norm()


def test_a_condition_beyond_float32_is_refused_there_and_solved_in_float64():
    b = right(1, 12)
    Dense().solve(System(Given(ILL), 0.0), b)
    with pytest.raises(UserError, match=r"singular to the precision of torch\.float32"):
        Dense().solve(System(Given(ILL.float()), 0.0), b.float())


def test_arnoldi_is_the_inverse_on_the_largest_eigenvalues():
    values, vectors = torch.linalg.eigh(INDEFINITE)
    keep = values.abs().argsort(descending=True)[:5]
    b, curvature = right(3, 12), Given(INDEFINITE)
    solution = Arnoldi(5).solve(System(curvature, 0.1), b)
    assert curvature.rows == 2 + solution.iterations + 3, "symmetry check, products, residuals"
    q = vectors[:, keep]
    torch.testing.assert_close(solution.x, (b @ q) / (values[keep] + 0.1) @ q.T, rtol=1e-8, atol=1e-10)
    assert solution.residual.min() > 0.1, "what is left out is reported"
    for rank in (1, 11):
        assert Arnoldi(rank).solve(System(Given(INDEFINITE), 0.1), b).residual.min() > 1e-6
    for rank in (0, 12):
        with pytest.raises(UserError, match="rank is 1 to 11"):
            Arnoldi(rank).solve(System(Given(INDEFINITE), 0.1), b)
    with pytest.raises(UserError, match="larger damping"):
        Arnoldi(5).solve(System(Given(matrix([1.0, 0.5] + [0.0] * 10)), 0.0), b)


def test_arnoldi_that_does_not_converge_says_so():
    eigenvalues = 1 - np.geomspace(1e-9, 1e-3, 80)
    with pytest.raises(UserError, match="no 5 eigenvalues in 1 restarts"):
        Arnoldi(5, iterations=1).solve(System(Given(matrix(eigenvalues)), 0.0), right(1, 80))


def test_lissa_is_divided_by_its_scale():
    """The published code leaves the division out: its scores are ``scale`` times too large."""
    b = right(1, 12)
    one, other = (LiSSA(scale=s, depth=4_000, tolerance=1e-6).solve(System(Given(DEFINITE), 0.0), b).x for s in (2, 9))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("solver", [Dense(), ConjugateGradient(), GMRES(), LiSSA(scale=2.0), Arnoldi(3)])
def test_a_curvature_that_is_nan_never_gives_nan(solver):
    with pytest.raises(UserError, match=r"not finite|overflowed|diverged"):
        solver.solve(System(Given(torch.full((12, 12), torch.nan, dtype=torch.float64)), 0.1), right(2, 12))


@pytest.mark.parametrize("damping", [float("nan"), float("inf"), -1.0])
def test_a_damping_that_is_none_is_refused_where_it_is_given(damping):
    with pytest.raises(UserError, match="Damping is a number of 0 or more"):
        InverseHessian(damping=damping)
    with pytest.raises(UserError, match="Damping is a number of 0 or more"):
        get("inverse-hessian", damping)


@pytest.mark.parametrize("solver", ["cg", ConjugateGradient])
def test_a_solver_is_an_object(solver):
    with pytest.raises(UserError, match=r"give an object, such as ConjugateGradient\(\)"):
        InverseHessian(solver=solver)


def test_lissa_draws_steps_of_a_run():
    """Over mini-batches: near the whole inverse, nearer with more series, and the same for the same seed."""
    case = small.softmax_regression(torch.float64, batches=2)
    run = case.run
    jacobian = Jacobian(run.field, run.theta, run.weights, run.steps)
    system, b = System(jacobian, 0.0), right(2, 9)
    expected = torch.linalg.solve(case.jacobians()[0].T, b.T).T

    def error(repeats, seed=0):
        lissa = LiSSA(scale=4.0, depth=150, sampled=True, repeats=repeats, tolerance=0.5, seed=seed)
        return (lissa.solve(system, b).x - expected).norm() / expected.norm()

    assert error(1) > 1e-3, "drawn"
    assert error(8) < error(1)
    assert error(1) == error(1) != error(1, seed=1)
    with pytest.raises(UserError, match="draws steps"):
        LiSSA(scale=1.0, sampled=True).solve(System(Given(DEFINITE), 0.0), right(1, 12))


def test_absolute_turns_negative_curvature_round():
    values, vectors = torch.linalg.eigh(INDEFINITE)
    absolute, b = Absolute(Given(INDEFINITE)), right(3, 12)
    expected = (b @ vectors) / (values.abs() + 0.3) @ vectors.T
    torch.testing.assert_close(absolute.factorise(0.3)(b), expected)
    torch.testing.assert_close(ConjugateGradient(1e-11).solve(System(absolute, 0.3), b).x, expected)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_absolute_takes_rounding_and_refuses_what_is_not_symmetric(size):
    apart, b = right(12, 12) - right(12, 12).T, right(1, 12)
    rounded, skew = (Absolute(Given(size * (DEFINITE + far * apart))) for far in (1e-10, 1e-6))
    torch.testing.assert_close(rounded.product(b), size * b @ DEFINITE, rtol=1e-6, atol=0)
    with pytest.raises(UserError, match="not symmetric"):
        skew.product(b)
    for solver in (ConjugateGradient(), Arnoldi(3)):
        assert solver.solve(System(Given(size * (DEFINITE + 1e-10 * apart)), 0.0), b).x.isfinite().all()
        with pytest.raises(UserError, match="not symmetric"):
            solver.solve(System(Given(size * (DEFINITE + 1e-6 * apart)), 0.0), b)


def test_a_matrix_is_made_a_few_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(curvature_module, "ROWS_AT_ONCE", 5)
    calls = []
    found = materialise(Given(SKEW), lambda *at: calls.append(at))
    torch.testing.assert_close(found, SKEW, rtol=0, atol=0)
    assert calls == [(5, 12), (10, 12), (12, 12)]


def test_a_matrix_of_the_largest_size_is_made_and_a_larger_is_not(monkeypatch):
    monkeypatch.setattr(curvature_module, "LARGEST", 12)
    assert materialise(Given(SKEW)).shape == (12, 12)
    monkeypatch.setattr(curvature_module, "LARGEST", 11)
    with pytest.raises(UserError, match="too many"):
        materialise(Given(SKEW))


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 4.5e13), (torch.float32, 8.4e4)])
def test_two_right_digits_are_left_and_rounding_is_symmetric(dtype, digits):
    require_regular(0.99 * digits, dtype, 0.0)
    for condition in (1.01 * digits, float("inf"), float("nan")):
        with pytest.raises(UserError, match="singular"):
            require_regular(condition, dtype, 0.0)
    assert symmetry_tolerance(dtype) == pytest.approx(1e-3 if dtype == torch.float32 else 1.5e-8, rel=0.1)


def test_too_many_parameters_for_a_matrix_is_said_before_it_is_made():
    class Wide(Curvature):
        theta = torch.zeros(9_000)

        def product(self, a):
            raise AssertionError("asked")

    with pytest.raises(UserError, match="use CG"):
        Dense().solve(System(Wide(), 1.0), torch.zeros(1, 9_000))
