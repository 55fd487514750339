r"""The exact skip-gram field: gradient and transposed Jacobian product over tiles.

With S = U C^T, the weighted counts X(w) = sum_i w_i X_i, their row sums X_w and the noise distribution p,

    L = -(1/N) sum_{w,c} { X[w,c] log s(S[w,c]) + k X_w p_c log s(-S[w,c]) } + (prior/2N) (|U|^2 + |C|^2),

so the expectation over negatives is exact (Levy and Goldberg 2014; paper Eq. 8 as meant). N, p and the
preconditioner are taken at the corpus's own weights and stay constants of the run.

The last term is a Gaussian prior on the vectors, in pseudo-counts of pairs: its minimum over all factorisations of S is
prior/N times the trace norm of S (Srebro, Rennie, Jaakkola 2005). It keeps the vectors of rare words short, and of the
null directions (U X, C X^-T) only the rotations are left, which no objective of cosines sees.

Both passes use that dL/dS[w,c] = r_w p_c rho[w,c] with r_w = k X_w/N, rho = s + x (s - 1) and x = X[w,c]/(N r_w p_c): r
and p go into the matrices outside, so the plane itself is touched by a sigmoid and at its observed pairs only.

Everything here is a sum over strips of words, or over samples: of several processes (``crossloss.distributed``) each
takes its own, and sums over the processes make the same whole in all of them.
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from crossloss import distributed
from crossloss.core import Accumulator, Invertible
from crossloss.models.skipgram.curvature import curvature, pushforward
from crossloss.models.skipgram.embeddings import Embeddings, initial_vectors
from crossloss.models.skipgram.products import products
from crossloss.models.skipgram.text import log_likelihood
from crossloss.models.skipgram.threads import each_in_a_thread, one_core
from crossloss.models.skipgram.tiles import Tiling
from crossloss.text.pairs import PairCounts
from crossloss.text.vocabulary import Vocabulary

ROWS_AT_ONCE = 20_000
PRIOR, PRIOR_SHARE = 10.0, 1 / 30
"""Pseudo-counts of the prior where none are given, and the part of a word's mean count of pairs that they stay below:
so that they hold rare words and not all words, in a corpus of a few hundred sentences too (docs/performance.md)."""
LEAST_NOISE = 1e-20
"""Share of a context that no sample of the corpus has (only candidates do), so that one can divide by it."""


class SkipGramField:
    """The field of exact skip-gram with negative sampling.

    Parameters
    ----------
    counts : PairCounts
        Samples x unordered pairs, with expected counts.
    vocabulary : Vocabulary
        Words by row, V of them.
    weights : (n,) array
        The corpus's own weights (1, candidates 0): they fix N, p and the preconditioner.
    dimension : int
        d, the length of a vector.
    negatives : float
        k > 0, expected negatives for each observed pair.
    exponent : float
        p_c ~ X_c ** exponent (word2vec: .75).
    prior : float or None
        Pseudo-counts of the Gaussian prior on both matrices; 0 for none, None for what suits the corpus
        (``default_prior``).
    dtype, device : torch
        float32 or float64; any torch device.
    tile : (int, int), optional
        Words x contexts held at once.
    """

    def __init__(
        self,
        counts: PairCounts,
        vocabulary: Vocabulary,
        weights: np.ndarray,
        *,
        dimension: int,
        negatives: float = 5.0,
        exponent: float = 0.75,
        prior: float | None = 0.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        tile: tuple[int, int] | None = None,
    ) -> None:
        self.counts, self.vocabulary = counts, vocabulary
        self.dimension, self.negatives = dimension, negatives
        self.dtype, self.device = dtype, torch.device(device)
        self.size = len(vocabulary.words)
        self.parameters = 2 * self.size * dimension
        self.tiling = Tiling(counts.pairs, self.size, shape=tile, device=self.device)
        self._product, self._sigmoid = products(dtype, self.device)
        self._first, self._second = (counts.pairs[:, i].astype(np.int64) for i in (0, 1))

        total = self._unordered(weights)
        rows = self._row_sums(total)
        self.total = float(rows.sum())
        self.prior = default_prior(rows) if prior is None else prior
        self.shrinkage = self.prior / self.total
        powered = np.where(rows > 0, rows, 1.0) ** exponent * (rows > 0)
        noise = powered / powered.sum()
        per_word = rows * (1 + negatives) / self.total
        per_context = (rows + negatives * noise * self.total) / self.total
        self.noise = self._tensor(np.maximum(noise, LEAST_NOISE))
        self._precision = self._tensor(np.stack([per_word, per_context]))
        self._weighted: tuple[Tensor, int, Tensor, Tensor] | None = None
        self._start: Tensor | None = None

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def _unordered(self, weights: np.ndarray) -> np.ndarray:
        """X(w) on the unordered pairs, (m,) float64, a block of samples at a time."""
        matrix, total = self.counts.matrix, np.zeros(self.counts.matrix.shape[1])
        for rows in _blocks(matrix.shape[0]):
            total += matrix[rows].T @ weights[rows]
        return distributed.add_(torch.from_numpy(total)).numpy()

    def _row_sums(self, unordered: np.ndarray) -> np.ndarray:
        """X_w, (V,): both orders of each pair, the diagonal once."""
        rows = np.bincount(self._first, unordered, self.size)
        apart = unordered * (self._first != self._second)
        return rows + np.bincount(self._second, apart, self.size)

    def _at(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Give x on the ordered pairs and r on the words, as above; kept until the weights change."""
        if self._weighted is None or self._weighted[0] is not w or self._weighted[1] != w._version:
            unordered = self._unordered(w.detach().cpu().double().numpy())
            rows = self._tensor(self._row_sums(unordered) * (self.negatives / self.total))
            x = self._tensor(unordered / self.total).index_select(0, self.tiling.source)
            for tile in self.tiling:
                mine, dense = x[tile.pairs], torch.outer(rows[tile.rows], self.noise[tile.columns]).view(-1)
                mine.copy_(torch.where(mine == 0, mine, mine / dense.index_select(0, tile.local)))
            self._weighted = (w, w._version, x, rows)
        return self._weighted[2], self._weighted[3]

    def _matrices(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        u, c = theta.view(2, self.size, self.dimension)
        return u, c

    def initial(self, seed: int) -> Tensor:
        """Initial parameters (p,) from the seed and the words."""
        return self._tensor(initial_vectors(self.vocabulary.words, self.dimension, seed)).view(-1)

    def started(self, theta: Tensor) -> "SkipGramField":
        """The same field in a run from these initial parameters (p,): its view shows where each word began."""
        field = copy.copy(self)
        field._start = theta.detach()
        return field

    def step_scale(self) -> Tensor:
        """1/D, (p,): D is the frequency of each word and context, and 2 prior/N; 0 for a row that is never trained.

        Twice, so that the prior's part of the curvature is at most half of D: (H + r)/(D + 2 r) <= max(H/D, 1/2), and
        no prior, however strong, makes a step size unstable that was not.
        """
        inverse = torch.where(self._precision > 0, 1 / (self._precision + 2 * self.shrinkage), 0.0)
        return inverse.unsqueeze(2).expand(2, self.size, self.dimension).reshape(-1)

    def view(self, theta: Tensor) -> Embeddings:
        """Words with their vectors: all that an objective sees."""
        u, c = self._matrices(theta)
        start = None if self._start is None else self._matrices(self._start)[0]
        return Embeddings(self.vocabulary.words, self.vocabulary.index, u, c, start, self)

    def log_likelihood(self, vectors: Tensor, contexts: Tensor, sentences: Sequence[str]) -> Tensor:
        """Mean log-likelihood of a text's pairs, with their negatives: see ``skipgram.text``."""
        return log_likelihood(self, vectors, contexts, sentences)

    def _strips(self, matrix: Tensor, cut: list[slice]) -> list[Tensor]:
        """The transposed matrix (V, m) in strips (m, length), each contiguous."""
        return [matrix[part].T.contiguous() for part in cut]

    def loss(self, theta: Tensor, w: Tensor) -> float:
        """Training loss L(theta, w), nats per pair, the prior in it."""
        return self.data_loss(theta, w) + self.shrinkage / 2 * float(theta.double().square().sum())

    def data_loss(self, theta: Tensor, w: Tensor) -> float:
        """The pairs' part of the loss, without the prior: nats per pair of the corpus."""
        observed, rows = self._at(w)
        u, c = self._matrices(theta)
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        for tile in self.tiling:
            s = self._product(u[tile.rows], c[tile.columns])
            # -log s(-S) = softplus(S) everywhere, and x (-log s(S)) = x (softplus(S) - S) at the observed pairs.
            local = tile.local.long()
            at = s.view(-1).index_select(0, local)
            plane = torch.nn.functional.softplus(s)
            missed = torch.nn.functional.softplus(-at)
            plane.view(-1).index_add_(0, local, observed[tile.pairs] * missed)
            loss += rows[tile.rows] @ (plane @ self.noise[tile.columns])
        return float(distributed.add_(loss))

    def gradient(self, theta: Tensor, w: Tensor, step: int = 0) -> Tensor:
        """g_t(theta, w), (p,): of all negatives the gradient of the loss."""
        return self._data_gradient(theta, w, step).add_(theta, alpha=self.shrinkage)

    @one_core()
    def _data_gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """The pairs' part of the gradient, linear in ``w``, (p,); 6 V^2 d flops."""
        observed, rows = self._at(w)
        u, c = self._matrices(theta)
        side_u = self._strips(rows[:, None] * u, self.tiling.rows)
        side_c = self._strips(self.noise[:, None] * c, self.tiling.columns)
        grad_u = [torch.zeros_like(strip) for strip in side_u]
        shares = self.tiling.shares()
        # Each thread has its own words, and its own part of every context.
        parts_c = [[torch.zeros_like(strip) for strip in side_c] for _ in shares]

        def work(share: int) -> None:
            grad_c = parts_c[share]
            for tile in shares[share]:
                rho = self._sigmoid(u[tile.rows], c[tile.columns])
                self._observe(rho.view(-1), tile.local.long(), observed[tile.pairs])
                grad_u[tile.row].add_(self._product(side_c[tile.column], rho))
                grad_c[tile.column].add_(self._product(side_u[tile.row], rho.T))

        each_in_a_thread(work, range(len(shares)))
        both = torch.stack([self._joined(grad_u, rows), self._joined(_summed(parts_c), self.noise)])
        return distributed.add_(both).view(-1)

    @staticmethod
    def _observe(sigma: Tensor, local: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Make rho of sigma, in place; returns sigma and sigma - 1 at the observed pairs."""
        at = sigma.index_select(0, local)
        missed = at - 1
        sigma.scatter_(0, local, torch.addcmul(at, x, missed))
        return at, missed

    @staticmethod
    def _joined(strips: list[Tensor], scale: Tensor) -> Tensor:
        """Strips (m, length) put together and turned, (V, m), each row times its scale (V,)."""
        return torch.cat(strips, dim=1).T * scale[:, None]

    def accumulator(self, k: int) -> "PairInfluence":
        """Zero pair influences for k directions."""
        return PairInfluence(self, k)

    def pullback(self, theta: Tensor, w: Tensor, step: int, a: Tensor, into: Accumulator) -> Tensor:
        """J^T a (k, p), and the pair influences of the same pass into ``into``."""
        return self._data_pullback(theta, w, step, a, into).add_(a, alpha=self.shrinkage)

    @one_core()
    def _data_pullback(self, theta: Tensor, w: Tensor, step: int, a: Tensor, into: Accumulator) -> Tensor:
        """The pairs' part of a pullback, (k, p); (2 + 12 k) V^2 d flops.

        With dS = A C^T + U B^T for a direction (A, B), d<g, a>/dX[w,c] = -(1/N) s(-S) dS + b[w] and
        b[w] = (k/N) sum_c p_c s(S[w,c]) dS[w,c].
        """
        assert isinstance(into, PairInfluence)
        observed, rows = self._at(w)
        u, c = self._matrices(theta)
        k, d = a.shape[0], self.dimension
        stacked = a.view(k, 2, self.size, d)
        # Directions side by side, (V, k d), share one product with rho.
        all_a, all_b = (stacked[:, i].transpose(0, 1).reshape(self.size, k * d) for i in (0, 1))
        side_a = self._strips(rows[:, None] * all_a, self.tiling.rows)
        side_b = self._strips(self.noise[:, None] * all_b, self.tiling.columns)
        side_u = self._strips(rows[:, None] * u, self.tiling.rows)
        side_c = self._strips(self.noise[:, None] * c, self.tiling.columns)
        left = [torch.cat([of_u, u], dim=1) for of_u in stacked[:, 0]]
        right = [torch.cat([c, of_c], dim=1) for of_c in stacked[:, 1]]
        out_u = [torch.zeros_like(strip) for strip in side_a]
        shares = self.tiling.shares()
        parts_c = [[torch.zeros_like(strip) for strip in side_b] for _ in shares]

        def work(share: int) -> None:
            out_c = parts_c[share]
            for tile in shares[share]:
                x, local = observed[tile.pairs], tile.local.long()
                sigma = self._sigmoid(u[tile.rows], c[tile.columns])
                at, missed = self._observe(sigma.view(-1), local, x)
                out_u[tile.row].add_(self._product(side_b[tile.column], sigma))
                out_c[tile.column].add_(self._product(side_a[tile.row], sigma.T))
                sigma.view(-1).scatter_(0, local, at)
                # d rho/dS = s (1 - s) (1 + x): the second factor, with the third at the observed pairs.
                slope = 1 - sigma
                slope.view(-1).scatter_(0, local, torch.addcmul(missed, missed, x).neg_())
                missed /= self.total
                for j in range(k):
                    mine = slice(j * d, (j + 1) * d)
                    ds = self._product(left[j][tile.rows], right[j][tile.columns])
                    into.pairs[j, tile.pairs].addcmul_(missed, ds.view(-1).index_select(0, local))
                    ds.mul_(sigma)
                    into.words[j, tile.rows].addmv_(ds, self.noise[tile.columns], alpha=self.negatives / self.total)
                    ds.mul_(slope)
                    out_u[tile.row][mine].add_(self._product(side_c[tile.column], ds))
                    out_c[tile.column][mine].add_(self._product(side_u[tile.row], ds.T))

        each_in_a_thread(work, range(len(shares)))
        both = torch.stack([self._joined(out_u, rows), self._joined(_summed(parts_c), self.noise)])
        return distributed.add_(both).view(2, self.size, k, d).permute(2, 0, 1, 3).reshape(k, -1)

    def curvature(self, kind: str, theta: Tensor, w: Tensor) -> Invertible:
        """The curvature ``kind`` of the training loss: see ``skipgram.curvature``."""
        return curvature(self, kind, theta, w)

    def pushforward(self, theta: Tensor, w: Tensor, step: int, dtheta: Tensor, dw: Tensor) -> Tensor:
        """Derivative (p,) of the gradient in the direction (dtheta, dw)."""
        return pushforward(self, theta, w, dtheta, dw)

    def _along_weights(self, along: Tensor, theta: Tensor, dw: Tensor, step: int) -> Tensor:
        """Add (dg_t/dw) dw to ``along`` (p,): by sign, so that no word's weighted count is a difference."""
        for sign in (1, -1):
            part = (sign * dw).clamp(min=0)
            if bool(part.any()):
                along.add_(self._data_gradient(theta, part, step), alpha=sign)
        return along


def default_prior(rows: np.ndarray) -> float:
    """Pseudo-counts that suit a corpus whose words have ``rows`` (V,) pairs each."""
    return min(PRIOR, PRIOR_SHARE * float(rows[rows > 0].mean()))


def _summed(parts: list[list[Tensor]]) -> list[Tensor]:
    """Sum of every thread's strips, in the order of the threads."""
    return [torch.stack(strips).sum(0) if len(strips) > 1 else strips[0] for strips in zip(*parts, strict=True)]


class PairInfluence:
    """Sums of d<g, a>/dX[w,c] over steps: one number an ordered pair and one a word, for k directions.

    Of several processes each has those of its own words; ``unordered`` and ``samples`` are of all.

    Attributes
    ----------
    pairs : (k, o) tensor
        The part of each ordered pair, in the tiles' order.
    words : (k, V) tensor
        The dense part: b[w], the negatives that come with each observation of w.
    """

    def __init__(self, field: SkipGramField, k: int) -> None:
        self.field = field
        self.pairs = torch.zeros(k, len(field.tiling), dtype=field.dtype, device=field.device)
        self.words = torch.zeros(k, field.size, dtype=field.dtype, device=field.device)

    def tensors(self) -> dict[str, Tensor]:
        """The live sums."""
        return {"pairs": self.pairs, "words": self.words}

    def unordered(self) -> np.ndarray:
        """D f/d(count of a pair, in both orders), (k, m) float64."""
        field = self.field
        apart = field._first != field._second
        both = np.empty((len(self.pairs), len(apart)))
        dense = distributed.add_(self.words.to(torch.float64, copy=True)).cpu().numpy()
        for row, pairs, words in zip(both, self.pairs, dense, strict=True):
            row[:] = distributed.add_(field.tiling.fold(pairs.double())).cpu().numpy()
            row += words[field._first]
            row += words[field._second] * apart
        return both

    def samples(self) -> Tensor:
        """Scores (k, n) float64: each sample's counts times the pair influences."""
        return torch.from_numpy(np.ascontiguousarray(project(self.field.counts.matrix, self.unordered())))


def project(matrix: scipy.sparse.csr_matrix, pairs: np.ndarray) -> np.ndarray:
    """Sums (k, n) of pair values (k, m) over the samples of a CSR matrix, a block of samples at a time."""
    sums = np.zeros((len(pairs), matrix.shape[0]))
    for rows in _blocks(matrix.shape[0]):
        sums[:, rows] = (matrix[rows] @ pairs.T).T
    return distributed.add_(torch.from_numpy(sums)).numpy()


def _blocks(samples: int) -> Iterator[slice]:
    """Yield the samples of this process, some at a time."""
    mine = distributed.part(samples)
    for start in range(mine.start, mine.stop, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, mine.stop))
