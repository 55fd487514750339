"""Many retrainings of one run at once, stacked by ``torch.func.vmap``."""

import torch
from torch import Tensor

from crossloss.core import Progress, UserError
from crossloss.models.torch import TorchField
from crossloss.run.run import Run
from crossloss.studies.mixture.model import field_of


def retrain(run: Run, weights: Tensor, progress: Progress | None = None) -> Tensor:
    """Final parameters (m, p) of the same run with each row of ``weights`` (m, n), from its start, optimiser afresh.

    Field, loss, target, optimiser and steps are the run's own; equal to ``run.retrain`` row by row.

    Raises
    ------
    UserError
        A field with mini-batches, dropout or a regulariser, or a retraining diverged.
    """
    field, training = field_of(run), run.trajectory
    if field.order is not None or field.dropout_seed is not None or field.regulariser is not None:
        raise UserError("Only full-batch fields without dropout and regulariser are retrained together: use retrain.")
    gradient = torch.vmap(torch.func.grad(lambda theta, w: _loss(field, theta, w)))
    w = weights.to(training.initial)
    state = training.optimiser.init(training.initial.expand(len(w), -1).contiguous())
    for t in range(training.steps):
        state = training.optimiser.step(state, gradient(state["theta"], w).detach(), t)
        if progress:
            progress(t + 1, training.steps)
    if not bool(torch.isfinite(state["theta"]).all()):
        raise UserError("A retraining diverged: train with a smaller lr.")
    return state["theta"]


def leave_one_out(n: int) -> Tensor:
    """Weights (n, n) float64: row i is without sample i."""
    return 1 - torch.eye(n, dtype=torch.float64)


def _loss(field: TorchField, theta: Tensor, w: Tensor) -> Tensor:
    """Mean loss over all samples, its target constant."""
    view = field.view(theta)
    constant = () if field.frozen is None else (field.frozen(view, w).detach(),)
    losses = field.sample_loss(field.forward(view, field.rows), field.rows, *constant)
    return (w * losses).sum() / field.samples
