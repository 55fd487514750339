"""dattri 0.3.0: a target function of its own, any function of the parameters."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from dattri.algorithm import influence_function
from dattri.task import AttributionTask
from tasks import Problem, mixture_measure
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
    train = DataLoader(TensorDataset(problem.x, problem.y), batch_size=len(problem.x))
    test = DataLoader(TensorDataset(problem.queries, problem.targets), batch_size=len(problem.queries))
    attributor = make(task, problem.decay)
    attributor.cache(train)
    with torch.no_grad():
        return attributor.attribute(train, test).T


def mixture(kind: str, **settings: Any) -> partial[Tensor]:
    strength = {"IFAttributorLiSSA": "damping", "IFAttributorEKFAC": "damping"}.get(kind, "regularization")

    def make(task: AttributionTask, decay: float) -> Any:
        return getattr(influence_function, kind)(task, **({strength: decay} | settings))

    return partial(with_attributor, make=make, measure=mixture_measure)


SETTINGS = {
    "mixture": {
        "Explicit": mixture("IFAttributorExplicit"),
        "CG, 10 iterations (default)": mixture("IFAttributorCG"),
        "CG, 40 iterations": mixture("IFAttributorCG", max_iter=40),
        "CG, 75 iterations": mixture("IFAttributorCG", max_iter=75),
        "LiSSA (default)": mixture("IFAttributorLiSSA"),
        "LiSSA, whole batches": mixture("IFAttributorLiSSA", batch_size=150, recursion_depth=500, scaling=5.0),
        "Arnoldi (default)": mixture("IFAttributorArnoldi"),
        "Arnoldi, rank 30": mixture("IFAttributorArnoldi", proj_dim=30, max_iter=60),
        "DataInf": mixture("IFAttributorDataInf"),
        "EK-FAC": mixture("IFAttributorEKFAC"),
        "EK-FAC, damping over n^2": mixture("IFAttributorEKFAC", damping=0.01 / 150**2),
    }
}
