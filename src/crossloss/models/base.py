"""What a run asks of what it trains, beside the derivative: its samples, its starts, its size, what identifies it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Accumulator, Field, Objective, Optimiser, UserError
from crossloss.estimators.gradient import objective_values
from crossloss.utils.memory import Footprint


class Model(ABC):
    """What is trained, and on which samples. A new model family implements this and ``core.Field``.

    ``kind`` is the name of the family, ``sample_noun`` and ``data_noun`` what one sample, and what holds all of them,
    is called in tables and sentences.
    """

    kind: ClassVar[str]
    sample_noun: ClassVar[str] = "sample"
    data_noun: ClassVar[str] = "the field"
    default_steps: ClassVar[int | None] = None

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples, n."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where parameters and data are."""

    @property
    def own_weights(self) -> np.ndarray:
        """Sample weights (n,) float64 where none are given; samples of weight 0 are candidates, scored only."""
        return np.ones(self.samples)

    @abstractmethod
    def build(self, folder: Path | None = None) -> Field:
        """The training field; ``folder`` is where large parts of it may lie instead of in memory."""

    def recall(self, kernels: Mapping[str, Any]) -> None:  # noqa: B027
        """Compute by what ``kernels`` said where a run began; empty of one from before there was a choice."""

    @property
    def kernels(self) -> Mapping[str, Any]:
        """How this machine computes the field, which changes its sums by rounding; empty where there is no choice."""
        return {}

    def started(self, theta: Tensor) -> Field:
        """The field in a run from these initial parameters (p,), which its view may show."""
        return self.build()

    @abstractmethod
    def identity(self, steps: int = 1, seed: int | None = None) -> dict[str, Any]:
        """Plain values that fix a training of so many steps, beside optimiser and sample weights; or as ``start``."""

    @abstractmethod
    def footprint(self, optimiser: Optimiser | None) -> Footprint:
        """Bytes of a run, once the field is built; without steps where the optimiser is None."""

    def within(self, budget: int) -> "Model":
        """The same model, evaluated in pieces that a budget in bytes bears; UserError where that cannot be."""
        return self

    def activations(self) -> int:
        """Bytes that a pass holds on top of the ``footprint``."""
        return 0

    @abstractmethod
    def start(self, seed: int | None) -> Tensor:
        """Initial parameters (p,): the model's own where ``seed`` is None, else drawn from it; UserError for none."""

    @property
    def has_starts(self) -> bool:
        """Whether ``start`` takes seeds."""
        return False

    @property
    def first_seed(self) -> int | None:
        """Seed of a run where none is given; None for the model's own start."""
        return None

    def optimiser(self) -> Optimiser:
        """The optimiser of a run where none is given; UserError where the family has no default."""
        raise UserError("This model has no optimiser of its own: cl.train(field, cl.SGD(lr=.1), steps=200).")

    def prepare(self, optimiser: Optimiser, weights: Tensor) -> Optimiser:
        """Return the optimiser as this model steps with it at sample weights (n,), such as with its preconditioner."""
        return optimiser

    def check_start(self, theta: Tensor, weights: Tensor) -> None:  # noqa: B027
        """Refuse, before training, what cannot be trained or differentiated."""

    def check_imported(self, theta: Tensor, weights: Tensor) -> None:  # noqa: B027
        """Refuse parameters of a model trained elsewhere that nothing can be scored at."""

    def check_end(self, initial: Tensor, theta: Tensor, weights: Tensor) -> None:  # noqa: B027
        """Refuse a training that came to nothing."""

    def loss(self, theta: Tensor, weights: Tensor) -> float:
        """Training loss."""
        raise NotImplementedError

    def benchmarks(self, view: Any) -> dict[str, float]:
        """Further figures of a trained model that repairs may cost, by name."""
        return {}

    def tensors(self, view: Any) -> dict[str, Tensor]:
        """Final parameters by name, for a model file."""
        return {name: view[name] for name in view}

    @property
    def batch_size(self) -> int:
        """Samples that a step sees."""
        return self.samples

    def kinks(self) -> Sequence[str]:
        """Parts of the model whose derivative jumps, by name."""
        return ()

    @property
    def word_index(self) -> Mapping[str, int]:
        """Row of every word, where the model has words."""
        return {}

    def with_words(self, words: Iterable[str]) -> np.ndarray:
        """Samples (n,) bool with one of these words; all where the model has no words."""
        return np.ones(self.samples, dtype=bool)

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """What a table shows of the samples, by column, n values each."""
        return {}

    def show(self, sample: int) -> Any:
        """What people are shown of a sample: a text, a mapping (a row), or an image."""
        return f"{self.sample_noun} {sample}"

    def candidates(self, weights: np.ndarray) -> np.ndarray:
        """Samples (n,) bool that the run with these weights did not train on and that adding once would add."""
        return np.asarray(weights == 0)

    def check_objectives(self, field: Field, theta: Tensor, objectives: Sequence[Objective]) -> None:
        """Refuse, before a pass, objectives that have no finite value at these parameters."""
        objective_values(field.view(theta), objectives)

    def explain(self, atoms: np.ndarray, sample: str | int, weights: np.ndarray) -> Any:
        """Take a sample apart by the influence (m,) of each atom; UserError where samples have no parts."""
        raise UserError(f"A sample of a {self.kind} model has no parts to explain: look at scores.top().")

    def atoms(self, influence: Accumulator) -> np.ndarray:
        """What is stored of a backward pass, (k, m); m = n where the samples are the atoms."""
        return influence.samples().cpu().numpy()

    def project(self, atoms: np.ndarray) -> np.ndarray:
        """Scores (k, n) float64 of what ``atoms`` gave."""
        return np.asarray(atoms, dtype=np.float64)

    def figures(self) -> Mapping[str, float]:
        """Figures of the model itself for metrics.json."""
        return {}
