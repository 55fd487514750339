"""The estimators of the study, each with its damping, and the published ones as they were."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossloss.core import FULL_BATCH, Accumulator, Checkpoint, Estimator, Objective, Progress, Trajectory
from crossloss.estimators import Arnoldi, ConjugateGradient, InverseHessian, TracIn, gradient_dot, unrolled
from crossloss.estimators.gradient import objective_gradients
from crossloss.models.torch import ModelView, TorchField
from crossloss.models.torch.curvature import ekfac, ggn
from crossloss.run.trajectory import Training
from crossloss.studies.mixture.data import Points
from crossloss.studies.mixture.model import Clusterer

DAMPING = 1e-2
"""Of every inverse-Hessian estimator that does not name its own."""

EARLY_STOPPING = 0.05
"""1/(lr steps) of SGD at .1 for 200 steps: a run stopped early turns 1/h into about 1/(h + 1/(lr steps))."""

PUBLISHED = "lissa-published"
CONSTANT = "unrolled-p-constant"
TANGENT = "unrolled-tangent"


def estimators(points: Points, model: Clusterer) -> dict[str, Estimator]:
    """Every estimator of the study by name; those that do not apply refuse in a sentence.

    GMRES is left out: it solves the system that ``inverse-hessian`` solves densely. The GGN of cross-entropy does not
    depend on its targets, so that one GGN serves both losses (P constant).
    """
    layers = Logits(model)
    loss = nn.CrossEntropyLoss()
    return {
        "unrolled": unrolled,
        "gradient-dot": gradient_dot,
        "tracin": TracIn(every=10),
        "inverse-hessian": InverseHessian(damping=DAMPING),
        "inverse-hessian-damping-0.05": InverseHessian(damping=EARLY_STOPPING),
        "inverse-hessian-absolute": InverseHessian("absolute", damping=DAMPING),
        "inverse-hessian-cg": InverseHessian(solver=ConjugateGradient(), damping=DAMPING),
        "inverse-hessian-arnoldi": InverseHessian(solver=Arnoldi(), damping=DAMPING),
        "inverse-hessian-ggn": InverseHessian(ggn(layers, loss, points.x, points.y), damping=DAMPING),
        "inverse-hessian-ekfac": EKFAC(layers, loss, points),
        PUBLISHED: PublishedLissa(),
    }


class Logits(nn.Module):
    """Log q, whose softmax is q: what a cross-entropy takes."""

    def __init__(self, model: Clusterer) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Log q of the points x (n, 2)."""
        logits: Tensor = self.model(x).log()
        return logits


@dataclass(frozen=True, eq=False)
class EKFAC(Estimator):
    """EK-FAC, which says when it is asked whether it applies to these layers."""

    name = "inverse-hessian-ekfac"

    model: nn.Module
    loss: nn.Module
    points: Points

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Scores, or a UserError that names the layer."""
        curvature = ekfac(self.model, self.loss, self.points.x, self.points.y)
        InverseHessian(curvature, damping=DAMPING).add(trajectory, objectives, into, progress, checkpoint)


@dataclass(frozen=True)
class PublishedLissa(Estimator):
    """LiSSA as the paper's code has it: h <- v + (1 - damping) h - (Hessian of sample i) h / scale, once over i.

    One pass over the samples in their order, P constant, no division by the scale, no check of convergence; so the
    scores are in no unit, and their slope on retraining means nothing.
    """

    damping: float = 0.01
    scale: float = 25.0
    name = PUBLISHED

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Scores of every sample for every objective."""
        assert isinstance(trajectory.field, TorchField)
        theta, w = trajectory.theta, trajectory.weights
        field = constant_target(trajectory.field)
        each = field.ordered([[i] for i in range(field.samples)])
        v = objective_gradients(field, theta, objectives)
        h = v.clone()
        for i in range(field.samples):
            curved = each.at(theta, w, i).pullback(h, each.accumulator(len(h)))
            h = v + (1 - self.damping) * h - curved / self.scale
        field.at(theta, w, FULL_BATCH).weight_gradient(-h, into)


def constant_target(field: TorchField) -> TorchField:
    """The same field, whose derivative takes the target for a constant, as the published code does."""
    frozen = field.frozen
    if frozen is None:
        return field
    other = copy.copy(field)
    other.frozen = lambda view, w: frozen(view, w).detach()
    return other


def unrolled_p_constant(training: Training, objectives: Sequence[Objective]) -> Accumulator:
    """Unrolled scores that leave out dP/dtheta and dP/dw: what goes wrong without ``frozen``."""
    assert isinstance(training.field, TorchField)
    return unrolled(training.changed(field=constant_target(training.field)), objectives)


@dataclass(frozen=True, eq=False)
class Coordinate:
    """One parameter as an objective; all of them give d theta_T / d w."""

    name: str
    index: int

    def __call__(self, view: ModelView, /) -> Tensor:
        """The parameter, shape ()."""
        return torch.cat([p.reshape(-1) for p in view.values()])[self.index]


def tangents(training: Training, progress: Progress | None = None) -> Tensor:
    """D theta_T / d w_i in row i, (n, p): ``predict(without=[i])`` of every sample is theta minus row i (w = 1)."""
    coordinates = [Coordinate(str(j), j) for j in range(len(training.theta))]
    return unrolled(training, coordinates, progress=progress).samples().T.contiguous()
