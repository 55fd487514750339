"""One optimiser step on the loss of one sample: sparse in its words, exact in their negatives."""

import numpy as np
import torch
from torch import Tensor

from crossloss.models.skipgram.field import SkipGramField


class SampleSteps:
    """Plain steps theta <- theta - rate D^-1 d l_i, l_i = dL/dw_i being what sample i of weight 1 adds to the loss.

    A sample of q words touches q rows of U; its negatives are the noise distribution itself, so they reach every
    row of C: 6 q V d flops a step, and no V x V matrix. ``samples`` are those that will be stepped on.
    """

    def __init__(self, field: SkipGramField, samples: np.ndarray) -> None:
        self.field = field
        self._scale_u, self._scale_c = field.step_scale().view(2, field.size, field.dimension)[:, :, 0].contiguous()
        self._gathered = {int(i): self._gather(int(i)) for i in np.unique(samples)}

    def _gather(self, sample: int) -> tuple[Tensor, ...]:
        """Words (q,), and of its ordered pairs the place of the word, the context, X/N; and k X_w/N (q, 1)."""
        field = self.field
        row = field.counts.matrix[sample]
        a, b = field.counts.pairs[row.indices].astype(np.int64).T
        count, apart = row.data.astype(np.float64) / field.total, a != b
        word, context = np.concatenate([a, b[apart]]), np.concatenate([b, a[apart]])
        count = np.concatenate([count, count[apart]])
        words, place = np.unique(word, return_inverse=True)
        mass = np.bincount(place, count, len(words))[:, None] * field.negatives
        rows = (torch.from_numpy(v).to(field.device) for v in (words, place, context))
        return *rows, field.tensor(count), field.tensor(mass)

    def step_(self, theta: Tensor, sample: int, rate: float) -> None:
        """Step ``theta`` (p,) in place; a negative rate ascends the sample's loss."""
        words, place, context, count, mass = self._gathered[sample]
        u, c = self.field.matrices(theta)
        before = u[words]
        sigma = torch.sigmoid(before @ c.T)
        residual = sigma * self.field.noise  # d l_i/dS in the words' rows, (q, V)
        residual *= mass
        residual.index_put_((place, context), count * (sigma[place, context] - 1), accumulate=True)
        u.index_add_(0, words, (residual @ c) * self._scale_u[words, None], alpha=-rate)
        c.addmm_((residual * self._scale_c).T, before, alpha=-rate)
