"""crossloss."""

from functools import partial

from numpy import ndarray
from tasks import (
    DAMPINGS,
    DIGITS_MOMENTUM,
    DIGITS_RATE,
    DIGITS_STEPS,
    Problem,
    cross_entropy,
    digits_measure,
    mixture_measure,
    weat,
)
from torch import Tensor

import crossloss as cl
from crossloss.estimators import ConjugateGradient, InverseHessian


def with_trained(problem: Problem, estimator: str) -> ndarray:
    field = cl.TorchField(problem.model, lambda out, b: cross_entropy(out, b[1]), (problem.x, problem.y))
    nll = cl.objectives.each(lambda view, x, t: mixture_measure(view(x), t), problem.queries, problem.targets)
    return -cl.score(cl.imported(field), nll, estimator, damping=problem.decay).samples


def with_solver(problem: Problem, tolerance: float) -> Tensor:
    field = cl.TorchField(problem.model, lambda out, b: cross_entropy(out, b[1]), (problem.x, problem.y))
    nll = cl.objectives.each(lambda view, x, t: mixture_measure(view(x), t), problem.queries, problem.targets)
    estimator = InverseHessian(solver=ConjugateGradient(tolerance), damping=problem.decay)
    return -estimator(cl.imported(field).trajectory, nll).samples()


def with_digits(problem: Problem, estimator: str, damping: float = 0.0) -> ndarray:
    field = cl.TorchField(problem.model, lambda out, b: cross_entropy(out, b[1]), (problem.x, problem.y))
    three = cl.objectives.each(lambda view, x, t: digits_measure(view(x), t).mean(-1), problem.queries, problem.targets)
    return -cl.score(cl.imported(field), three, estimator, damping=damping).samples


def with_run(problem: Problem, estimator: str) -> ndarray:
    data, order = (problem.x, problem.y), list(problem.order)
    field = cl.TorchField(problem.untrained(), lambda out, b: cross_entropy(out, b[1]), data, order=order)
    run = cl.train(field, cl.SGD(DIGITS_RATE, momentum=DIGITS_MOMENTUM), steps=DIGITS_STEPS)
    three = cl.objectives.each(lambda view, x, t: digits_measure(view(x), t).mean(-1), problem.queries, problem.targets)
    return -cl.score(run, three, estimator).samples


def with_words(problem: Problem, estimator: str) -> ndarray:
    field = cl.TorchField(problem.model, lambda out, batch: out, problem.x)
    return -cl.score(
        cl.imported(field), [lambda view: weat(view["words.weight"])], estimator, damping=problem.decay
    ).samples


SETTINGS = {
    "mixture": {
        "exact": partial(with_trained, estimator="inverse-hessian"),
        "CG": partial(with_trained, estimator="inverse-hessian-cg"),
        "CG, tolerance 1e-2": partial(with_solver, tolerance=1e-2),
    },
    "digits": {
        "unrolled (and its training)": partial(with_run, estimator="unrolled"),
        "tracin, every step (and its training)": partial(with_run, estimator="tracin"),
        "gradient-dot": partial(with_digits, estimator="gradient-dot"),
        **{f"EK-FAC, {d:g}": partial(with_digits, estimator="inverse-hessian-ekfac", damping=d) for d in DAMPINGS},
        **{f"CG on the GGN, {d:g}": partial(with_digits, estimator="inverse-hessian-ggn", damping=d) for d in DAMPINGS},
    },
    "words": {
        "exact": partial(with_words, estimator="inverse-hessian"),
        "CG": partial(with_words, estimator="inverse-hessian-cg"),
        "EK-FAC": partial(with_words, estimator="inverse-hessian-ekfac"),
    },
}
