"""dattri 0.3.0: a target function of its own, any function of the parameters."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from dattri.algorithm import influence_function
from dattri.algorithm.tracin import TracInAttributor
from dattri.task import AttributionTask
from tasks import DAMPINGS, Problem, digits_measure, mixture_measure, weat
from torch import Tensor
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset


def with_attributor(problem: Problem, make: Callable[..., Any], measure: Callable[..., Tensor]) -> Tensor:
    model = problem.fresh()

    def loss(params: Any, data: Any) -> Tensor:
        x, y = data
        return F.cross_entropy(functional_call(model, params, (x,)), y.long())

    def target(params: Any, data: Any) -> Tensor:
        x, t = data
        if not t.is_floating_point():  # EK-FAC fits its curvature on the target: give it the loss there
            return loss(params, data)
        return measure(functional_call(model, params, (x,)), t).mean()

    task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict(), target_func=target)
    rows = TensorDataset(problem.x, problem.y)
    test = DataLoader(TensorDataset(problem.queries, problem.targets), batch_size=len(problem.queries))
    attributor = make(task, problem.decay)
    attributor.cache(DataLoader(rows, batch_size=len(rows)))  # in one batch: inverses of batches would be summed
    with torch.no_grad():
        return attributor.attribute(DataLoader(rows, batch_size=200), test).T


def with_tracin(problem: Problem, measure: Callable[..., Tensor], checkpoints: int) -> Tensor:
    model = problem.fresh()

    def loss(params: Any, data: Any) -> Tensor:
        x, y = data
        return F.cross_entropy(functional_call(model, params, (x[None],)), y[None])

    def target(params: Any, data: Any) -> Tensor:
        x, t = data
        return measure(functional_call(model, params, (x,)), t).mean()

    states = problem.checkpoints[-checkpoints:]
    task = AttributionTask(loss_func=loss, model=model, checkpoints=states, target_func=target)
    attributor = TracInAttributor(task, weight_list=torch.ones(len(states)), normalized_grad=False)
    train = DataLoader(TensorDataset(problem.x, problem.y), batch_size=200)
    test = DataLoader(TensorDataset(problem.queries, problem.targets), batch_size=len(problem.queries))
    with torch.no_grad():
        return attributor.attribute(train, test).T


def with_words(problem: Problem, make: Callable[..., Any]) -> Tensor:
    model = problem.fresh()
    task = AttributionTask(
        loss_func=lambda params, data: functional_call(model, params, (data[0],)).mean(),
        model=model,
        checkpoints=model.state_dict(),
        target_func=lambda params, data: weat(params["words.weight"]),
    )
    rows = DataLoader(TensorDataset(problem.x, problem.y), batch_size=len(problem.x))
    attributor = make(task, problem.decay)
    attributor.cache(rows)
    with torch.no_grad():
        return attributor.attribute(rows, DataLoader(TensorDataset(problem.queries, problem.targets))).T


def attributor(measure: Callable[..., Tensor], kind: str, **settings: Any) -> partial[Tensor]:
    strength = {"IFAttributorLiSSA": "damping", "IFAttributorEKFAC": "damping"}.get(kind, "regularization")

    def make(task: AttributionTask, decay: float) -> Any:
        return getattr(influence_function, kind)(task, **({strength: decay} | settings))

    return partial(with_words, make=make) if measure is weat else partial(with_attributor, make=make, measure=measure)


SETTINGS = {
    "mixture": {
        "Explicit": attributor(mixture_measure, "IFAttributorExplicit"),
        "CG, 10 iterations (default)": attributor(mixture_measure, "IFAttributorCG"),
        "CG, 40 iterations": attributor(mixture_measure, "IFAttributorCG", max_iter=40),
        "CG, 75 iterations": attributor(mixture_measure, "IFAttributorCG", max_iter=75),
        "LiSSA (default)": attributor(mixture_measure, "IFAttributorLiSSA"),
        "LiSSA, whole batches": attributor(
            mixture_measure, "IFAttributorLiSSA", batch_size=150, recursion_depth=500, scaling=5.0
        ),
        "Arnoldi (default)": attributor(mixture_measure, "IFAttributorArnoldi"),
        "Arnoldi, rank 30": attributor(mixture_measure, "IFAttributorArnoldi", proj_dim=30, max_iter=60),
        "DataInf": attributor(mixture_measure, "IFAttributorDataInf"),
        "EK-FAC": attributor(mixture_measure, "IFAttributorEKFAC"),
        "EK-FAC, damping over n^2": attributor(mixture_measure, "IFAttributorEKFAC", damping=0.01 / 150**2),
    },
    "digits": {
        **{
            f"EK-FAC, damping {d:g}/n^2": attributor(digits_measure, "IFAttributorEKFAC", damping=d / 1_000**2)
            for d in (1e-5, *DAMPINGS)  # its Fisher is of the labels as they are, nearly 0 on rows that are learnt
        },
        **{
            f"CG, 20 iterations, {d:g}": attributor(digits_measure, "IFAttributorCG", max_iter=20, regularization=d)
            for d in DAMPINGS
        },
        "LiSSA, 0.1": attributor(
            digits_measure, "IFAttributorLiSSA", batch_size=64, recursion_depth=50, damping=0.1, scaling=20.0
        ),
        "Arnoldi, rank 20, 0.1": attributor(
            digits_measure, "IFAttributorArnoldi", proj_dim=20, max_iter=30, regularization=0.1
        ),
        "DataInf, 0.1": attributor(digits_measure, "IFAttributorDataInf", regularization=0.1),
        "gradient dot": partial(with_tracin, measure=digits_measure, checkpoints=1),
        "TracIn, 10 checkpoints": partial(with_tracin, measure=digits_measure, checkpoints=10),
    },
    "words": {
        "Explicit": attributor(weat, "IFAttributorExplicit"),
        "CG, 40 iterations": attributor(weat, "IFAttributorCG", max_iter=40),
        "EK-FAC": attributor(weat, "IFAttributorEKFAC"),
    },
}
