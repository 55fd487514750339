"""A training run of a torch field, in memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import FULL_BATCH, Optimiser, UserError
from crossloss.estimators.trained import NoRun
from crossloss.inputs import not_negative, weight_numbers
from crossloss.models.torch import ModelView, TorchField, check_field
from crossloss.models.torch.finite import check_finite
from crossloss.run.progress import Track, quiet
from crossloss.run.settings import parse_bytes
from crossloss.run.training import MemoryStates, Training, retrained, spacing


@dataclass(eq=False)
class FieldRun:
    """A trained model with all that its scores need.

    Attributes
    ----------
    field : TorchField
    training : Training
        The trajectory; of no steps where the model was trained elsewhere.
    """

    field: TorchField
    training: Training

    @property
    def theta(self) -> Tensor:
        """Final parameters (p,), a copy."""
        return self.training.theta

    @property
    def view(self) -> ModelView:
        """Final parameters by name, and the model with them: what an objective is called with."""
        return self.field.view(self.theta)

    @property
    def weights(self) -> Tensor:
        """Sample weights it was trained with, (n,) float64, a copy."""
        return self.training.weights.clone()

    @property
    def loss(self) -> float:
        """Final training loss over all samples."""
        return self.field.loss(self.theta, self.weights)

    def retrain(self, weights: object, *, initial: Tensor | None = None, track: Track = quiet) -> Tensor:
        """Final parameters (p,) of the same run with other weights or another start; nothing is stored.

        Raises
        ------
        UserError
            The model was trained elsewhere, or the weights do not fit.
        """
        training = self.training
        w = sample_weights(self.field, weights)
        theta = training.initial if initial is None else initial
        if not isinstance(theta, Tensor) or theta.shape != training.initial.shape:
            raise UserError(f"initial must be a tensor of the {len(training.initial)} parameters, as run.theta is.")
        return retrained(self.field, training.optimiser, w, theta, training.steps, track)


def sample_weights(field: TorchField, weights: object) -> Tensor:
    """Weights (n,) float64; 1 for every sample where None.

    Raises
    ------
    UserError
        As ``inputs.weight_numbers``: another length, a boolean mask, no numbers, or weights that are not finite.
    """
    if weights is None:
        return torch.ones(field.samples, dtype=torch.float64, device=field.device)
    return torch.from_numpy(weight_numbers(weights, field.samples, "the field")).to(field.device)


def trained(field: TorchField, weights: object = None) -> FieldRun:
    """A model trained elsewhere, at the parameters that its module had when the field was made.

    Estimators of the final parameters score it (inverse Hessian, gradient dot); those of a run say that there is none.

    Raises
    ------
    UserError
        Weights that do not fit; losses or parameters that are not finite.
    """
    w, states = sample_weights(field, weights), MemoryStates()
    check_finite(field, field.initial, w, FULL_BATCH)
    states.put(0, {"theta": field.initial})
    return FieldRun(field, Training(field, NoRun(), w, 0, field.initial, states))


def train_field(
    field: TorchField,
    optimiser: Optimiser,
    *,
    steps: int,
    weights: object = None,
    memory: str = "4GB",
    track: Track = quiet,
) -> FieldRun:
    """Train a torch field from its module's parameters.

    Parameters
    ----------
    field : TorchField
    optimiser : SGD, Adam, AdamW or any ``core.Optimiser``
    steps : int
        Optimiser steps (mini-batches, not epochs).
    weights : (n,) array or tensor, optional
        Sample weights, 1 by default. 0 leaves a sample out and still scores it.
    memory : str
        Budget for stored states, such as "4GB": fewer are stored and more replayed where it is small.
    track : Track
        ``cl.bars`` shows progress.

    Raises
    ------
    UserError
        Something in the field is detached or random (``check_field``), the states do not fit, or training diverged.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UserError(f"steps is {steps!r}: it must be a whole number, at least 1.")
    w = sample_weights(field, weights)
    not_negative(w.cpu().numpy())
    check_field(field, field.initial, w)
    state = optimiser.init(field.initial)
    size = field.layout.initial.numel() * field.layout.initial.element_size()
    try:
        every = spacing(steps, len(state) * size, (1 + len(optimiser.needs)) * size, parse_bytes(memory))
    except UserError:
        raise UserError(
            f"The states of this run do not fit into memory={memory}: raise it, or train fewer steps."
        ) from None
    training = Training(field, optimiser, w, steps, field.initial, MemoryStates(), every)
    with track("training") as progress:
        training.finish(progress)
    return FieldRun(field, training)
