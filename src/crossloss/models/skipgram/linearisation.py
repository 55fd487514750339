"""Products with the derivative of the exact skip-gram field."""

import torch
from torch import Tensor

from crossloss.core import Accumulator, Linearisation
from crossloss.models.skipgram.influence import PairInfluence
from crossloss.models.skipgram.loss import SkipGramLoss
from crossloss.models.skipgram.tiles import Tile, cut, observe, strips
from crossloss.models.threads import one_core


class ExactLinearisation(Linearisation):
    """The exact field at one point: pullback over tiles, pushforward by symmetry."""

    field: SkipGramLoss

    def pullback(self, a: Tensor, into: Accumulator) -> Tensor:
        """J^T a (k, p), and the pair influences of the same pass into ``into``."""
        assert isinstance(into, PairInfluence)
        return self._data_pullback(a, into).add_(a, alpha=self.field.shrinkage)

    @one_core()
    def _data_pullback(self, a: Tensor, into: PairInfluence) -> Tensor:
        """The pairs' part of a pullback, (k, p); (2 + 12 k) V^2 d flops.

        With dS = A C^T + U B^T for a direction (A, B), d<g, a>/dX[w,c] = -(1/N) s(-S) dS + b[w] and
        b[w] = (k/N) sum_c p_c s(S[w,c]) dS[w,c].
        """
        field, tiling = self.field, self.field.tiling
        product, add_product = field.product, field.add
        observed, rows = field.ratios(self.w)
        u, c = field.matrices(self.theta)
        k, d = a.shape[0], field.dimension
        stacked = a.view(k, 2, field.size, d)
        # Directions side by side, (V, k d), share one product with rho.
        all_a, all_b = (stacked[:, i].transpose(0, 1).reshape(field.size, k * d) for i in (0, 1))
        strips_a, strips_u = (strips(rows[:, None] * x, tiling.rows) for x in (all_a, u))
        strips_b, strips_c = (strips(field.noise[:, None] * y, tiling.columns) for y in (all_b, c))
        us, cs, noise = cut(u, tiling.rows), cut(c, tiling.columns), cut(field.noise, tiling.columns)
        left = [cut(torch.cat([of_u, u], dim=1), tiling.rows) for of_u in stacked[:, 0]]
        right = [cut(torch.cat([c, of_c], dim=1), tiling.columns) for of_c in stacked[:, 1]]

        def add(tile: Tile, out_u: Tensor, out_c: Tensor) -> None:
            x, local = observed[tile.pairs], tile.local.long()
            sigma = field.sigmoid(us[tile.row], cs[tile.column])
            at, missed = observe(sigma.view(-1), local, x)
            add_product(out_u, strips_b[tile.column], sigma)
            add_product(out_c, strips_a[tile.row], sigma.T)
            sigma.view(-1).scatter_(0, local, at)
            # d rho/dS is s (1 - s), times 1 + x at the observed pairs.
            bend = torch.addcmul(missed, missed, x).mul_(at).neg_()
            missed /= field.total
            for j in range(k):
                mine = slice(j * d, (j + 1) * d)
                ds = product(left[j][tile.row], right[j][tile.column])
                at_pairs = ds.view(-1).index_select(0, local)
                into.pairs[j, tile.pairs].addcmul_(missed, at_pairs)
                ds.mul_(sigma)
                into.words[j, tile.rows].addmv_(ds, noise[tile.column], alpha=field.negatives / field.total)
                ds.addcmul_(ds, sigma, value=-1)
                ds.view(-1).scatter_(0, local, at_pairs.mul_(bend))
                add_product(out_u[mine], strips_c[tile.column], ds)
                add_product(out_c[mine], strips_u[tile.row], ds.T)

        both = tiling.sums(k * d, rows, field.noise, add)
        return both.view(2, field.size, k, d).permute(2, 0, 1, 3).reshape(k, -1)

    def pushforward(self, dtheta: Tensor, dw: Tensor) -> Tensor:
        """J dtheta + (dg/dw) dw, (p,): J is symmetric and g is affine in w, while N and p stay."""
        along = self.pullback(dtheta.unsqueeze(0), self.field.accumulator(1))[0]
        return self._along_weights(along, dw)

    def _along_weights(self, along: Tensor, dw: Tensor) -> Tensor:
        """Add (dg_t/dw) dw to ``along`` (p,): by sign, so that no word's weighted count is a difference."""
        for sign in (1, -1):
            part = (sign * dw).clamp(min=0)
            if bool(part.any()):
                along.add_(self.field.data_gradient(self.theta, part, self.step), alpha=sign)
        return along
