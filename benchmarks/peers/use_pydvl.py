"""pyDVL 0.10.0: one loss for training rows and queries, told apart by a column of the targets."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from pydvl.influence import torch as influence_torch
from tasks import DAMPINGS, Problem, digits_measure, mixture_measure, weat
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def with_influence(problem: Problem, make: Callable[..., Any], measure: Callable[..., Tensor]) -> Tensor:
    n = len(problem.x)
    train = torch.cat([torch.zeros(n, 1), problem.y[:, None].float(), torch.zeros(n, 1)], 1)
    test = torch.cat([torch.ones(*problem.targets.shape[:-1], 1), problem.targets], -1)

    def loss(out: Tensor, t: Tensor) -> Tensor:
        query = t[..., 0] == 1
        label = torch.where(query, 0, t[..., 1]).long()
        nll = -out.log_softmax(-1).gather(-1, label[..., None])[..., 0]
        return torch.where(query, measure(out, t[..., 1:]), nll).mean()

    model = problem.fresh().eval()
    influence = make(model, loss, problem.decay)
    influence = influence.fit(DataLoader(TensorDataset(problem.x, train), batch_size=n))
    influence.loss = loss  # EK-FAC takes no loss of one's own, but uses the one it has
    factors = influence.influence_factors(problem.queries, test)
    rows = zip(problem.x.split(200), train.split(200), strict=True)
    return torch.cat([influence.influences_from_factors(factors, x, t) for x, t in rows], 1)


class WithWeat(nn.Module):
    """Loss and WEAT side by side: the package's loss sees outputs only."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        losses = self.inner(x)
        return torch.stack([losses, weat(self.inner.words.weight).expand_as(losses)], -1)


def with_words(problem: Problem, make: Callable[..., Any]) -> Tensor:
    def loss(out: Tensor, query: Tensor) -> Tensor:
        return torch.where(query == 1, out[..., 1], out[..., 0]).mean()

    influence = make(WithWeat(problem.fresh()).eval(), loss, problem.decay)
    influence = influence.fit(DataLoader(TensorDataset(problem.x, problem.y), batch_size=len(problem.x)))
    return influence.influences(problem.queries, problem.targets, problem.x, problem.y)


def influence(measure: Callable[..., Tensor], kind: str, **settings: Any) -> partial[Tensor]:
    def make(model: nn.Module, loss: Callable[..., Tensor], decay: float) -> Any:
        if kind == "EkfacInfluence":
            return influence_torch.EkfacInfluence(model, **({"hessian_regularization": decay} | settings))
        return getattr(influence_torch, kind)(model, loss, **({"regularization": decay} | settings))

    return partial(with_words, make=make) if measure is weat else partial(with_influence, make=make, measure=measure)


GAUSS_NEWTON = influence_torch.SecondOrderMode.GAUSS_NEWTON
TWENTY: Any = {"maxiter": 20, "rtol": 1e-4, "solve_simultaneously": True, "warn_on_max_iteration": False}
SETTINGS = {
    "mixture": {
        "Direct": influence(mixture_measure, "DirectInfluence"),
        "CG (default)": influence(mixture_measure, "CgInfluence"),
        "CG, rtol 1e-5": influence(mixture_measure, "CgInfluence", rtol=1e-5, maxiter=200),
        "block CG": influence(mixture_measure, "CgInfluence", rtol=1e-5, maxiter=200, solve_simultaneously=True),
        "LiSSA (default)": influence(mixture_measure, "LissaInfluence"),
        "Arnoldi, rank 30": influence(mixture_measure, "ArnoldiInfluence", rank=30),
        "Nystroem, rank 30": influence(mixture_measure, "NystroemSketchInfluence", rank=30),
        "EK-FAC": influence(mixture_measure, "EkfacInfluence", update_diagonal=True),
    },
    "digits": {
        **{
            f"EK-FAC, {d:g}": influence(
                digits_measure, "EkfacInfluence", update_diagonal=True, hessian_regularization=d
            )
            for d in DAMPINGS
        },
        **{
            f"block CG, Hessian, {d:g}": influence(digits_measure, "CgInfluence", regularization=d, **TWENTY)
            for d in DAMPINGS
        },
        **{
            f"block CG, Gauss-Newton, {d:g}": influence(
                digits_measure, "CgInfluence", regularization=d, second_order_mode=GAUSS_NEWTON, **TWENTY
            )
            for d in DAMPINGS
        },
        "Nystroem, rank 20, 0.1": influence(digits_measure, "NystroemSketchInfluence", rank=20, regularization=0.1),
        "Arnoldi, rank 20, 0.1": influence(digits_measure, "ArnoldiInfluence", rank=20, regularization=0.1),
        "LiSSA, 0.1": influence(
            digits_measure, "LissaInfluence", maxiter=50, scale=20.0, regularization=0.1, warn_on_max_iteration=False
        ),
    },
    "words": {
        "Direct": influence(weat, "DirectInfluence"),
        "CG (default)": influence(weat, "CgInfluence"),
        "block CG": influence(weat, "CgInfluence", rtol=1e-5, maxiter=200, solve_simultaneously=True),
        "EK-FAC": influence(weat, "EkfacInfluence", update_diagonal=True),
    },
}
