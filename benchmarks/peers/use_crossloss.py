"""crossloss."""

from tasks import Problem, cross_entropy, mixture_measure
from torch import Tensor

import crossloss as cl


def with_dense(problem: Problem) -> Tensor:
    field = cl.TorchField(problem.model, lambda out, b: cross_entropy(out, b[1]), (problem.x, problem.y))
    nll = cl.objectives.each(lambda view, x, t: mixture_measure(view(x), t), problem.queries, problem.targets)
    return -cl.score(cl.trained(field), nll, "inverse-hessian", damping=problem.decay).samples


def with_cg(problem: Problem) -> Tensor:
    field = cl.TorchField(problem.model, lambda out, b: cross_entropy(out, b[1]), (problem.x, problem.y))
    nll = cl.objectives.each(lambda view, x, t: mixture_measure(view(x), t), problem.queries, problem.targets)
    return -cl.score(cl.trained(field), nll, "inverse-hessian-cg", damping=problem.decay).samples


SETTINGS = {"mixture": {"exact": with_dense, "CG": with_cg}}
