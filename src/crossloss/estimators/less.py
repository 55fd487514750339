"""LESS: what Adam would have done with each sample's gradient alone, at states of the run (Xia et al. 2024)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from crossloss.core import (
    Accumulator,
    Cache,
    Checkpoint,
    Estimator,
    Factors,
    Field,
    Objective,
    PreparedEstimator,
    Progress,
    SampleGradients,
    Trajectory,
)
from crossloss.estimators.gradient import objective_gradients
from crossloss.estimators.projection import Index, MemoryCache, Projection, of_block, require_whole, shifted
from crossloss.estimators.resume import resume, save
from crossloss.optimisers.moments import Moments, adam_moments

AT_ONCE = 16_000_000
"""Numbers of dense gradients of single samples at once."""


@dataclass(frozen=True)
class LESS(PreparedEstimator):
    """I_i = - sum_c eta_c cos(grad f(theta_c), Gamma_i(theta_c)), over states c of a run by Adam or AdamW.

    Gamma_i = m'/(sqrt(v') + eps) is the step that Adam would take from its recorded moments if the batch were sample
    i alone (Xia et al. 2024, Section 3), each parameter with its group's learning rate, unclipped and without
    decoupled weight decay. The run is cut into stretches of as many steps: theta_c is the state before the last step
    of one, eta_c the sum of its learning rates over n. It ranks; its unit is none. Parameters as for ``TRAK``.

    Parameters
    ----------
    checkpoints : int
        States; as many as epochs in the paper.
    cosine : bool
        False: the product grad f . Gamma_i instead, in which long samples weigh less.
    features : int, optional
        Random features of Gamma in place of Gamma itself, at most so many, kept in the run folder for any further
        objective; cosines are then of the features.
    seed : int
        Of the projection.

    Raises
    ------
    UserError
        Settings out of range; later: a run by another rule, or a field without gradients of single samples.

    Examples
    --------
    >>> from crossloss.estimators import LESS
    >>> small = cl.train(cl.TorchField(model, loss, data), cl.AdamW(lr=0.01, eps=1e-3), steps=8)
    >>> scores = cl.score(small, [lambda m: F.cross_entropy(m(x), y)], LESS(checkpoints=2))  # or "less"
    """

    checkpoints: int = 4
    cosine: bool = True
    features: int | None = None
    seed: int = 0
    name = "less"
    overflow = "The less scores overflowed: use float64."

    def __post_init__(self) -> None:
        require_whole("LESS", checkpoints=self.checkpoints)
        if self.features is not None:
            require_whole("LESS", features=self.features)

    def left_out(self, field: Field) -> list[tuple[str, int]]:
        """Parameters of other layers than TRAK's."""
        return field.left_out("sample-gradients")

    def prepared(self, trajectory: Trajectory, cache: Cache | None = None) -> Estimator:
        """The estimator of one trajectory, which serves all calls."""
        return _Steps(self, cache)


