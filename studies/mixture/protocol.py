"""The paper's own protocol, as its published code has it, against two ground truths.

A 2-12-12 ReLU net, noise of N(0, 1/4) on the k-means centres, two full-batch steps of Adam (lr 1e-3, eps 1e-8); the
test points are the training points; scores by LiSSA in one pass (``PublishedLissa``). Ground truths:

- published: NLL retraining for both losses, one Adam object carried through all of them, whose moments therefore
  remember the order: for each test point once through all leave-one-out sets.
- corrected: each loss retrained with itself, labels matched to the clusters, Adam afresh for each.

Float64 instead of float32, and numbers in full instead of six printed digits; else the published code's order of
work. Its labels: the supervised model is trained on the numbers of the Gaussians, whatever cluster they start in;
retraining and scores use the cluster in which the trained model puts the Gaussian's mean.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

import crossloss as cl
from crossloss.estimators import Unrolled
from studies.mixture import model as models
from studies.mixture.estimators import PublishedLissa
from studies.mixture.measure import agreement

NOISE = 0.5


@dataclass(frozen=True)
class Protocol:
    """``each`` points of every Gaussian, ``steps`` of Adam."""

    each: int = 50
    steps: int = 2


def measure(seed: int, protocol: Protocol) -> dict[str, Any]:
    """One seed: r at every point for both losses, LiSSA and unrolled, both ground truths."""
    raw, _ = models.draw(seed, protocol.each)
    start = _start(raw, seed)

    def trained(points: models.Points, loss: str) -> cl.Run:
        return cl.train(models.field(points, loss, start), cl.Adam(), steps=protocol.steps)

    supervised = trained(raw, models.MATCHED)
    labels = models.Points(raw.x, reset_labels(supervised.view, raw))
    right = models.Points(raw.x, reset_labels(start, raw))
    carried = carried_retraining(models.field(labels, models.MATCHED, start), labels, protocol.steps)
    published = (_values(supervised, labels) - carried).numpy()
    result: dict[str, Any] = {
        "seed": seed,
        "setup": asdict(protocol),
        "classes": raw.y.tolist(),
        "labels": labels.y.tolist(),
        "losses": {},
    }
    for loss in models.LOSSES:
        run = supervised if loss == models.MATCHED else trained(raw, loss)
        lissa = published_scores(run, models.Points(raw.x, reset_labels(run.view, raw)), loss).numpy()
        again = trained(right, loss)
        after = models.values(again.field, models.retrain(again, models.leave_one_out(len(raw.x))), right).T
        corrected = (_values(again, right) - after).numpy()
        exact = Unrolled()(again.trajectory, models.objectives(right)).samples().numpy()
        result["losses"][loss] = {
            "accuracy": models.accuracy(again, right),
            "estimators": {
                "lissa-published.published": agreement(lissa, published),
                "lissa-published.corrected": agreement(lissa, corrected),
                "unrolled.corrected": agreement(exact, corrected),
            },
        }
    return result


def _start(points: models.Points, seed: int) -> models.Clusterer:
    """K-means centres in an order of their own, with the published noise."""
    model, generator = models.initial(points, "relu", seed), torch.Generator().manual_seed(seed)
    order = torch.randperm(len(models.MEANS), generator=generator)
    noise = torch.randn(model.centres.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        model.centres.copy_(model.centres[order] + NOISE * noise)
    return model


def reset_labels(model: Callable[[Tensor], Tensor], points: models.Points) -> Tensor:
    """For each point the cluster in which a model puts the mean of its Gaussian, (n,)."""
    with torch.no_grad():
        return model(torch.tensor(models.MEANS, dtype=torch.float64)).argmax(1)[points.y]


def _values(run: cl.Run, points: models.Points) -> Tensor:
    """Of every objective before retraining, (k, 1)."""
    return models.values(run.field, run.theta[None], points).T


def published_scores(run: cl.Run, points: models.Points, loss: str) -> Tensor:
    """LiSSA's scores (k, n), of the trained parameters with the labels ``points.y``.

    The published KL of a single sample is a mean over its three clusters ("batchmean" of one row).
    """
    of = models.field(points, loss, run.field.module)
    if loss == models.CROSS:
        of.sample_loss = lambda q, batch, p: models.divergence(q, p) / len(models.MEANS)
    return PublishedLissa()(cl.imported(of, run.weights).at(run.theta).trajectory, models.objectives(points)).samples()


def carried_retraining(of: cl.TorchField, points: models.Points, steps: int) -> Tensor:
    """F of every test point (k) after each retraining (n) of its own sweep, (k, n); one Adam through all of them.

    Sweep j retrains without every sample in turn, from the same start, and serves test point j alone. The loss is a
    mean over the n - 1 samples that are left.
    """
    n, adam, start, t = of.samples, cl.Adam(), of.initial, 0
    weights = models.leave_one_out(n) * n / (n - 1)
    state = adam.init(start)
    after = torch.empty(n, n, dtype=torch.float64)
    thetas = torch.empty(n, len(start), dtype=torch.float64)
    first = torch.stack([of.gradient(start, w, 0) for w in weights])
    for j in range(n):
        for i in range(n):
            state = state | {"theta": start}
            for step in range(steps):
                g = first[i] if step == 0 else of.gradient(state["theta"], weights[i], 0)
                state = adam.step(state, g, t)
                t += 1
            thetas[i] = state["theta"]
        after[j] = models.values(of, thetas, models.Points(points.x[j : j + 1], points.y[j : j + 1]))[:, 0]
    return after
