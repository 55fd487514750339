"""The slow, plain reference: dense skip-gram in float64 with autograd through the whole training loop.

Nothing here is shared with the package but the counts of the samples.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class DenseSkipGram:
    """Loss on (n, V, V) counts X_i; N, p and D at the base weights."""

    x: Tensor
    base: Tensor
    negatives: float
    exponent: float
    dimension: int
    prior: float = 0.0

    def __post_init__(self):
        total = torch.einsum("n,nwc->wc", self.base, self.x)
        rows = total.sum(1)
        self.total = total.sum()
        powered = torch.where(rows > 0, rows.clamp(min=1e-300) ** self.exponent, torch.zeros_like(rows))
        self.noise = powered / powered.sum()
        self.d_word = rows * (1 + self.negatives) / self.total
        self.d_context = (rows + self.negatives * self.noise * self.total) / self.total

    def loss(self, theta: Tensor, w: Tensor) -> Tensor:
        size = self.x.shape[1]
        u, c = theta.view(2, size, self.dimension)
        counts = torch.einsum("n,nwc->wc", w, self.x)
        s = u @ c.T
        positive = counts * torch.nn.functional.logsigmoid(s)
        negative = self.negatives * counts.sum(1)[:, None] * self.noise[None, :] * torch.nn.functional.logsigmoid(-s)
        ridge = self.prior / 2 * theta.square().sum()
        return (ridge - (positive + negative).sum()) / self.total

    def gradient(self, theta: Tensor, w: Tensor) -> Tensor:
        return torch.autograd.grad(self.loss(theta, w), theta, create_graph=True)[0]

    def train(self, theta: Tensor, w: Tensor, steps: int, lr: float, momentum: float) -> Tensor:
        """Heavy ball with rising momentum; differentiable in ``w`` and ``theta``."""
        d = torch.stack([self.d_word, self.d_context])[:, :, None].expand(2, -1, self.dimension).reshape(-1)
        d = torch.where(d > 0, d + 2 * self.prior / self.total, d)
        scale = torch.where(d > 0, lr / torch.where(d > 0, d, torch.ones_like(d)), torch.zeros_like(d))
        theta = theta.clone().requires_grad_(True)
        velocity = torch.zeros_like(theta)
        for t in range(steps):
            beta = momentum if momentum <= 0.5 or t >= 20 else 0.5 + (momentum - 0.5) * t / 20
            velocity = beta * velocity + self.gradient(theta, w)
            theta = theta - scale * velocity
        return theta


def dense_counts(counts, size: int) -> Tensor:
    """(n, V, V) float64 from the unordered pair counts of the package."""
    matrix = counts.matrix.toarray().astype(np.float64)
    x = np.zeros((matrix.shape[0], size, size))
    for j, (a, b) in enumerate(counts.pairs):
        x[:, a, b] = matrix[:, j]
        x[:, b, a] = matrix[:, j]
    return torch.from_numpy(x)


def random_sentences(seed: int, sentences: int = 40, words: int = 30) -> list[str]:
    """Sentences over exactly ``words`` words, skewed in frequency; every word occurs."""
    rng = np.random.default_rng(seed)
    names = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(words)]
    weight = 1 / np.arange(1, words + 1)
    lines = [" ".join(rng.choice(names, size=rng.integers(3, 9), p=weight / weight.sum())) for _ in range(sentences)]
    return [*lines, " ".join(names)]
