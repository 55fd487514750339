"""The three problems that every package is given, in torch and nothing else: each venv imports this file.

A problem holds a trained model, its training rows, and queries: k items, each with its targets, and ``measure``, whose
mean over an item is an objective. No objective is parallel to the training loss.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORK = Path(__file__).parent / ".venvs"
"""Venvs, data and trained models: not kept in git."""

MEANS = torch.tensor([[0.0, 0.0], [5.0, 5.0], [5.0, -5.0]])
STD = 1.25
MIXTURE_DECAY = 0.01
DIGITS_WIDTH, DIGITS_ROWS, DIGITS_BATCH, DIGITS_STEPS, DIGITS_RATE, DIGITS_MOMENTUM = 960, 1_000, 64, 160, 0.02, 0.9

WORDS, WORDS_DIMENSION, WORDS_DECAY = 30, 5, 0.1
DAMPINGS = (1e-3, 1e-2, 1e-1)
"""Tried with every estimator of the digits that takes one."""


@dataclass
class Problem:
    """What a package is given.

    x (n, ...), y (n,): training rows and labels. queries (k, ...), targets (k, ...): an objective each.
    """

    model: nn.Module
    x: Tensor
    y: Tensor
    queries: Tensor
    targets: Tensor
    decay: float
    checkpoints: list[dict[str, Tensor]]
    initial: dict[str, Tensor]
    order: Tensor

    def untrained(self) -> nn.Module:
        """The model as its training found it."""
        model = self.fresh()
        model.load_state_dict(self.initial)
        return model

    def fresh(self) -> nn.Module:
        """The trained model, one's own to change."""
        return copy.deepcopy(self.model)


def mixture_model() -> nn.Module:
    """2-12-3, 75 parameters."""
    return nn.Sequential(nn.Linear(2, 12), nn.Tanh(), nn.Linear(12, 3))


def mixture_measure(out: Tensor, target: Tensor) -> Tensor:
    """Gaussian NLL, without its constant, of a point (..., 2) under the centre that the model predicts for it."""
    centre = out.softmax(-1) @ MEANS.to(out)
    return ((target - centre) ** 2).sum(-1) / (2 * STD**2)


def digits_model() -> nn.Module:
    """64-960-960-10, 994,570 parameters."""
    width = DIGITS_WIDTH
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def digits_measure(out: Tensor, target: Tensor) -> Tensor:
    """By the first column of the target (..., 2), with the digit in the second.

    0: squared error of the expected digit; 1: the chance of a 9 (on rows that are 4 or 9, signed by the digit);
    2: entropy of the prediction.
    """
    kind, digit = target[..., 0], target[..., 1]
    p = out.softmax(-1)
    error = (p @ torch.arange(10).to(out) - digit) ** 2
    nine = p[..., 9] * torch.where(digit == 9, -1.0, 1.0)
    entropy = -(p * out.log_softmax(-1)).sum(-1)
    return torch.where(kind == 0, error, torch.where(kind == 1, nine, entropy))


class SkipGram(nn.Module):
    """Exact skip-gram with negative sampling (paper Eq. 8 as meant): the loss of each sentence of pairs.

    Called with (n, m, 3) int64: word, context, and how often (0 fills up); returns (n,).
    """

    def __init__(self, noise: Tensor, dimension: int = WORDS_DIMENSION, negatives: float = 2.0) -> None:
        super().__init__()
        self.words = nn.Embedding(len(noise), dimension)
        self.contexts = nn.Embedding(len(noise), dimension)
        self.register_buffer("noise", noise)
        self.negatives = negatives

    def forward(self, pairs: Tensor) -> Tensor:
        u = self.words(pairs[..., 0])
        seen = F.logsigmoid((u * self.contexts(pairs[..., 1])).sum(-1))
        unseen = F.logsigmoid(-(u @ self.contexts.weight.T)) @ self.noise
        return -(pairs[..., 2] * (seen + self.negatives * unseen)).sum(-1)


def weat(vectors: Tensor) -> Tensor:
    """WEAT's effect (paper Eqs. 11, 12) with words 0-3, 4-7 as targets and 8-11, 12-15 as attributes."""
    unit = F.normalize(vectors[:16], dim=1)
    s = (unit[:8] @ unit[8:12].T).mean(1) - (unit[:8] @ unit[12:].T).mean(1)
    return (s[:4].mean() - s[4:].mean()) / s.std(correction=0)


def words_model() -> nn.Module:
    """Two tables of 30 words, 300 parameters."""
    noise = 1 / (torch.arange(WORDS) + 3.0)
    return SkipGram(noise / noise.sum())


MODELS = {"mixture": mixture_model, "digits": digits_model, "words": words_model}


def load(name: str) -> Problem:
    """A problem as ``prepare.py`` left it."""
    kept = torch.load(WORK / f"{name}.pt", weights_only=True)
    model = MODELS[name]()
    model.load_state_dict(kept["state"])
    names = ("x", "y", "queries", "targets", "decay", "checkpoints", "initial", "order")
    return Problem(model.eval(), *(kept[name] for name in names))


def cross_entropy(out: Tensor, y: Tensor) -> Tensor:
    """The training loss of each row."""
    return F.cross_entropy(out, y, reduction="none")
