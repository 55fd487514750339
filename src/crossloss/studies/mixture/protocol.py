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

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from crossloss.core import Progress, State
from crossloss.estimators import unrolled
from crossloss.models.torch import TorchField
from crossloss.optimisers import Adam
from crossloss.run.run import Run
from crossloss.run.train import imported, train
from crossloss.studies.mixture import model as models
from crossloss.studies.mixture.data import MEANS, Points, draw
from crossloss.studies.mixture.estimators import PublishedLissa
from crossloss.studies.mixture.retrain import leave_one_out, retrain
from crossloss.studies.mixture.seed import agreement

NOISE = 0.5
PUBLISHED, CORRECTED = "published", "corrected"


@dataclass(frozen=True)
class Protocol:
    """``each`` points of every Gaussian, ``steps`` of Adam."""

    each: int = 50
    steps: int = 2


PAPER = Protocol()


def measure(seed: int, protocol: Protocol, *, progress: Progress | None = None) -> dict[str, Any]:
    """One seed: r at every point for both losses, LiSSA and unrolled, both ground truths."""
    raw, _ = draw(seed, protocol.each)
    start = _start(raw, seed)
    supervised = _train(models.field(raw, models.MATCHED, start), protocol)
    labels = Points(raw.x, reset_labels(supervised, raw))
    found: dict[str, Any] = {
        "seed": seed,
        "setup": asdict(protocol),
        "classes": raw.y.tolist(),
        "labels": labels.y.tolist(),
        "losses": {},
    }
    carried = carried_retraining(models.field(labels, models.MATCHED, start), labels, protocol.steps, progress)
    published = _values_at(supervised, labels)[:, None] - carried
    corrected_labels = Points(raw.x, reset_labels_of(start, raw))
    for loss in models.LOSSES:
        run = supervised if loss == models.MATCHED else _train(models.field(raw, loss, start), protocol)
        y = labels if loss == models.MATCHED else Points(raw.x, reset_labels(run, raw))
        lissa = published_scores(run, y, loss)
        again = _train(models.field(corrected_labels, loss, start), protocol)
        after = models.values(models.field_of(again), retrain(again, leave_one_out(len(raw.x))), corrected_labels).T
        corrected = _values_at(again, corrected_labels)[:, None] - after
        exact = unrolled(again.trajectory, models.objectives(corrected_labels)).samples()
        found["losses"][loss] = {
            "accuracy": models.accuracy(models.field_of(again), again.theta, corrected_labels),
            "estimators": {
                f"lissa-published.{PUBLISHED}": agreement(lissa.numpy(), published.numpy()),
                f"lissa-published.{CORRECTED}": agreement(lissa.numpy(), corrected.numpy()),
                f"unrolled.{CORRECTED}": agreement(exact.numpy(), corrected.numpy()),
            },
        }
    return found


def _start(points: Points, seed: int) -> models.Clusterer:
    """K-means centres in an order of their own, with the published noise."""
    model = models.initial(points, "relu", seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(MEANS), generator=generator)
    noise = torch.randn(model.centres.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        model.centres.copy_(model.centres[order] + NOISE * noise)
    return model


def _train(field: TorchField, protocol: Protocol) -> Run:
    return train(field, Adam(), steps=protocol.steps)


def reset_labels(run: Run, points: Points) -> Tensor:
    """For each point the cluster in which the trained model puts the mean of its Gaussian, (n,)."""
    with torch.no_grad():
        cluster: Tensor = run.view(torch.tensor(MEANS, dtype=torch.float64)).argmax(1)
    return cluster[points.y]


def reset_labels_of(model: models.Clusterer, points: Points) -> Tensor:
    """The same of a model before its training: labels that training itself can use."""
    with torch.no_grad():
        cluster: Tensor = model(torch.tensor(MEANS, dtype=torch.float64)).argmax(1)
    return cluster[points.y]


def _values_at(run: Run, points: Points) -> Tensor:
    return models.values(models.field_of(run), run.theta[None], points)[0]


def published_scores(run: Run, points: Points, loss: str) -> Tensor:
    """LiSSA's scores (k, n), of the trained parameters with the labels ``points.y``.

    The published KL of a single sample is a mean over its three clusters ("batchmean" of one row).
    """
    field = models.field(points, loss, models.field_of(run).module)  # type: ignore[arg-type]
    if loss == models.CROSS:
        field.sample_loss = lambda q, batch, p: models.divergence(q, p) / len(MEANS)
    return PublishedLissa()(imported(field, run.weights).at(run.theta).trajectory, models.objectives(points)).samples()


def carried_retraining(field: TorchField, points: Points, steps: int, progress: Progress | None = None) -> Tensor:
    """F of every test point (k) after each retraining (n) of its own sweep, (k, n); one Adam through all of them.

    Sweep j retrains without every sample in turn, from the same start, and serves test point j alone. The loss is a
    mean over the n - 1 samples that are left.
    """
    n, adam = field.samples, Adam()
    weights = leave_one_out(n) * n / (n - 1)
    start = field.initial
    state: State = adam.init(start)
    t = 0
    after = torch.empty(n, n, dtype=torch.float64)
    thetas = torch.empty(n, len(start), dtype=torch.float64)
    first = torch.stack([field.gradient(start, w, 0) for w in weights])
    for j in range(n):
        for i in range(n):
            state = state | {"theta": start}
            for step in range(steps):
                g = first[i] if step == 0 else field.gradient(state["theta"], weights[i], 0)
                state = adam.step(state, g, t)
                t += 1
            thetas[i] = state["theta"]
        after[j] = models.values(field, thetas, Points(points.x[j : j + 1], points.y[j : j + 1]))[:, 0]
        if progress:
            progress(j + 1, n)
    return after
