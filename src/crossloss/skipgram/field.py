r"""The exact skip-gram field: gradient and transposed Jacobian product over tiles.

With S = U C^T, the weighted counts X(w) = sum_i w_i X_i, their row sums X_w and the noise distribution p,

    L = -(1/N) sum_{w,c} { X[w,c] log s(S[w,c]) + k X_w p_c log s(-S[w,c]) },

so the expectation over negatives is exact (Levy and Goldberg 2014; paper Eq. 8 as meant). N, p and the
preconditioner are taken at the corpus's own weights and stay constants of the run.
"""

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from crossloss.core import Accumulator
from crossloss.corpus.pairs import PairCounts
from crossloss.corpus.vocabulary import Vocabulary
from crossloss.skipgram.embeddings import Embeddings, initial_vectors
from crossloss.skipgram.tiles import TILE_COLUMNS, TILE_ROWS, Tiling

ROWS_AT_ONCE = 20_000


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
        k, expected negatives for each observed pair.
    exponent : float
        p_c ~ X_c ** exponent (word2vec: .75).
    dtype, device : torch
        float32 or float64; any torch device.
    tile : (int, int)
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
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        tile: tuple[int, int] = (TILE_ROWS, TILE_COLUMNS),
    ) -> None:
        self.counts, self.vocabulary = counts, vocabulary
        self.dimension, self.negatives = dimension, negatives
        self.dtype, self.device = dtype, torch.device(device)
        self.size = len(vocabulary.words)
        self.parameters = 2 * self.size * dimension
        self.tiling = Tiling(counts.pairs, self.size, shape=tile, device=self.device)
        self._first, self._second = (counts.pairs[:, i].astype(np.int64) for i in (0, 1))

        total = self._unordered(weights)
        rows = self._row_sums(total)
        self.total = float(rows.sum())
        powered = np.where(rows > 0, rows, 1.0) ** exponent * (rows > 0)
        noise = powered / powered.sum()
        per_word = rows * (1 + negatives) / self.total
        per_context = (rows + negatives * noise * self.total) / self.total
        self.noise = self._tensor(noise)
        self._precision = self._tensor(np.stack([per_word, per_context]))
        self._weighted: tuple[Tensor, int, Tensor, Tensor] | None = None

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def _unordered(self, weights: np.ndarray) -> np.ndarray:
        """X(w) on the unordered pairs, (m,) float64, a block of samples at a time."""
        matrix, total = self.counts.matrix, np.zeros(self.counts.matrix.shape[1])
        for start in range(0, matrix.shape[0], ROWS_AT_ONCE):
            block = matrix[start : start + ROWS_AT_ONCE]
            total += block.T @ weights[start : start + ROWS_AT_ONCE]
        return total

    def _row_sums(self, unordered: np.ndarray) -> np.ndarray:
        """X_w, (V,): both orders of each pair, the diagonal once."""
        rows = np.bincount(self._first, unordered, self.size)
        apart = unordered * (self._first != self._second)
        return rows + np.bincount(self._second, apart, self.size)

    def _at(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """X(w)/N on the ordered pairs and k X_w/N on the words; kept until the weights change."""
        if self._weighted is None or self._weighted[0] is not w or self._weighted[1] != w._version:
            unordered = self._unordered(w.detach().cpu().double().numpy())
            rows = self._tensor(self._row_sums(unordered) * (self.negatives / self.total))
            observed = self._tensor(unordered / self.total).index_select(0, self.tiling.source)
            self._weighted = (w, w._version, observed, rows)
        return self._weighted[2], self._weighted[3]

    def _matrices(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        u, c = theta.view(2, self.size, self.dimension)
        return u, c

    def initial(self, seed: int) -> Tensor:
        """Initial parameters (p,) from the seed and the words."""
        return self._tensor(initial_vectors(self.vocabulary.words, self.dimension, seed)).view(-1)

    def step_scale(self) -> Tensor:
        """1/D, (p,): the inverse frequency of each word and context; 0 for a row that is never trained."""
        inverse = torch.where(self._precision > 0, 1 / self._precision, torch.zeros_like(self._precision))
        return inverse.unsqueeze(2).expand(2, self.size, self.dimension).reshape(-1)

    def view(self, theta: Tensor) -> Embeddings:
        """Words with their vectors: all that an objective sees."""
        u, c = self._matrices(theta)
        return Embeddings(self.vocabulary.words, self.vocabulary.index, u, c)

    def loss(self, theta: Tensor, w: Tensor) -> float:
        """Training loss L(theta, w), nats per pair."""
        observed, rows = self._at(w)
        u, c = self._matrices(theta)
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        for tile in self.tiling:
            s = u[tile.rows] @ c[tile.columns].T
            at_pairs = s.view(-1).index_select(0, tile.local)
            loss -= (observed[tile.pairs] * torch.nn.functional.logsigmoid(at_pairs)).sum()
            loss -= rows[tile.rows] @ (torch.nn.functional.logsigmoid(-s) @ self.noise[tile.columns])
        return float(loss)

    def gradient(self, theta: Tensor, w: Tensor, step: int = 0) -> Tensor:
        """Grad L(theta, w), (p,); 6 V^2 d flops."""
        observed, rows = self._at(w)
        u, c = self._matrices(theta)
        gradient = torch.zeros_like(theta)
        grad_u, grad_c = self._matrices(gradient)
        buffers = self._buffers(2)
        for tile in self.tiling:
            sigma, residual = (b[: tile.shape[0] * tile.shape[1]].view(tile.shape) for b in buffers)
            torch.mm(u[tile.rows], c[tile.columns].T, out=sigma).sigmoid_()
            self._residual(tile.local, observed[tile.pairs], rows[tile.rows], tile.columns, sigma, residual)
            grad_u[tile.rows].addmm_(residual, c[tile.columns])
            grad_c[tile.columns].addmm_(residual.T, u[tile.rows])
        return gradient

    def _buffers(self, number: int) -> list[Tensor]:
        size = self.tiling.shape[0] * self.tiling.shape[1]
        return [torch.empty(size, dtype=self.dtype, device=self.device) for _ in range(number)]

    def _residual(self, local: Tensor, x: Tensor, rows: Tensor, columns: slice, sigma: Tensor, out: Tensor) -> Tensor:
        """dL/dS on a tile into ``out``; returns sigma - 1 at the observed pairs."""
        torch.mul(sigma, rows[:, None], out=out).mul_(self.noise[columns])
        missed = sigma.view(-1).index_select(0, local).sub_(1)
        out.view(-1).scatter_add_(0, local.long(), x * missed)
        return missed

    def accumulator(self, k: int) -> "PairInfluence":
        """Zero pair influences for k directions."""
        return PairInfluence(self, k)

    def pullback(self, theta: Tensor, w: Tensor, step: int, a: Tensor, into: Accumulator) -> Tensor:
        """J^T a (k, p), and the pair influences of the same pass into ``into``; (2 + 12 k) V^2 d flops.

        With dS = A C^T + U B^T for a direction (A, B), d<g, a>/dX[w,c] = -(1/N) s(-S) dS + b[w] and
        b[w] = (k/N) sum_c p_c s(S[w,c]) dS[w,c].
        """
        assert isinstance(into, PairInfluence)
        observed, rows = self._at(w)
        u, c = self._matrices(theta)
        k, d = a.shape[0], self.dimension
        stacked = a.view(k, 2, self.size, d)
        # Directions side by side, (V, k d), share one product with the residual.
        side_a, side_b = (stacked[:, i].transpose(0, 1).reshape(self.size, k * d) for i in (0, 1))
        out_u, out_c = torch.zeros_like(side_a), torch.zeros_like(side_b)
        scale = self.negatives / self.total
        buffers = self._buffers(5)
        for tile in self.tiling:
            sigma, residual, curvature, ds, product = (
                b[: tile.shape[0] * tile.shape[1]].view(tile.shape) for b in buffers
            )
            r, q = tile.rows, tile.columns
            x = observed[tile.pairs]
            torch.mm(u[r], c[q].T, out=sigma).sigmoid_()
            missed = self._residual(tile.local, x, rows[r], q, sigma, residual)
            # Second derivative in S: (k X_w p_c + X) s(S) s(-S) / N.
            torch.mul(rows[r, None], self.noise[q], out=curvature)
            curvature.view(-1).scatter_add_(0, tile.local.long(), x)
            torch.addcmul(sigma, sigma, sigma, value=-1, out=product)
            curvature.mul_(product)
            out_u[r].addmm_(residual, side_b[q])
            out_c[q].addmm_(residual.T, side_a[r])
            missed /= self.total
            for j in range(k):
                mine = slice(j * d, (j + 1) * d)
                torch.mm(side_a[r, mine], c[q].T, out=ds).addmm_(u[r], side_b[q, mine].T)
                into.pairs[j, tile.pairs].addcmul_(missed, ds.view(-1).index_select(0, tile.local))
                torch.mul(sigma, ds, out=product)
                into.words[j, r].addmv_(product, self.noise[q], alpha=scale)
                ds.mul_(curvature)
                out_u[r, mine].addmm_(ds, c[q])
                out_c[q, mine].addmm_(ds.T, u[r])
        both = torch.stack([out_u, out_c]).view(2, self.size, k, d)
        return both.permute(2, 0, 1, 3).reshape(k, -1)


class PairInfluence:
    """Sums of d<g, a>/dX[w,c] over steps: one number an ordered pair and one a word, for k directions.

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

    def add_(self, other: Accumulator, scale: float = 1.0) -> None:
        """Add ``scale`` times another's sums."""
        for name, mine in self.tensors().items():
            mine.add_(other.tensors()[name], alpha=scale)

    def unordered(self) -> np.ndarray:
        """D f/d(count of a pair, in both orders), (k, m) float64."""
        field = self.field
        folded = field.tiling.fold(self.pairs.double()).cpu().numpy()
        words = self.words.double().cpu().numpy()
        apart = field._first != field._second
        return np.asarray(folded + words[:, field._first] + words[:, field._second] * apart)

    def samples(self) -> Tensor:
        """Scores (k, n) float64: each sample's counts times the pair influences."""
        return torch.from_numpy(np.ascontiguousarray(project(self.field.counts.matrix, self.unordered())))


def project(matrix: scipy.sparse.csr_matrix, pairs: np.ndarray) -> np.ndarray:
    """Sums (k, n) of pair values (k, m) over the samples of a CSR matrix, a block of samples at a time."""
    blocks = [matrix[i : i + ROWS_AT_ONCE] @ pairs.T for i in range(0, matrix.shape[0], ROWS_AT_ONCE)]
    return np.asarray(np.concatenate(blocks).T)
