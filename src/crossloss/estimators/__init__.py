"""Ways to compute scores, one a file; they know the field and nothing else of the model.

Belongs here: unrolled, gradient dot, TracIn, inverse Hessian with curvatures and solvers, random features (TRAK, LESS),
predictions by tangents.
Does not: anything that names words, sentences or modules.
"""

from collections.abc import Iterable

from crossloss.core import Estimator, UserError
from crossloss.estimators.gradient import GradientDot
from crossloss.estimators.inverse_hessian import InverseHessian
from crossloss.estimators.less import LESS
from crossloss.estimators.predict import Prediction, predict
from crossloss.estimators.solvers import GMRES, Arnoldi, ConjugateGradient, Dense, LiSSA
from crossloss.estimators.tracin import TracIn
from crossloss.estimators.trak import TRAK
from crossloss.estimators.unrolled import Unrolled

ESTIMATORS: dict[str, Estimator] = {
    estimator.name: estimator
    for estimator in (
        Unrolled(),
        GradientDot(),
        TracIn(),
        InverseHessian(),
        *(InverseHessian(solver=s) for s in (ConjugateGradient(), GMRES(), LiSSA(scale=25.0), Arnoldi())),
        InverseHessian("absolute"),
        InverseHessian("word-blocks"),
        InverseHessian("ggn", ConjugateGradient()),
        InverseHessian("ekfac"),
        TRAK(),
        LESS(),
    )
}
"""Every name, and the estimator with its usual settings that it stands for."""

unrolled, gradient_dot = ESTIMATORS["unrolled"], ESTIMATORS["gradient-dot"]


def get(estimator: str | Estimator, damping: float = 0.0, others: Iterable[str] = ()) -> Estimator:
    """The estimator of a name, or the one that is given itself.

    Parameters
    ----------
    estimator : str or Estimator
        One of ``ESTIMATORS``, or an object: ``TracIn(every=10)``, ``InverseHessian(solver=LiSSA(scale=50.0))``.
    damping : float
        Added to the curvature where it is not 0, for inverse-Hessian estimators only.
    others : strings
        Names beside ``ESTIMATORS`` that the caller knows, for the sentence that lists them.

    Raises
    ------
    UserError
        There is none of that name, it is neither a name nor an estimator, or it takes no (other) damping.

    Examples
    --------
    >>> from crossloss.estimators import TracIn, get
    >>> get("tracin") == TracIn()
    True
    """
    if isinstance(estimator, str):
        if estimator not in ESTIMATORS:
            known = ", ".join([*ESTIMATORS, *others])
            raise UserError(f"There is no estimator {estimator!r}; there are: {known}.")
        estimator = ESTIMATORS[estimator]
    if not isinstance(estimator, Estimator):
        what = f"the class {estimator.__name__}" if isinstance(estimator, type) else f"a {type(estimator).__name__}"
        raise UserError(f"The estimator is {what}: give a name, or an object such as TracIn(every=10).")
    return estimator.damped(damping) if damping else estimator


__all__ = [
    "ESTIMATORS",
    "GMRES",
    "LESS",
    "TRAK",
    "Arnoldi",
    "ConjugateGradient",
    "Dense",
    "GradientDot",
    "InverseHessian",
    "LiSSA",
    "Prediction",
    "TracIn",
    "Unrolled",
    "get",
    "predict",
]
