r"""Control variates of the drawn negatives: a surrogate whose sum over all rows is cheap takes out variance.

A dense sum g_x = a_x sum_c b_c s(x . y_c) y_c, over drawn rows of probability pi_c, keeps its expectation if

    a_x sum_c e_c b_c h_x(x . y_c) y_c,    e_c = 1 - [c drawn] / pi_c,

is added: the surrogate's sum over all less that over the drawn. With h_x of degree one in the logit that needs the
first two moments of Y under e b and no logit at all, 8 V d^2 flops with those of the fit; of degree two the third as
well, 2 V d^3 more.

h_x is the best polynomial for logits of normal distribution (Hermite's expansion of s at their mean mu and variance v,
which are x . m and x'M x - mu^2 in the moments m, M of the rows that are not certain to be drawn):

    h_x(z) = s0 + s1 (z - mu) + s2 ((z - mu)^2 - v) / 2,    s0 = s(k mu), s1 and s2 its derivatives by mu,

with k = (1 + pi v / 8)^(-1/2), by which E s(z) is s(k mu) nearly (MacKay 1992). The fit's distribution is a constant of
the run, so h is a smooth function of theta alone, does not depend on the draws, and is differentiated with the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from crossloss.models.threads import dealt, each_in_a_thread
from crossloss.utils import distributed

T = TypeVar("T")

ROWS = 1024
"""Of a block, whose products of coordinates are held at once."""
DEGREES = {"none": 0, "linear": 1, "quadratic": 2}


@dataclass(eq=False)
class Surrogate:
    """What is added to one dense sum, of rows x of X (V, d) over the rows of Y (V, d); the same calls as ``DrawnSum``.

    ``scale`` is a (V,), ``weight`` b (V,), ``rest`` e (V,), ``share`` (V,) the fit's distribution, ``degree`` 1 or 2;
    blocks of rows are dealt to ``threads``.
    """

    x: Tensor
    y: Tensor
    scale: Tensor
    weight: Tensor
    rest: Tensor
    share: Tensor
    degree: int
    threads: int = 1

    def __post_init__(self) -> None:
        own = self._of_blocks(lambda rows: self._moments(rows, self.y[rows], self.weight[rows]))
        self.moments = self._sum(own)

    def _of_blocks(self, work: Callable[[slice], T]) -> list[T]:
        """What ``work`` gives for each block of this process's rows, in their order."""
        blocks = list(distributed.blocks(len(self.x), ROWS))
        given: dict[int, T] = {}

        def some(numbers: list[int]) -> None:
            for number in numbers:
                given[number] = work(blocks[number])

        each_in_a_thread(some, dealt(range(len(blocks)), self.threads))
        return [given[number] for number in range(len(blocks))]

    def gradient(self, out: Tensor) -> None:
        """Add the surrogate's part of g to ``out`` (V, d)."""

        def add(rows: slice) -> None:
            out[rows] += self._rows(self.x[rows], self.scale[rows], *self.moments)

        self._of_blocks(add)

    def pullback(self, along: Tensor, out_x: Tensor, out_y: Tensor) -> tuple[Tensor, Tensor]:
        """Add the derivatives of <g, along> by X and Y for ``along`` (k, V, d).

        Those by a and by b (k, V), of this process's rows, are returned.
        """
        k = len(along)
        by_scale, by_weight = (along.new_zeros(k, len(self.scale)) for _ in range(2))

        def of_x(rows: slice) -> list[tuple[Tensor, ...]]:
            vjp, back = torch.func.vjp(self._rows, self.x[rows], self.scale[rows], *self.moments)[1], []
            for j in range(k):
                by_x, by_scale[j, rows], *by_moments = vjp(along[j, rows])
                out_x[j, rows] += by_x
                back.append(tuple(by_moments))
            return back

        blocks = self._of_blocks(of_x)
        by = [self._sum([block[j] for block in blocks]) for j in range(k)]

        def of_y(rows: slice) -> None:
            vjp = torch.func.vjp(partial(self._moments, rows), self.y[rows], self.weight[rows])[1]
            for j in range(k):
                by_y, by_weight[j, rows] = vjp(by[j])
                out_y[j, rows] += by_y

        self._of_blocks(of_y)
        return by_scale, by_weight

    def pushforward(self, out: Tensor, dx: Tensor, dy: Tensor) -> None:
        """Add the derivative of g as X and Y move by ``dx`` and ``dy`` (V, d)."""
        still, moved = torch.zeros_like(self.scale), []
        # In this thread: forward mode has one level for all of them.
        for rows in distributed.blocks(len(self.y), ROWS):
            at, along = (self.y[rows], self.weight[rows]), (dy[rows], still[rows])
            moved.append(torch.func.jvp(partial(self._moments, rows), at, along)[1])
        dmoments = self._sum(moved)
        for rows in distributed.blocks(len(self.x), ROWS):
            at, along = (self.x[rows], self.scale[rows]), (dx[rows], still[rows])
            out[rows] += torch.func.jvp(self._rows, (*at, *self.moments), (*along, *dmoments))[1]

    def _moments(self, rows: slice, y: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        """Of rows y (n, d) first and second moments by share and by e b, and in degree two the third by e b."""
        by = torch.stack([self.share[rows], self.rest[rows] * weight], dim=1)
        weighted = by[:, :, None] * y[:, None, :]
        moments = y.T @ by, y.T @ weighted.flatten(1)
        return (*moments, coordinate_products(y).T @ weighted[:, 1]) if self.degree == 2 else moments

    def _rows(self, x: Tensor, scale: Tensor, *moments: Tensor) -> Tensor:
        """a_x sum_c e_c b_c h_x(x . y_c) y_c of rows x (n, d)."""
        first, (along, along_rest) = moments[0], torch.split(x @ moments[1], x.shape[1], dim=1)
        mu, rest = x @ first[:, 0], first[:, 1]
        v = (along * x).sum(1) - mu.square()
        k = (1 + math.pi / 8 * v).rsqrt()
        s = torch.sigmoid(k * mu)
        slope = k * s * (1 - s)
        if self.degree == 1:
            return scale[:, None] * ((s - slope * mu)[:, None] * rest + slope[:, None] * along_rest)
        bend = k * slope * (1 - 2 * s) / 2
        of_one, of_logit = s - slope * mu + bend * (mu.square() - v), slope - 2 * bend * mu
        squares = coordinate_products(x, twice=True) @ moments[2]
        sums = of_one[:, None] * rest + of_logit[:, None] * along_rest + bend[:, None] * squares
        return scale[:, None] * sums

    def _sum(self, parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Sums over the blocks of all processes, one for each moment."""
        d = self.x.shape[1]
        shapes = [(d, 2), (d, 2 * d), *[(d * (d + 1) // 2, d)] * (self.degree - 1)]
        sums = self.x.new_zeros(sum(math.prod(shape) for shape in shapes))
        for part in parts:  # a process may have none
            sums += torch.cat([moment.reshape(-1) for moment in part])
        whole = torch.split(distributed.add_(sums), [math.prod(shape) for shape in shapes])
        return tuple(moment.view(shape) for moment, shape in zip(whole, shapes, strict=True))


def coordinate_products(x: Tensor, *, twice: bool = False) -> Tensor:
    """x_i x_j of rows x (n, d) for i <= j, (n, d (d + 1) / 2); those of i < j twice if ``twice``."""
    double = 2 * x if twice else x
    columns = range(x.shape[1])
    return torch.cat([torch.cat([x[:, i : i + 1], double[:, i + 1 :]], 1) * x[:, i : i + 1] for i in columns], dim=1)
