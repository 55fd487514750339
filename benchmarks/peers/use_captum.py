"""captum 0.9.0: a test loss of its own, of outputs and targets; checkpoints are files."""

import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction
from captum.influence._core.influence_function import NaiveInfluenceFunction
from tasks import Problem, mixture_measure
from torch import Tensor, nn
from torch.utils.data import TensorDataset


def with_influence(problem: Problem, make: Callable[..., Any], **settings: Any) -> Tensor:
    n = len(problem.x)
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        torch.save(problem.model.state_dict(), file.name)
        influence = make(
            problem.fresh(),
            TensorDataset(problem.x, problem.y),
            file.name,
            loss_fn=nn.CrossEntropyLoss(reduction="sum"),
            test_loss_fn=Measured(),
            batch_size=n,
            sample_wise_grads_per_batch=True,
            hessian_reg=problem.decay * n,
            **settings,
        )
        return influence.influence((problem.queries, problem.targets))


class Measured(nn.Module):
    reduction = "sum"

    def forward(self, out: Tensor, target: Tensor) -> Tensor:
        return mixture_measure(out, target).sum()


ALL: Any = {"projection_dim": 75, "hessian_inverse_tol": -1e9}
USES = (Measured,)
SETTINGS = {
    "mixture": {
        "Naive (default, rank 50)": partial(with_influence, make=NaiveInfluenceFunction),
        "Naive, rank 75": partial(with_influence, make=NaiveInfluenceFunction, **ALL),
        "Arnoldi (default)": partial(with_influence, make=ArnoldiInfluenceFunction),
        "Arnoldi, 75 dimensions": partial(
            with_influence, make=ArnoldiInfluenceFunction, arnoldi_dim=75, arnoldi_tol=1e-9, **ALL
        ),
    }
}
