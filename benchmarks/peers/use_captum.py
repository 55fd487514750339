"""captum 0.9.0: a test loss of its own, of outputs and targets; checkpoints are files."""

import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from captum.influence import TracInCP
from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction
from captum.influence._core.influence_function import NaiveInfluenceFunction
from tasks import Problem, digits_measure, mixture_measure, weat
from torch import Tensor, nn
from torch.utils.data import TensorDataset


def with_influence(problem: Problem, make: Callable[..., Any], measure: Callable[..., Tensor], **more: Any) -> Tensor:
    n, k, c = len(problem.x), len(problem.queries), problem.targets.shape[-1]
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        torch.save(problem.model.state_dict(), file.name)
        influence = make(
            problem.fresh(),
            TensorDataset(problem.x, problem.y),
            file.name,
            loss_fn=nn.CrossEntropyLoss(reduction="sum"),
            test_loss_fn=Measured(measure),
            batch_size=min(n, 200),
            sample_wise_grads_per_batch=True,
            **({"hessian_reg": problem.decay * n} | more),
        )
        scores = influence.influence((problem.queries.view(-1, problem.x.shape[1]), problem.targets.view(-1, c)))
        return scores.view(k, -1, n).mean(1)


def with_tracin(problem: Problem, measure: Callable[..., Tensor], checkpoints: int) -> Tensor:
    k, n, c = len(problem.queries), len(problem.x), problem.targets.shape[-1]
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{i}.pt" for i in range(checkpoints)]
        for state, file in zip(problem.checkpoints[-checkpoints:], files, strict=True):
            torch.save(state, file)
        influence = TracInCP(
            problem.fresh(),
            TensorDataset(problem.x, problem.y),
            files,
            loss_fn=nn.CrossEntropyLoss(reduction="sum"),
            test_loss_fn=Measured(measure),
            batch_size=min(n, 200),
            sample_wise_grads_per_batch=True,
        )
        scores = influence.influence((problem.queries.view(-1, problem.x.shape[1]), problem.targets.view(-1, c)))
        return scores.view(k, -1, n).mean(1)


class WithWeat(nn.Module):
    """Loss and WEAT side by side: the package's losses see outputs only."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        losses = self.inner(x)
        return torch.stack([losses, weat(self.inner.words.weight).expand_as(losses)], -1)


def with_words(problem: Problem, make: Callable[..., Any], **settings: Any) -> Tensor:
    n = len(problem.x)
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        model = WithWeat(problem.fresh())
        torch.save(model.state_dict(), file.name)
        influence = make(
            model,
            TensorDataset(problem.x, problem.y),
            file.name,
            loss_fn=lambda out, y: out[:, 0],
            test_loss_fn=lambda out, y: out[:, 1],
            batch_size=n,
            hessian_reg=problem.decay * n,
            **settings,
        )
        return influence.influence((problem.queries, problem.targets))


class Measured(nn.Module):
    reduction = "sum"

    def __init__(self, measure: Callable[..., Tensor]) -> None:
        super().__init__()
        self.measure = measure

    def forward(self, out: Tensor, target: Tensor) -> Tensor:
        return self.measure(out, target).sum()


MIXTURE = partial(with_influence, measure=mixture_measure)
ALL: Any = {"projection_dim": 75, "hessian_inverse_tol": -1e9}
USES = (Measured,)
SETTINGS = {
    "mixture": {
        "Naive (default, rank 50)": partial(MIXTURE, make=NaiveInfluenceFunction),
        "Naive, rank 75": partial(MIXTURE, make=NaiveInfluenceFunction, **ALL),
        "Arnoldi (default)": partial(MIXTURE, make=ArnoldiInfluenceFunction),
        "Arnoldi, 75 dimensions": partial(
            MIXTURE, make=ArnoldiInfluenceFunction, arnoldi_dim=75, arnoldi_tol=1e-9, **ALL
        ),
    },
    "digits": {
        "Arnoldi, rank 20 of 30, 0.1": partial(
            with_influence, measure=digits_measure, make=ArnoldiInfluenceFunction, arnoldi_dim=30, projection_dim=20,
            hessian_reg=100.0,
        ),
        "gradient dot": partial(with_tracin, measure=digits_measure, checkpoints=1),
        "TracIn, 10 checkpoints": partial(with_tracin, measure=digits_measure, checkpoints=10),
    },
    "words": {
        "Naive, rank 300": partial(
            with_words, make=NaiveInfluenceFunction, projection_dim=300, hessian_inverse_tol=-1e9
        ),
        "Arnoldi (default)": partial(with_words, make=ArnoldiInfluenceFunction),
    },
}  # fmt: skip
