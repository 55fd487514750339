"""Ways to compute scores, one a file; they know the field and nothing else of the model.

Belongs here: unrolled, gradient dot, TracIn, inverse Hessian with curvatures and solvers, predictions by tangents.
Does not: anything that names words, sentences or modules.
"""

from crossloss.core import Estimator
from crossloss.estimators.gradient import gradient_dot
from crossloss.estimators.inverse_hessian import InverseHessian
from crossloss.estimators.predict import Prediction, predict
from crossloss.estimators.solvers import GMRES, Arnoldi, ConjugateGradient, Dense, LiSSA
from crossloss.estimators.tracin import TracIn
from crossloss.estimators.unrolled import unrolled

INVERSE_HESSIANS: dict[str, InverseHessian] = {
    "inverse-hessian": InverseHessian(),
    "inverse-hessian-cg": InverseHessian(solver=ConjugateGradient()),
    "inverse-hessian-gmres": InverseHessian(solver=GMRES()),
    "inverse-hessian-lissa": InverseHessian(solver=LiSSA(scale=25.0)),
    "inverse-hessian-arnoldi": InverseHessian(solver=Arnoldi()),
    "inverse-hessian-absolute": InverseHessian("absolute"),
    "inverse-hessian-word-blocks": InverseHessian("word-blocks"),
    "inverse-hessian-ggn": InverseHessian("ggn", ConjugateGradient()),
    "inverse-hessian-ekfac": InverseHessian("ekfac"),
}
"""Without damping, which is the caller's to give: ``dataclasses.replace(INVERSE_HESSIANS[name], damping=...)``."""

ESTIMATORS: dict[str, Estimator] = {
    "unrolled": unrolled,
    "gradient-dot": gradient_dot,
    "tracin": TracIn(),
    **INVERSE_HESSIANS,
}

__all__ = [
    "ESTIMATORS",
    "GMRES",
    "INVERSE_HESSIANS",
    "Arnoldi",
    "ConjugateGradient",
    "Dense",
    "InverseHessian",
    "LiSSA",
    "Prediction",
    "TracIn",
    "gradient_dot",
    "predict",
    "unrolled",
]
