"""Three Gaussians in the plane; deep embedded clustering and its matched model: one module, two losses, two fields.

Whatever trains them (one run, or all leave-one-out runs stacked) takes module, losses and target from here.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

import crossloss as cl
from crossloss.core import Objective
from crossloss.models.threads import one_core

MEANS = ((0.0, 0.0), (5.0, 5.0), (5.0, -5.0))
STD = 1.25
"""Of both coordinates (paper Sec. 4.1)."""
CROSS, MATCHED = "cross", "matched"
LOSSES = (CROSS, MATCHED)
"""Trained with deep embedded clustering's loss, or with the objective's own."""
ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "tanh": nn.Tanh}
WIDTH = 12
RESTARTS = 10


@dataclass(frozen=True, eq=False)
class Points:
    """Points x (n, 2) float64, and the Gaussian y (n,) int64 that each was drawn from."""

    x: Tensor
    y: Tensor


def draw(seed: int, each: int = 50) -> tuple[Points, Points]:
    """Training and held-out points, ``each`` of every Gaussian in both."""
    generator, y = np.random.default_rng(seed), np.repeat(np.arange(len(MEANS)), each)
    first, second = (torch.from_numpy(generator.normal(np.asarray(MEANS)[y], STD)) for _ in range(2))
    return Points(first, torch.from_numpy(y)), Points(second, torch.from_numpy(y))


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
        near = 1 / (1 + ((self.encoder(x)[:, None] - self.centres) ** 2).sum(2))
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
    z = encoded.numpy()
    starts = [
        kmeans2(z, len(MEANS), minit="++", rng=np.random.default_rng([seed, start]), missing="raise")
        for start in range(RESTARTS)
    ]
    centres, labels = min(starts, key=lambda pair: float(((z - pair[0][pair[1]]) ** 2).sum()))
    right = np.zeros((len(MEANS), len(MEANS)), dtype=np.int64)
    np.add.at(right, (y.numpy(), labels), 1)
    return torch.from_numpy(centres[linear_sum_assignment(-right)[1]])


def field(points: Points, loss: str, model: nn.Module) -> cl.TorchField:
    """The field of the mean loss over all points, ``cross`` or ``matched``."""
    data = {"x": points.x, "y": points.y}
    if loss == MATCHED:
        return cl.TorchField(model, lambda q, batch: likelihood(q, batch["y"]), data)
    return cl.TorchField(
        model, lambda q, batch, p: divergence(q, p), data, frozen=lambda view, w: target(view(points.x.to(w)), w)
    )


def objectives(points: Points) -> list[Objective]:
    """F = -log q_{i, y} of each point (paper Eqs. 6, 7)."""
    return cl.objectives.each(lambda view, x, y: likelihood(view(x), y), points.x, points.y)


def values(of: cl.TorchField, thetas: Tensor, points: Points) -> Tensor:
    """-log q_{i, y} of every point (k) at every row of ``thetas`` (m, p): (m, k)."""
    with torch.no_grad():
        return torch.vmap(lambda theta: likelihood(of.view(theta)(points.x), points.y))(thetas)


def accuracy(run: cl.Run, points: Points) -> float:
    """Share of points whose likeliest cluster is their Gaussian's."""
    with torch.no_grad():
        return float((run.view(points.x).argmax(1) == points.y).double().mean())


@one_core()
def retrain(run: cl.Run, weights: Tensor) -> Tensor:
    """Final parameters (m, p) of the same run with each row of ``weights`` (m, n), all at once, stacked by vmap.

    Equal to ``run.retrain`` row by row, of this study's fields: full-batch, without dropout and regulariser.
    """
    of, training = run.field, run.trajectory

    def loss(theta: Tensor, w: Tensor) -> Tensor:
        view = of.view(theta)
        constant = () if of.frozen is None else (of.frozen(view, w).detach(),)
        return (w * of.sample_loss(of.forward(view, of.rows), of.rows, *constant)).sum() / of.samples

    gradient = torch.vmap(torch.func.grad(loss))
    w = weights.to(training.initial)
    state = run.optimiser.init(training.initial.expand(len(w), -1).contiguous())
    for t in range(run.steps):
        state = run.optimiser.step(state, gradient(state["theta"], w).detach(), t)
    if not bool(torch.isfinite(state["theta"]).all()):
        raise cl.UserError("A retraining diverged: train with a smaller lr.")
    return state["theta"]


def leave_one_out(n: int) -> Tensor:
    """Weights (n, n) float64: row i is without sample i."""
    return 1 - torch.eye(n, dtype=torch.float64)
