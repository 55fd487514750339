r"""The skip-gram field with drawn negatives, for vocabularies whose V^2 exact ones cost too much.

The negatives of exact skip-gram are two sums over the whole plane, one a row of U and one a row of C:

    r_w sum_c p_c s(S[w,c]) C_c    and    p_c sum_w r_w s(S[w,c]) U_w.

At step t the first runs over m columns drawn by p, each divided by its probability to be drawn, and the second over m
words drawn by frequency, likewise. So every row meets m weighted negatives in every step and g_t is the exact
gradient in expectation, while observed pairs stay exact: 8 V m d flops and 6 d a pair. A control variate takes most of
the draws' variance out of it (``crossloss.models.skipgram.control``). g_t is no gradient of a function, which the
pullback does not ask for; why not one set of draws for both sums is in docs/cluster.md. The draws depend on the seed
and the step alone: training, replay, pullback and retraining meet the same ones.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crossloss.core import FULL_BATCH, Linearisation, UserError
from crossloss.models.skipgram.control import DEGREES, Surrogate
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.influence import PairInfluence
from crossloss.models.skipgram.kernels import Kernels
from crossloss.models.skipgram.linearisation import ExactLinearisation
from crossloss.models.skipgram.settings import Settings
from crossloss.text.pairs import PairCounts
from crossloss.text.vocabulary import Vocabulary
from crossloss.utils import distributed

TILE_ELEMENTS = 1 << 22
"""Of a strip of words by all contexts, which the exact passes (the loss, and ``FULL_BATCH``) hold at once."""
ROWS = 1024


class DrawnNegatives(SkipGramField):
    """Skip-gram whose dense sums run over m = ``negative_columns`` drawn negatives a step, of contexts and of words.

    The loss stays exact, and so does the step ``FULL_BATCH``.
    """

    def __init__(
        self,
        counts: PairCounts,
        vocabulary: Vocabulary,
        weights: np.ndarray,
        settings: Settings,
        kernels: Kernels | None = None,
    ) -> None:
        size = len(vocabulary.words)
        tile = max(1, min(size, TILE_ELEMENTS // size)), size
        super().__init__(counts, vocabulary, weights, settings, tile, kernels)
        noise, words = self.noise.double().cpu().numpy(), self.precision[0].double().cpu().numpy()
        least = words[words > 0].min() / 2  # a word that only candidates have can still be drawn
        self._drawn = tuple(
            SystematicSample(
                share / share.sum(), min(settings.negative_columns, size), (settings.negative_seed, number)
            )
            for number, share in enumerate((noise, np.maximum(words, least)))
        )
        # A surrogate is for the rows that are not certain to be drawn; where all are there is nothing to control.
        self._degree = DEGREES[settings.negative_control] if settings.negative_columns < size else 0
        self._fitted = tuple(
            self.tensor(share / max(share.sum(), 1e-300))
            for share in (np.where(draw.probability < 1, draw.probability, 0.0) for draw in self._drawn)
        )
        self._observed = ObservedPairs(self)

    def at(self, theta: Tensor, w: Tensor, step: int) -> Linearisation:
        """Products with the derivative at one point of g_t; of the exact loss for ``FULL_BATCH``."""
        return super().at(theta, w, step) if step == FULL_BATCH else DrawnLinearisation(self, theta, w, step)

    def _sums(self, theta: Tensor, rows: Tensor, step: int) -> "tuple[list[DrawnSum | Surrogate], ...]":
        """The two sums of step ``step``, in parts: of the words over contexts, of the contexts over words."""
        u, c = self.matrices(theta)
        both: list[list[DrawnSum | Surrogate]] = []
        sides = (u, c, rows, self.noise), (c, u, self.noise, rows)
        for (x, y, scale, weight), sample, share in zip(sides, self._drawn, self._fitted, strict=True):
            drawn, importance = sample(step)
            at = torch.from_numpy(drawn).to(self.device)
            both.append([DrawnSum(self, x, y, scale, weight, at, self.tensor(importance))])
            if self._degree:
                rest = np.ones(self.size)
                rest[drawn] -= importance
                both[-1].append(Surrogate(x, y, scale, weight, self.tensor(rest), share, self._degree))
        return tuple(both)

    def data_gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """The pairs' part of g_t, (p,); its expectation over draws is the exact one."""
        if step == FULL_BATCH:
            return super().data_gradient(theta, w, step)
        x, rows = self.ratios(w)
        pairs, (u, c) = self._observed, self.matrices(theta)
        weight = pairs.count(x, rows) * (torch.sigmoid(pairs.dots(u, c)) - 1)
        both = pairs.times(weight, c), pairs.transposed(weight, u)
        for parts, out in zip(self._sums(theta, rows, step), both, strict=True):
            for part in parts:
                part.gradient(out)
        return distributed.add_(torch.stack(both)).view(-1)


