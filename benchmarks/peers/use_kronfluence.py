"""kronfluence 1.0.1: a measurement of its own, of batch and model; factors and scores go through files."""

import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from kronfluence.utils.dataset import DataLoaderKwargs
from tasks import DAMPINGS, Problem, digits_measure, mixture_measure, weat
from torch import Tensor, nn
from torch.utils.data import TensorDataset


class Given(Task):
    """Cross-entropy, and the problem's own measure."""

    def __init__(self, measure: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.measure = measure

    def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
        out = model(batch[0])
        y = batch[1] if not sample else torch.multinomial(out.detach().softmax(-1), 1).flatten()
        return F.cross_entropy(out, y, reduction="sum")

    def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
        measured = self.measure(model(batch[0]), batch[1])
        return measured.sum() * len(measured) / measured.numel()


class Words(Task):
    """The loss that the module gives, and WEAT."""

    def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
        return model(batch[0]).sum()

    def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
        return weat(model.words.weight)


def with_words(problem: Problem) -> Tensor:
    prepare_model(problem.fresh(), Words())
    raise AssertionError("prepared: write the rest")


def with_analyzer(problem: Problem, measure: Callable[..., Tensor], strategy: str, damping: float | None) -> Tensor:
    task = Given(measure)
    model = prepare_model(problem.fresh(), task)
    train, test = TensorDataset(problem.x, problem.y), TensorDataset(problem.queries, problem.targets)
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer("a", model, task, cpu=True, disable_tqdm=True, output_dir=folder)
        analyzer.set_dataloader_kwargs(DataLoaderKwargs(num_workers=0))
        analyzer.fit_all_factors("f", train, per_device_batch_size=len(train), factor_args=FactorArguments(strategy))
        analyzer.compute_pairwise_scores(
            "s",
            "f",
            test,
            train,
            per_device_query_batch_size=len(test),
            per_device_train_batch_size=len(train),
            score_args=ScoreArguments(damping_factor=damping),
        )
        return analyzer.load_pairwise_scores("s")["all_modules"]


USES = (Given,)
MIXTURE = partial(with_analyzer, measure=mixture_measure)
SETTINGS = {
    "mixture": {
        "EK-FAC (default damping)": partial(MIXTURE, strategy="ekfac", damping=None),
        "EK-FAC": partial(MIXTURE, strategy="ekfac", damping=0.01),
        "K-FAC": partial(MIXTURE, strategy="kfac", damping=0.01),
    },
    "digits": {
        **{
            f"EK-FAC, {d:g}": partial(with_analyzer, measure=digits_measure, strategy="ekfac", damping=d)
            for d in DAMPINGS
        },
        "EK-FAC (default damping)": partial(with_analyzer, measure=digits_measure, strategy="ekfac", damping=None),
        "gradient dot": partial(with_analyzer, measure=digits_measure, strategy="identity", damping=0.0),
    },
    "words": {"EK-FAC": with_words},
}
