"""The gradient of a torch field: what its optimiser receives."""

import torch
from torch import Tensor

from crossloss.core import FULL_BATCH
from crossloss.models.torch.batches import Batches
from crossloss.models.torch.finite import refuse_not_finite
from crossloss.models.torch.influence import SampleInfluence
from crossloss.models.torch.module import gradient_of
from crossloss.utils import distributed


class Gradients(Batches):
    """The part of a ``TorchField`` that sums losses and gradients over its samples and over processes."""

    def accumulator(self, k: int) -> SampleInfluence:
        """Zero sums for k directions."""
        return SampleInfluence(torch.zeros(k, self.samples, dtype=torch.float64, device=self.device))

    def loss(self, theta: Tensor, w: Tensor, step: int = FULL_BATCH) -> float:
        """Training loss of a step; as a whole by default."""
        w = w.to(theta)
        with self.few_threads(self.batch(step)), torch.no_grad():
            target = self.frozen_target(theta, w)
            values = [self.part_loss(theta, w[part.rows], part, target) for part in self.own_parts(step)]
            penalty = float(self.penalty(theta)) if self.regulariser else 0.0
        total = torch.tensor(sum(float(value) for value in values), dtype=torch.float64)
        return float(distributed.add_(total)) + penalty

    def gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """g_t(theta, w), (p,): what the optimiser receives; UserError that names a sample where it is not finite."""
        with self.few_threads(self.batch(step)):
            return self._gradient(theta, w.to(theta), step)

    def _gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        with torch.no_grad():
            target = self.frozen_target(theta, w)
        return self.whole_gradient(theta, w, step, self.own_gradient(theta, w, self.own_parts(step), target))

    def whole_gradient(self, theta: Tensor, w: Tensor, step: int, own: Tensor) -> Tensor:
        """The gradient of a step (p,), of what this process's parts gave, which is added to in place."""
        total = distributed.add_(own)
        if self.regulariser:
            y = theta.detach().requires_grad_(True)
            total += gradient_of(self.penalty(y), y)
        if not bool(torch.isfinite(total.sum())):
            refuse_not_finite(self, theta, w, step)
        return total