class _Steps(Estimator):
    """LESS of one run, with a place for its features."""

    name = "less"
    overflow = LESS.overflow

    def __init__(self, estimator: LESS, cache: Cache | None) -> None:
        self.estimator, self._cache = estimator, cache or MemoryCache()

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``, state by state."""
        field, steps = trajectory.field, trajectory.steps
        if not steps:
            trajectory.optimiser.init(trajectory.theta)  # refuses
        count = min(self.estimator.checkpoints, steps)
        ends = [round(steps * j / count) for j in range(count + 1)]
        for number, (first, end) in enumerate(pairwise(ends)):
            state = next(trajectory.backwards(end))[1]
            moments = adam_moments(trajectory.optimiser, state, end - 1, range(first, end))
            gradients = field.sample_gradients(state["theta"])
            parts, n = len(gradients.parts), sum(gradients.parts)
            if number == 0:  # so many parts are the same work only where samples are cut alike
                cut = {"parts": torch.tensor(gradients.parts)}
                saved = resume(checkpoint, into, cut)
                begun = 0 if saved is None else saved[0]
            if begun >= (number + 1) * parts:
                continue
            eta = moments.lr * (end - first) / n
            direction = objective_gradients(field, state["theta"], objectives)
            if self.estimator.features is not None:
                shown = partial(shifted, progress, number * parts, count * parts)
                for rows, products in self._projected(gradients, moments, direction, end, shown):
                    gradients.add(into, rows, -eta * products)
                continue
            for part in range(max(0, begun - number * parts), parts):
                rows, products = self._exact(gradients, moments, direction, part)
                gradients.add(into, rows, -eta * products)
                progress(number * parts + part + 1, count * parts)
                save(checkpoint, number * parts + part + 1, cut, into)

    def _exact(
        self, gradients: SampleGradients, moments: Moments, direction: Tensor, part: int
    ) -> tuple[Tensor, Tensor]:
        """Samples of a part, and their cosines or products (k, b)."""
        rows, factors = gradients.part(part)
        products, squares = [], []
        for which in _slices(len(rows), gradients):
            product, square = torch.zeros((), device=direction.device), torch.zeros((), device=direction.device)
            for number, step in _steps(gradients, factors, moments, which):
                wanted = of_block(direction, gradients.blocks[number]).flatten(1).double()
                product = product + wanted @ step.flatten(1).double().T
                square = square + step.double().square().sum((1, 2))
            products.append(product)
            squares.append(square)
        size = torch.cat([direction[:, block.start : block.stop] for block in gradients.blocks], 1).double().norm(dim=1)
        return rows, self._scaled(torch.cat(products, 1), size, torch.cat(squares).sqrt())

    def _projected(
        self, gradients: SampleGradients, moments: Moments, direction: Tensor, t: int, progress: Progress
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Samples, and cosines or products (k, b) of their features."""
        given = self.estimator
        assert given.features is not None
        projection = Projection(gradients.blocks, given.features, given.seed, direction)

        def make(number: int) -> tuple[Tensor, dict[str, Tensor]]:
            rows, factors = gradients.part(number)
            made = [
                torch.cat([projection.dense(i, step) for i, step in _steps(gradients, factors, moments, which)], 1)
                for which in _slices(len(rows), gradients)
            ]
            return rows, {"features": torch.cat(made)}

        key: dict[str, Any] = {"estimator": self.name, "features": given.features, "seed": given.seed}
        key |= {"step": t, "checkpoints": given.checkpoints}
        wanted = projection.directions(direction).double()
        for segment in Index(self._cache, key, gradients, make, projection.size, direction).segments(progress):
            features = segment["features"].double()
            yield segment["rows"], self._scaled(wanted @ features.T, wanted.norm(dim=1), features.norm(dim=1))

    def _scaled(self, products: Tensor, sizes: Tensor, norms: Tensor) -> Tensor:
        """Cosines of products (k, b) and both norms, or the products."""
        return products / (sizes[:, None] * norms).clamp(min=_TINY) if self.estimator.cosine else products


_TINY = torch.finfo(torch.float64).tiny


def _slices(b: int, gradients: SampleGradients) -> list[slice]:
    """Samples of a part whose dense gradients of one block are made at once."""
    largest = max(block.stop - block.start for block in gradients.blocks)
    size = max(1, AT_ONCE // largest)
    return [slice(i, i + size) for i in range(0, b, size)]


def _steps(
    gradients: SampleGradients, factors: Sequence[Factors], moments: Moments, which: slice
) -> Iterator[tuple[int, Tensor]]:
    """Number of each block, and Gamma (b, rows, columns) of some samples; n times its term is a sample's own loss."""
    n = sum(gradients.parts)
    for number, (block, of) in enumerate(zip(gradients.blocks, factors, strict=True)):
        dense = of.dense(which)
        step = moments.direction(n * dense.flatten(1), block.start, block.stop)
        yield number, step.view_as(dense)
