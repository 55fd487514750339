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

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crossloss.core import FULL_BATCH, Linearisation
from crossloss.models.skipgram.control import DEGREES, Surrogate
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.influence import PairInfluence
from crossloss.models.skipgram.kernels import Kernels
from crossloss.models.skipgram.linearisation import ExactLinearisation
from crossloss.models.skipgram.loss import Kept, kept_of
from crossloss.models.skipgram.observed import ObservedPairs
from crossloss.models.skipgram.settings import Settings
from crossloss.models.threads import dealt, each_in_a_thread, one_core
from crossloss.text.pairs import PairCounts
from crossloss.text.vocabulary import Vocabulary
from crossloss.utils import distributed

ROWS = 512
"""Of a block of the dense sums: a plane of 512 x 1,024 stays in a core's cache."""


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
        tile: tuple[int, int] | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        super().__init__(counts, vocabulary, weights, settings, tile, kernels)
        size, columns = self.size, settings.drawn(self.size)
        noise, words = self.noise.double().cpu().numpy(), self.precision[0].double().cpu().numpy()
        least = words[words > 0].min() / 2  # a word that only candidates have can still be drawn
        self._drawn = tuple(
            SystematicSample(share / share.sum(), min(columns, size), (settings.negative_seed, number))
            for number, share in enumerate((noise, np.maximum(words, least)))
        )
        # A surrogate is for the rows that are not certain to be drawn; where all are there is nothing to control.
        self._degree = DEGREES[settings.negative_control] if columns < size else 0
        self._fitted = tuple(
            self.tensor(share / max(share.sum(), 1e-300))
            for share in (np.where(draw.probability < 1, draw.probability, 0.0) for draw in self._drawn)
        )
        self._observed = ObservedPairs(self)
        self._counts: Kept | None = None

    def weighted_counts(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Give X(w)/N on the ordered pairs and r on the words; kept until the weights change."""
        found = kept_of(self._counts, w)
        if found is None:
            found = super().weighted_counts(w)
            self._counts = w, w._version, found
        return found

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
                left = np.ones(self.size)
                left[drawn] -= importance
                rest, threads = self.tensor(left), self.tiling.threads
                both[-1].append(Surrogate(x, y, scale, weight, rest, share, self._degree, threads))
        return tuple(both)

    @one_core()
    def data_gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """The pairs' part of g_t, (p,); its expectation over draws is the exact one."""
        if step == FULL_BATCH:
            return super().data_gradient(theta, w, step)
        count, rows = self.weighted_counts(w)
        pairs, (u, c) = self._observed, self.matrices(theta)
        values = pairs.dots(u, c)
        pairs.each(lambda some: values[some].sigmoid_().sub_(1).mul_(count[some]))
        both = pairs.products(values, u, c)
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
        count, rows = field.weighted_counts(self.w)
        u, c = field.matrices(self.theta)
        s = field._observed.dots(u, c)
        weight, missed = torch.empty_like(s), torch.empty_like(s)

        def work(some: slice) -> None:
            torch.sub(s[some].sigmoid_(), 1, out=missed[some])
            torch.mul(count[some], missed[some], out=weight[some])
            s[some].mul_(weight[some]).neg_()
            missed[some].div_(field.total)

        field._observed.each(work)
        return weight, s, missed, (u, c), field._sums(self.theta, rows, self.step)

    @one_core()
    def _data_pullback(self, a: Tensor, into: PairInfluence) -> Tensor:
        """The pairs' part of a pullback, (k, p); 20 k V m d flops."""
        field, pairs = self.field, self.field._observed
        weight, slope, missed, (u, c), sums = self._factors()
        k, d = len(a), field.dimension
        stacked = a.view(k, 2, field.size, d)
        # Directions side by side, (V, k d), share one product with the weights.
        along_u, along_c = (stacked[:, i].transpose(0, 1).reshape(field.size, k * d) for i in (0, 1))
        both = torch.stack(pairs.products(weight, along_u, along_c)).view(2, field.size, k, d)
        out = both.permute(2, 0, 1, 3).contiguous()
        del both
        for j, (of_u, of_c) in enumerate(stacked):
            ds = pairs.dots(torch.cat([of_u, u], dim=1), torch.cat([c, of_c], dim=1))
            along = into.pairs[j]

            def work(some: slice, along: Tensor = along, ds: Tensor = ds) -> None:
                along[some].addcmul_(missed[some], ds[some])
                ds[some].mul_(slope[some])

            pairs.each(work)
            out[j] += torch.stack(pairs.products(ds, u, c))
        for number, parts in enumerate(sums):
            for part in parts:
                # r, k/N times a word's count, stands before the rows of the first sum and in the second's weights.
                by_word = part.pullback(stacked[:, number], out[:, number], out[:, 1 - number])[number]
                into.words.add_(by_word, alpha=field.negatives / field.total)
        return distributed.add_(out).view(k, -1)

    @one_core()
    def pushforward(self, dtheta: Tensor, dw: Tensor) -> Tensor:
        """J dtheta + (dg_t/dw) dw, (p,); J is not symmetric."""
        field, pairs = self.field, self.field._observed
        weight, slope, _, (u, c), sums = self._factors()
        du, dc = field.matrices(dtheta)
        along = slope * pairs.dots(torch.cat([du, u], dim=1), torch.cat([c, dc], dim=1))
        of_pairs = zip(pairs.products(along, u, c), pairs.products(weight, du, dc), strict=True)
        by_word, by_context = (one + other for one, other in of_pairs)
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

    def _shares(self) -> list[list[slice]]:
        """Rows of X for each thread, some at a time."""
        return dealt(distributed.blocks(len(self.x), ROWS), self.field.tiling.threads)

    def gradient(self, out: Tensor) -> None:
        """Add g to ``out`` (V, d)."""

        def work(blocks: list[slice]) -> None:
            for rows in blocks:
                s = self.field.sigmoid(self.x[rows], self.y)
                out[rows] += self.field.product(self.weighted, s).T * self.scale[rows, None]

        each_in_a_thread(work, self._shares())

    def pullback(self, along: Tensor, out_x: Tensor, out_y: Tensor) -> tuple[Tensor, Tensor]:
        """Add the derivatives of <g, along> by X and Y for ``along`` (k, V, d); those by a and b (k, V) returned."""
        field, k, shares = self.field, len(along), self._shares()
        by_scale = along.new_zeros(k, len(self.scale))
        # Every row of X adds to all rows of Y: of these each thread has sums of its own.
        by_weight = along.new_zeros(len(shares), k, len(self.weight))
        by_y = along.new_zeros(len(shares), k, *self.y.T.shape)

        def work(share: int) -> None:
            for rows in shares[share]:
                x, scale = self.x[rows], self.scale[rows]
                s = field.sigmoid(x, self.y)
                scaled_x = (scale[:, None] * x).T.contiguous()
                for j in range(k):
                    direction = along[j, rows]
                    t = field.product(direction, self.y)
                    by_y[share, j] += field.product((scale[:, None] * direction).T.contiguous(), s.T)
                    t *= s
                    by_scale[j, rows] += t @ self.weight
                    by_weight[share, j] += scale @ t
                    t.addcmul_(t, s, value=-1)  # s (1 - s) t
                    out_x[j, rows] += field.product(self.weighted, t).T * scale[:, None]
                    by_y[share, j] += field.product(scaled_x, t.T)

        each_in_a_thread(work, range(len(shares)))
        out_y.index_add_(1, self.drawn, by_y.sum(0).transpose(1, 2) * self.weight[:, None])
        whole = along.new_zeros(k, len(self.whole_weight))
        return by_scale, whole.index_add_(1, self.drawn, by_weight.sum(0) * self.importance)

    def pushforward(self, out: Tensor, dx: Tensor, dy: Tensor) -> None:
        """Add the derivative of g as X and Y move by ``dx`` and ``dy`` (V, d)."""
        field, dy = self.field, dy[self.drawn]
        weighted_dy = (self.weight[:, None] * dy).T.contiguous()
        both_y = torch.cat([self.y, dy], dim=1)

        def work(blocks: list[slice]) -> None:
            for rows in blocks:
                s = field.sigmoid(self.x[rows], self.y)
                t = field.product(torch.cat([dx[rows], self.x[rows]], dim=1), both_y)
                t *= s * (1 - s)
                change = field.product(self.weighted, t).add_(field.product(weighted_dy, s))
                out[rows] += change.T * self.scale[rows, None]

        each_in_a_thread(work, self._shares())
