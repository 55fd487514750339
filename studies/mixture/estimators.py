"""The estimators of the study, each with its damping, and the published ones as they were."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import crossloss as cl
from crossloss.core import FULL_BATCH, Accumulator, Checkpoint, Estimator, Objective, Progress, Trajectory
from crossloss.estimators import Arnoldi, ConjugateGradient, GradientDot, InverseHessian, TracIn, Unrolled
from crossloss.models.torch.curvature import ekfac, ggn
from studies.mixture.model import Clusterer, Points

DAMPING = 1e-2
"""Of every inverse-Hessian estimator that does not name its own."""
EARLY_STOPPING = 0.05
"""1/(lr steps) of SGD at .1 for 200 steps: a run stopped early turns 1/h into about 1/(h + 1/(lr steps))."""
PUBLISHED, CONSTANT, TANGENT = "lissa-published", "unrolled-p-constant", "unrolled-tangent"


def estimators(points: Points, model: Clusterer) -> dict[str, Callable[[], Estimator]]:
    """What makes each estimator of the study, by name; those that do not apply refuse in a sentence.

    GMRES is left out: it solves the system that ``inverse-hessian`` solves densely. The GGN of cross-entropy does not
    depend on its targets, so that one GGN serves both losses (P constant).
    """
    layers, loss = Logits(model), nn.CrossEntropyLoss()
    return {
        "unrolled": Unrolled,
        "gradient-dot": GradientDot,
        "tracin": lambda: TracIn(every=10),
        "inverse-hessian": lambda: InverseHessian(damping=DAMPING),
        "inverse-hessian-damping-0.05": lambda: InverseHessian(damping=EARLY_STOPPING),
        "inverse-hessian-absolute": lambda: InverseHessian("absolute", damping=DAMPING),
        "inverse-hessian-cg": lambda: InverseHessian(solver=ConjugateGradient(), damping=DAMPING),
        "inverse-hessian-arnoldi": lambda: InverseHessian(solver=Arnoldi(), damping=DAMPING),
        "inverse-hessian-ggn": lambda: InverseHessian(ggn(layers, loss, points.x, points.y), damping=DAMPING),
        "inverse-hessian-ekfac": lambda: InverseHessian(ekfac(layers, loss, points.x, points.y), damping=DAMPING),
        PUBLISHED: PublishedLissa,
    }


class Logits(nn.Module):
    """Log q, whose softmax is q: what a cross-entropy takes."""

    def __init__(self, model: Clusterer) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Log q of the points x (n, 2)."""
        return self.model(x).log()


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
        field, theta, w = constant_target(trajectory.field), trajectory.theta, trajectory.weights
        each = field.ordered([[i] for i in range(field.samples)])
        v = torch.stack([torch.func.grad(lambda t, f=f: f(field.view(t)))(theta) for f in objectives])
        h = v.clone()
        for i in range(field.samples):
            curved = each.at(theta, w, i).pullback(h, each.accumulator(len(h)))
            h = v + (1 - self.damping) * h - curved / self.scale
        field.at(theta, w, FULL_BATCH).weight_gradient(-h, into)


def constant_target(field: cl.TorchField) -> cl.TorchField:
    """The same field, whose derivative takes the target for a constant, as the published code does."""
    frozen = field.frozen
    if frozen is None:
        return field
    other = copy.copy(field)
    other.frozen = lambda view, w: frozen(view, w).detach()
    return other


def unrolled_p_constant(run: cl.Run, objectives: Sequence[Objective]) -> Tensor:
    """Unrolled scores (k, n) that leave out dP/dtheta and dP/dw: what goes wrong without ``frozen``."""
    return Unrolled()(run.trajectory.changed(field=constant_target(run.field)), objectives).samples()


def tangents(run: cl.Run) -> Tensor:
    """D theta_T / d w_i in row i, (n, p): ``predict(without=[i])`` of every sample is theta minus row i (w = 1)."""
    coordinates = cl.objectives.each(
        lambda view, j: torch.cat([p.reshape(-1) for p in view.values()])[j], torch.arange(len(run.theta))
    )
    return Unrolled()(run.trajectory, coordinates).samples().T.contiguous()
