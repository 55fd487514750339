r"""The exact skip-gram field, over tiles.

With S = U C^T, the weighted counts X(w) = sum_i w_i X_i, their row sums X_w and the noise distribution p,

    L = -(1/N) sum_{w,c} { X[w,c] log s(S[w,c]) + k X_w p_c log s(-S[w,c]) } + (prior/2N) (|U|^2 + |C|^2),

so the expectation over negatives is exact (Levy and Goldberg 2014; paper Eq. 8 as meant). N, p and the
preconditioner are taken at the corpus's own weights and stay constants of the run (the preconditioner near these
weights: see ``SkipGramField.step_scale``).

The last term is a Gaussian prior on the vectors, in pseudo-counts of pairs: its minimum over all factorisations of S is
prior/N times the trace norm of S (Srebro, Rennie, Jaakkola 2005).

Both passes use that dL/dS[w,c] = r_w p_c rho[w,c] with r_w = k X_w/N, rho = s + x (s - 1) and x = X[w,c]/(N r_w p_c): r
and p go into the matrices outside, so the plane itself is touched by a sigmoid and at its observed pairs only.

Of several processes (``crossloss.utils.distributed``) each takes its own strips of words, or samples, and sums over the
processes make the same whole in all of them.
"""

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Field
from crossloss.models.skipgram.kernels import Kernels
from crossloss.models.skipgram.kernels import kernels as choose
from crossloss.models.skipgram.settings import PRIOR, Settings
from crossloss.models.skipgram.tiles import Tile, Tiling, cut, observe, strips
from crossloss.models.threads import one_core
from crossloss.text.pairs import PairCounts
from crossloss.text.vocabulary import Vocabulary
from crossloss.utils import distributed

Rows = TypeVar("Rows", np.ndarray, Tensor)
Kept = tuple[Tensor, int, tuple[Tensor, Tensor]]
"""Sample weights, their version, and what was made of them: values of the ordered pairs, and of the words."""
PRIOR_SHARE = 1 / 30
"""Part of a word's mean count of pairs that the prior stays below where none is given, so as to hold rare words."""
STRIPS = 300
"""Strips of words at most, so that a large vocabulary has no more than 90,000 tiles."""
LEAST_NOISE = 1e-20
"""Share of a context that no sample of the corpus has (only candidates do), so that one can divide by it."""


