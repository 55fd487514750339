"""Solvers of (C^T + damping) x = b for many right-hand sides, one a file; each is set up once and solves often.

Belongs here: what inverts a curvature, with its reference and its check of the result.
Does not: what a curvature is made of, objectives, samples.
"""

from crossloss.estimators.solvers.arnoldi import Arnoldi
from crossloss.estimators.solvers.cg import ConjugateGradient
from crossloss.estimators.solvers.dense import Dense, Direct
from crossloss.estimators.solvers.gmres import GMRES
from crossloss.estimators.solvers.lissa import LiSSA
from crossloss.estimators.solvers.system import Solution, Solve, Solver, System

__all__ = ["GMRES", "Arnoldi", "ConjugateGradient", "Dense", "Direct", "LiSSA", "Solution", "Solve", "Solver", "System"]
