"""pyDVL 0.10.0: one loss for training rows and queries, told apart by a column of the targets."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from pydvl.influence import torch as influence_torch
from tasks import Problem, cross_entropy, mixture_measure
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def with_influence(problem: Problem, make: Callable[..., Any]) -> Tensor:
    n, k = len(problem.x), len(problem.queries)
    train = torch.cat([torch.zeros(n, 1), problem.y[:, None].float(), torch.zeros(n, 1)], 1)
    test = torch.cat([torch.ones(k, 1), problem.targets], 1)

    def loss(out: Tensor, t: Tensor) -> Tensor:
        query = t[..., 0] == 1
        measured = mixture_measure(out, t[..., 1:])
        return torch.where(query, measured, cross_entropy(out, torch.where(query, 0, t[..., 1]).long())).mean()

    model = problem.fresh().eval()
    influence = make(model, loss, problem.decay)
    influence = influence.fit(DataLoader(TensorDataset(problem.x, train), batch_size=n))
    influence.loss = loss  # EK-FAC takes no loss of one's own, but uses the one it has
    return influence.influences(problem.queries, test, problem.x, train)


def mixture(kind: str, **settings: Any) -> partial[Tensor]:
    def make(model: nn.Module, loss: Callable[..., Tensor], decay: float) -> Any:
        if kind == "EkfacInfluence":
            return influence_torch.EkfacInfluence(model, hessian_regularization=decay, **settings)
        return getattr(influence_torch, kind)(model, loss, decay, **settings)

    return partial(with_influence, make=make)


SETTINGS = {
    "mixture": {
        "Direct": mixture("DirectInfluence"),
        "CG (default)": mixture("CgInfluence"),
        "CG, rtol 1e-5": mixture("CgInfluence", rtol=1e-5, maxiter=200),
        "block CG": mixture("CgInfluence", rtol=1e-5, maxiter=200, solve_simultaneously=True),
        "LiSSA (default)": mixture("LissaInfluence"),
        "Arnoldi, rank 30": mixture("ArnoldiInfluence", rank=30),
        "Nystroem, rank 30": mixture("NystroemSketchInfluence", rank=30),
        "EK-FAC": mixture("EkfacInfluence", update_diagonal=True),
    }
}
