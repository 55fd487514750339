"""Names and defaults of the solvers, as the reference states them."""

from crossloss.estimators import GMRES, Arnoldi, ConjugateGradient, Dense, InverseHessian, LiSSA
from crossloss.estimators.solvers import Direct


def test_names():
    solvers = (Dense(), Direct(), ConjugateGradient(), GMRES(), LiSSA(scale=1.0), Arnoldi())
    names = ["dense", "direct", "cg", "gmres", "lissa", "arnoldi"]
    assert [solver.name for solver in solvers] == names
    assert [InverseHessian("absolute", solver).name for solver in solvers] == [
        f"inverse-hessian-absolute-{name}" for name in names
    ]
    assert InverseHessian(solver=Dense()).name == "inverse-hessian"
    assert InverseHessian("ggn", ConjugateGradient()).name == "inverse-hessian-ggn"


def test_defaults():
    assert ConjugateGradient() == ConjugateGradient(tolerance=1e-5, iterations=1_000)
    assert GMRES() == GMRES(tolerance=1e-5, iterations=1_000, restart=50)
    assert Arnoldi() == Arnoldi(rank=20, iterations=300)
    assert LiSSA(scale=1.0) == LiSSA(scale=1.0, depth=1_000, repeats=1, seed=0)