class DrawnLinearisation(ExactLinearisation):
    """The field of one step's draws at one point."""

    field: DrawnNegatives

    def _factors(
        self,
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...], "tuple[list[DrawnSum | Surrogate], ...]"]:
        """Of the observed pairs dL/dS, its derivative by S, and that by X less b (all (o,)); U and C; both sums."""
        field = self.field
        x, rows = field.ratios(self.w)
        u, c = field.matrices(self.theta)
        count, s = field._observed.count(x, rows), torch.sigmoid(field._observed.dots(u, c))
        sums = field._sums(self.theta, rows, self.step)
        return count * (s - 1), count * s * (1 - s), (s - 1) / field.total, (u, c), sums

    def _data_pullback(self, a: Tensor, into: PairInfluence) -> Tensor:
        """The pairs' part of a pullback, (k, p); 20 k V m d flops."""
        field, pairs = self.field, self.field._observed
        weight, slope, missed, (u, c), sums = self._factors()
        out = torch.zeros(len(a), 2, field.size, field.dimension, dtype=field.dtype, device=field.device)
        for j, (of_u, of_c) in enumerate(a.view(out.shape)):
            ds = pairs.dots(torch.cat([of_u, u], dim=1), torch.cat([c, of_c], dim=1))
            into.pairs[j].addcmul_(missed, ds)
            ds *= slope
            out[j, 0] += pairs.times(ds, c).add_(pairs.times(weight, of_c))
            out[j, 1] += pairs.transposed(ds, u).add_(pairs.transposed(weight, of_u))
            for number, (parts, along) in enumerate(zip(sums, (of_u, of_c), strict=True)):
                for part in parts:
                    # r, k/N times a word's count, stands before the rows of the first sum and in the second's weights.
                    by_word = part.pullback(along, out[j, number], out[j, 1 - number])[number]
                    into.words[j].add_(by_word, alpha=field.negatives / field.total)
        return distributed.add_(out).view(len(a), -1)

    def pushforward(self, dtheta: Tensor, dw: Tensor) -> Tensor:
        """J dtheta + (dg_t/dw) dw, (p,); J is not symmetric."""
        field, pairs = self.field, self.field._observed
        weight, slope, _, (u, c), sums = self._factors()
        du, dc = field.matrices(dtheta)
        along = slope * pairs.dots(torch.cat([du, u], dim=1), torch.cat([c, dc], dim=1))
        by_word = pairs.times(along, c) + pairs.times(weight, dc)
        by_context = pairs.transposed(along, u) + pairs.transposed(weight, du)
        for parts, out, dx, dy in zip(sums, (by_word, by_context), (du, dc), (dc, du), strict=True):
            for part in parts:
                part.pushforward(out, dx, dy)
        change = distributed.add_(torch.stack([by_word, by_context])).view(-1)
        return self._along_weights(change.add_(dtheta, alpha=field.shrinkage), dw)


