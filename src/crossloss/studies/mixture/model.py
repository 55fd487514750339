"""Deep embedded clustering and its matched model: one module, two losses, as torch fields.

Whatever trains them (one run, or all leave-one-out runs stacked) takes module, losses and target from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from crossloss.models.torch import ModelView, TorchField
from crossloss.run.run import Run
from crossloss.studies.mixture.data import MEANS, Points

CROSS, MATCHED = "cross", "matched"
LOSSES = (CROSS, MATCHED)
"""Trained with deep embedded clustering's loss, or with the objective's own."""

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "tanh": nn.Tanh}
WIDTH = 12
RESTARTS = 10


class Clusterer(nn.Module):
    """2-12-12 encoder and three centres, all trained: 228 parameters (the published code's architecture).

    Returns q (n, 3): Student-t similarity of the encoded points to the centres (Xie et al. 2016, Eq. 1).
    """

    def __init__(self, activation: str = "gelu") -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, WIDTH), ACTIVATIONS[activation](), nn.Linear(WIDTH, WIDTH))
        self.centres = nn.Parameter(torch.zeros(len(MEANS), WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Similarities q of the points x (n, 2), in rows that sum to 1."""
        near: Tensor = 1 / (1 + ((self.encoder(x)[:, None] - self.centres) ** 2).sum(2))
        return near / near.sum(1, keepdim=True)


def target(q: Tensor, w: Tensor) -> Tensor:
    """P (n, 3): q^2 over the weighted mass of each cluster, normalised by row (Xie et al. 2016, Eq. 3)."""
    sharp = q**2 / (w[:, None] * q).sum(0)
    return sharp / sharp.sum(1, keepdim=True)


def divergence(q: Tensor, p: Tensor) -> Tensor:
    """KL(P || Q) of each sample, (n,) (Xie et al. 2016, Eq. 2)."""
    return (p * (p / q).log()).sum(1)


def likelihood(q: Tensor, y: Tensor) -> Tensor:
    """-log q_{i, y_i} of each sample, (n,): the objective, and the matched model's loss."""
    return -q.gather(1, y[:, None])[:, 0].log()


def initial(points: Points, activation: str, seed: int) -> Clusterer:
    """A drawn encoder, and as centres the k-means of what it makes of all points; centre j stands for Gaussian j.

    The matching is the one with most points right. Centres and matching are thereby fixed for all retrainings.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Clusterer(activation).double()
    with torch.no_grad():
        model.centres.copy_(matched_centres(model.encoder(points.x), points.y, seed))
    return model


def matched_centres(encoded: Tensor, y: Tensor, seed: int) -> Tensor:
    """Centres of k-means (3, d), the best of ten starts, in the order of the Gaussians they match."""
    found = [
        kmeans2(encoded.numpy(), len(MEANS), minit="++", rng=np.random.default_rng([seed, start]), missing="raise")
        for start in range(RESTARTS)
    ]
    centres, labels = min(found, key=lambda pair: float(((encoded.numpy() - pair[0][pair[1]]) ** 2).sum()))
    right = np.zeros((len(MEANS), len(MEANS)), dtype=np.int64)
    np.add.at(right, (y.numpy(), labels), 1)
    return torch.from_numpy(centres[linear_sum_assignment(-right)[1]])


def field_of(run: Run) -> TorchField:
    """The field of a run of the study."""
    assert isinstance(run.field, TorchField)
    return run.field


def field(points: Points, loss: str, model: Clusterer) -> TorchField:
    """The field of the mean loss over all points, ``cross`` or ``matched``."""
    data = {"x": points.x, "y": points.y}
    if loss == MATCHED:
        return TorchField(model, lambda q, batch: likelihood(q, batch["y"]), data)
    return TorchField(
        model, lambda q, batch, p: divergence(q, p), data, frozen=lambda view, w: target(view(points.x.to(w)), w)
    )


@dataclass(frozen=True, eq=False)
class PointLikelihood:
    """F = -log q_{i, y} of one point (a ``core.Objective``; paper Eqs. 6, 7)."""

    name: str
    x: Tensor
    y: Tensor

    def __call__(self, view: ModelView, /) -> Tensor:
        """Value at these parameters, shape ()."""
        return likelihood(view(self.x), self.y)[0]


def objectives(points: Points) -> Sequence[PointLikelihood]:
    """One objective a point."""
    return [PointLikelihood(f"point-{i}", points.x[i : i + 1], points.y[i : i + 1]) for i in range(len(points.x))]


def values(of: TorchField, thetas: Tensor, points: Points) -> Tensor:
    """-log q_{i, y} of every point (k) at every row of ``thetas`` (m, p): (m, k)."""

    def one(theta: Tensor) -> Tensor:
        return likelihood(of.view(theta)(points.x), points.y)

    with torch.no_grad():
        found: Tensor = torch.vmap(one)(thetas)
    return found


def accuracy(of: TorchField, theta: Tensor, points: Points) -> float:
    """Share of points whose likeliest cluster is their Gaussian's."""
    with torch.no_grad():
        return float((of.view(theta)(points.x).argmax(1) == points.y).double().mean())
