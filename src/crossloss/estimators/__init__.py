"""Ways to compute scores, one a file; they know the field and nothing else of the model.

Belongs here: unrolled, gradient dot, and later inverse-Hessian estimators with their solvers.
Does not: anything that names words, sentences or modules.
"""

from crossloss.core import Estimator
from crossloss.estimators.gradient import gradient_dot
from crossloss.estimators.unrolled import unrolled

ESTIMATORS: dict[str, Estimator] = {"unrolled": unrolled, "gradient-dot": gradient_dot}

__all__ = ["ESTIMATORS", "gradient_dot", "unrolled"]