class SystematicSample:
    """A sample of exactly m of V things without replacement, thing i with probability min(1, lambda share_i).

    Systematic sampling in a random order (Madow 1949): the probabilities are laid end to end in that order and every
    whole step from a random start hits one. What is certain to be drawn is put first and not left to rounding.
    ``share`` (V,) is positive and of sum 1, ``count`` is m.
    """

    def __init__(self, share: np.ndarray, count: int, seed: tuple[int, ...]) -> None:
        self.seed = seed
        certain = np.zeros(len(share), dtype=bool)
        while True:  # each round makes certain what its share of the rest of the draws would take beyond 1
            left = count - certain.sum()
            probability = np.where(certain, 1.0, share * (left / max(share[~certain].sum(), 1e-300)))
            more = (probability >= 1) & ~certain
            if not more.any():
                break
            certain |= more
        self.probability = probability
        self._certain, self._rest, self._count = np.flatnonzero(certain), np.flatnonzero(~certain), int(left)

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(m,) things, ascending, and one over their probabilities."""
        random = np.random.default_rng([*self.seed, step])
        order = random.permutation(self._rest)
        ends = np.cumsum(self.probability[order])
        hit = np.searchsorted(ends, random.random() + np.arange(self._count), side="right")
        chosen = np.sort(np.concatenate([self._certain, order[np.minimum(hit, len(order) - 1)]]))
        return chosen, 1 / self.probability[chosen]


@dataclass(eq=False)
class DrawnSum:
    """One dense sum, g_x = a_x sum_j q_j b_j s(x . y_j) y_j: rows x of X (V, d) over ``drawn`` rows y_j of Y (V, d).

    ``scale`` is a (V,), ``whole_weight`` b (V,), ``importance`` q (m,), one over the probability to be drawn.
    """

    field: DrawnNegatives
    x: Tensor
    whole_y: Tensor
    scale: Tensor
    whole_weight: Tensor
    drawn: Tensor
    importance: Tensor

    def __post_init__(self) -> None:
        self.y, self.weight = self.whole_y[self.drawn], self.whole_weight[self.drawn] * self.importance
        self.weighted = (self.weight[:, None] * self.y).T.contiguous()

    def gradient(self, out: Tensor) -> None:
        """Add g to ``out`` (V, d)."""
        for rows in distributed.blocks(len(self.x), ROWS):
            s = self.field.sigmoid(self.x[rows], self.y)
            out[rows] += self.field.product(self.weighted, s).T * self.scale[rows, None]

    def pullback(self, along: Tensor, out_x: Tensor, out_y: Tensor) -> tuple[Tensor, Tensor]:
        """Add the derivative of <g, along> by X and Y; returns that by a (V,) and by b (V,)."""
        field = self.field
        by_scale, by_weight = torch.zeros_like(self.scale), torch.zeros_like(self.weight)
        by_y = torch.zeros_like(self.y.T)
        for rows in distributed.blocks(len(self.x), ROWS):
            x, direction, scale = self.x[rows], along[rows], self.scale[rows]
            s = field.sigmoid(x, self.y)
            t = field.product(direction, self.y)
            by_y += field.product((scale[:, None] * direction).T.contiguous(), s.T)
            t *= s
            by_scale[rows] += t @ self.weight
            by_weight += scale @ t
            t.addcmul_(t, s, value=-1)  # s (1 - s) t
            out_x[rows] += field.product(self.weighted, t).T * scale[:, None]
            by_y += field.product((scale[:, None] * x).T.contiguous(), t.T)
        out_y.index_add_(0, self.drawn, by_y.T * self.weight[:, None])
        return by_scale, torch.zeros_like(self.whole_weight).index_add_(0, self.drawn, by_weight * self.importance)

    def pushforward(self, out: Tensor, dx: Tensor, dy: Tensor) -> None:
        """Add the derivative of g as X and Y move by ``dx`` and ``dy`` (V, d)."""
        field, dy = self.field, dy[self.drawn]
        weighted_dy = (self.weight[:, None] * dy).T.contiguous()
        both_y = torch.cat([self.y, dy], dim=1)
        for rows in distributed.blocks(len(self.x), ROWS):
            s = field.sigmoid(self.x[rows], self.y)
            t = field.product(torch.cat([dx[rows], self.x[rows]], dim=1), both_y)
            t *= s * (1 - s)
            change = field.product(self.weighted, t).add_(field.product(weighted_dy, s))
            out[rows] += change.T * self.scale[rows, None]


class ObservedPairs:
    """The observed pairs of this process as a sparse matrix, word by context, with the products that they need.

    Values (o,) are in the order of the tiling, whose tiles reach over all contexts: rows one after the other.
    """

    def __init__(self, field: DrawnNegatives) -> None:
        if len(field.tiling) >= 2**31:
            raise UserError("More than 2 billion pairs in one process: run in more processes, or lower max_words=.")
        size, tiles, none = field.size, field.tiling.tiles, torch.arange(0, dtype=torch.int32, device=field.device)
        self._word = torch.cat([none, *(tile.local // size + tile.rows.start for tile in tiles)])
        self._context = torch.cat([none, *(tile.local % size for tile in tiles)])
        strips = [torch.arange(tile.rows.start, tile.rows.stop, device=field.device) for tile in tiles]
        self.rows = torch.cat([none.long(), *strips])
        at = torch.searchsorted(self.rows, self._word.long(), out_int32=True)
        self._turn = torch.argsort(self._context, stable=True).int()
        self._ends, self._context_ends = _ends(at, len(self.rows)), _ends(self._context, size)
        self._word_of_turned = at.index_select(0, self._turn)
        self._dense = field.noise.index_select(0, self._context)

    def count(self, x: Tensor, rows: Tensor) -> Tensor:
        """X/N of the field's x and r, (o,)."""
        return x * rows.index_select(0, self._word) * self._dense

    def dots(self, u: Tensor, c: Tensor) -> Tensor:
        """u_w . c_c at every pair, (o,), for u and c (V, e)."""
        pattern = _csr(self._ends, self._context, torch.zeros_like(self._dense), (len(self.rows), len(c)))
        dots: Tensor = torch.sparse.sampled_addmm(pattern, u[self.rows], c.T).values()
        return dots

    def times(self, values: Tensor, c: Tensor) -> Tensor:
        """sum_c values[w,c] c_c of every word, (V, e); zero for those of other processes."""
        out = torch.zeros_like(c)
        out[self.rows] = torch.mm(_csr(self._ends, self._context, values, (len(self.rows), len(c))), c)
        return out

    def transposed(self, values: Tensor, u: Tensor) -> Tensor:
        """sum_w values[w,c] u_w of every context, (V, e), over this process's words."""
        turned, shape = values.index_select(0, self._turn), (len(u), len(self.rows))
        return torch.mm(_csr(self._context_ends, self._word_of_turned, turned, shape), u[self.rows])


def _ends(rows: Tensor, size: int) -> Tensor:
    """Where each of ``size`` rows starts and ends, (size + 1,) int32."""
    counts = torch.bincount(rows, minlength=size)
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0)).int()


def _csr(ends: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")
        return torch.sparse_csr_tensor(ends, columns, values, shape, check_invariants=False)