class SkipGramLoss(Field):
    """The part of a ``SkipGramField`` that goes over the plane of words and contexts: counts, loss, gradient."""

    def __init__(
        self,
        counts: PairCounts,
        vocabulary: Vocabulary,
        weights: np.ndarray,
        settings: Settings,
        tile: tuple[int, int] | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        self.counts, self.vocabulary = counts, vocabulary
        self.dimension, negatives = settings.dimension, settings.negatives
        self.dtype, self.device = settings.torch_dtype, torch.device(settings.device)
        self.size = len(vocabulary.words)
        self.parameters = 2 * self.size * self.dimension
        self.kernels = kernels or choose(self.size, self.dimension, self.dtype, self.device)
        least = math.ceil(self.size / STRIPS)
        largest = tile or (max(self.kernels.tile[0], least), max(self.kernels.tile[1], least))
        exactly = tile is not None
        self.tiling = Tiling(counts.pairs, self.size, largest=largest, exactly=exactly, device=self.device)
        products = self.kernels.products(self.dtype, self.device)
        self.product, self.sigmoid, self.add = products.plain, products.sigmoid, products.add
        self.first, self.second = (counts.pairs[:, i].astype(np.int64) for i in (0, 1))

        rows = self._row_sums(self._unordered(weights))
        self.total, self.negatives = float(rows.sum()), negatives
        self.prior = default_prior(rows) if settings.prior is None else settings.prior
        self.shrinkage = self.prior / self.total
        powered = np.where(rows > 0, rows, 1.0) ** settings.exponent * (rows > 0)
        noise = powered / powered.sum()
        self.noise = self.tensor(np.maximum(noise, LEAST_NOISE))
        self.precision = self.tensor(np.stack(frequencies(rows, noise, negatives)) / self.total)
        self._ratios: Kept | None = None

    def tensor(self, values: np.ndarray) -> Tensor:
        """The values in the field's dtype, on its device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def _unordered(self, weights: np.ndarray) -> np.ndarray:
        """X(w) on the unordered pairs, (m,) float64, a block of samples at a time."""
        total = np.zeros(len(self.counts.pairs))
        for rows, block in self.counts.blocks():
            total += block.T @ weights[rows]
        return distributed.add_(torch.from_numpy(total)).numpy()

    def _row_sums(self, unordered: np.ndarray) -> np.ndarray:
        """X_w, (V,): both orders of each pair, the diagonal once."""
        apart = unordered * (self.first != self.second)
        return np.bincount(self.first, unordered, self.size) + np.bincount(self.second, apart, self.size)

    def ratios(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Give x on the ordered pairs and r on the words, as above; kept until the weights change."""
        found = kept_of(self._ratios, w)
        if found is None:
            count, rows = self.weighted_counts(w)
            x = torch.zeros_like(count)
            for tile in self.tiling:
                mine, dense = count[tile.pairs], torch.outer(rows[tile.rows], self.noise[tile.columns]).view(-1)
                x[tile.pairs] = torch.where(mine == 0, mine, mine / dense.index_select(0, tile.local))
            found = x, rows
            self._ratios = w, w._version, found
        return found

    def weighted_counts(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Give X(w)/N on the ordered pairs and r on the words."""
        unordered = self._unordered(w.detach().cpu().double().numpy())
        rows = self.tensor(self._row_sums(unordered) * (self.negatives / self.total))
        return self.tensor(unordered / self.total).index_select(0, self.tiling.source), rows

    def matrices(self, theta: Tensor) -> tuple[Tensor, ...]:
        """U and C, (V, d) each, of parameters (p,): views."""
        return theta.view(2, self.size, self.dimension).unbind()

    def loss(self, theta: Tensor, w: Tensor) -> float:
        """Training loss L(theta, w), nats per pair, the prior in it."""
        return self.data_loss(theta, w) + self.shrinkage / 2 * float(theta.double().square().sum())

    def data_loss(self, theta: Tensor, w: Tensor) -> float:
        """The pairs' part of the loss, without the prior: nats per pair of the corpus."""
        observed, rows = self.ratios(w)
        u, c = self.matrices(theta)
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        for tile in self.tiling:
            s = self.product(u[tile.rows], c[tile.columns])
            # -log s(-S) = softplus(S) everywhere, and x (-log s(S)) = x (softplus(S) - S) at the observed pairs.
            local = tile.local.long()
            at = s.view(-1).index_select(0, local)
            plane = torch.nn.functional.softplus(s)
            plane.view(-1).index_add_(0, local, observed[tile.pairs] * torch.nn.functional.softplus(-at))
            loss += rows[tile.rows] @ (plane @ self.noise[tile.columns])
        return float(distributed.add_(loss))

    def gradient(self, theta: Tensor, w: Tensor, step: int = 0) -> Tensor:
        """g_t(theta, w), (p,): of all negatives the gradient of the loss."""
        return self.data_gradient(theta, w, step).add_(theta, alpha=self.shrinkage)

    @one_core()
    def data_gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """The pairs' part of the gradient, linear in ``w``, (p,); 6 V^2 d flops."""
        observed, rows = self.ratios(w)
        u, c = self.matrices(theta)
        strips_u = strips(rows[:, None] * u, self.tiling.rows)
        strips_c = strips(self.noise[:, None] * c, self.tiling.columns)
        us, cs = cut(u, self.tiling.rows), cut(c, self.tiling.columns)

        def add(tile: Tile, grad_u: Tensor, grad_c: Tensor) -> None:
            rho = self.sigmoid(us[tile.row], cs[tile.column])
            observe(rho.view(-1), tile.local.long(), observed[tile.pairs])
            self.add(grad_u, strips_c[tile.column], rho)
            self.add(grad_c, strips_u[tile.row], rho.T)

        return self.tiling.sums(self.dimension, rows, self.noise, add).view(-1)


def kept_of(kept: Kept | None, w: Tensor) -> tuple[Tensor, Tensor] | None:
    """What was kept of these very weights; None where they are others, or were changed."""
    return kept[2] if kept is not None and kept[0] is w and kept[1] == w._version else None


def default_prior(rows: np.ndarray) -> float:
    """Pseudo-counts that suit a corpus whose words have ``rows`` (V,) pairs each."""
    return min(PRIOR, PRIOR_SHARE * float(rows[rows > 0].mean()))


def frequencies(rows: Rows, noise: Rows, negatives: float) -> tuple[Rows, Rows]:
    """How often each word and each context (V,) is stepped on, where words have ``rows`` (V,) pairs."""
    return rows * (1 + negatives), rows + negatives * noise * rows.sum()
