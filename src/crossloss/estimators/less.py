"""LESS: what Adam would have done with each sample's gradient alone, at states of the run (Xia et al. 2024)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from crossloss.core import (
    Accumulator,
    Checkpoint,
    Estimator,
    Factors,
    Field,
    Keep,
    Objective,
    Progress,
    SampleGradients,
    Trajectory,
)
from crossloss.estimators.gradient import objective_gradients
from crossloss.estimators.projection import Held, Index, Projection, of_block, require_whole
from crossloss.estimators.resume import resume, save
from crossloss.optimisers.moments import Moments, adam_moments

AT_ONCE = 16_000_000
"""Numbers of dense gradients of single samples at once."""


@dataclass(frozen=True)
class LESS(Estimator):
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

    def at(self, trajectory: Trajectory, keep: Keep | None = None) -> Callable[..., Accumulator]:
        """Return the estimator of one trajectory, whose features, if any, serve all calls."""
        return partial(_Steps(self, keep), trajectory)

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``."""
        _Steps(self, None).add(trajectory, objectives, into, progress, checkpoint)


class _Steps(Estimator):
    """LESS of one run, with a place for its features."""

    name = "less"
    overflow = LESS.overflow

    def __init__(self, estimator: LESS, keep: Keep | None) -> None:
        self.estimator, self._keep = estimator, keep or Held()

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
        saved = resume(checkpoint, into)
        begun = 0 if saved is None else saved[0]
        count = min(self.estimator.checkpoints, steps)
        ends = [round(steps * j / count) for j in range(count + 1)]
        for number, (first, end) in enumerate(pairwise(ends)):
            state = next(trajectory.backwards(end))[1]
            moments = adam_moments(trajectory.optimiser, state, end - 1, range(first, end))
            gradients = field.sample_gradients(state["theta"])
            parts, n = len(gradients.parts), sum(gradients.parts)
            if begun >= (number + 1) * parts:
                continue
            eta = moments.lr * (end - first) / n
            direction = objective_gradients(field, state["theta"], objectives)
            scores = self._scores(gradients, moments, direction, end, max(0, begun - number * parts))
            for done, rows, products in scores:
                gradients.add(into, rows, -eta * products)
                progress(number * parts + done, count * parts)
                if self.estimator.features is None:
                    save(checkpoint, number * parts + done, {}, into)

    def _scores(
        self, gradients: SampleGradients, moments: Moments, direction: Tensor, t: int, begun: int
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Parts done, samples, and cosines or products (k, b)."""
        given, n = self.estimator, sum(gradients.parts)
        if given.features is None:
            parts = torch.cat([direction[:, block.start : block.stop] for block in gradients.blocks], 1)
            sizes = parts.double().norm(dim=1)
            for number in range(begun, len(gradients.parts)):
                rows, factors = gradients.part(number)
                of = [_exact(gradients, factors, moments, direction, n, s) for s in _slices(len(rows), gradients)]
                products, norms = torch.cat([p for p, _ in of], 1), torch.cat([q for _, q in of])
                yield (
                    number + 1,
                    rows,
                    products / (sizes[:, None] * norms).clamp(min=_TINY) if given.cosine else products,
                )
            return
        projection = Projection(gradients.blocks, given.features, given.seed, direction)

        def make(number: int) -> tuple[Tensor, dict[str, Tensor]]:
            rows, factors = gradients.part(number)
            made = [
                torch.cat([projection.dense(i, g) for i, g in _steps(gradients, factors, moments, n, s)], 1)
                for s in _slices(len(rows), gradients)
            ]
            return rows, {"features": torch.cat(made)}

        key: dict[str, Any] = {"estimator": self.name, "features": given.features, "seed": given.seed}
        key |= {"step": t, "checkpoints": given.checkpoints}
        index = Index(self._keep, key, gradients, make, projection.size, direction)
        wanted, done = projection.directions(direction).double(), 0
        for segment in index.segments(lambda done, total: None):
            features = segment["features"].double()
            products = wanted @ features.T
            sizes = wanted.norm(dim=1)[:, None] * features.norm(dim=1)
            done += len(segment["rows"])
            share = round(len(gradients.parts) * done / n)
            yield share, segment["rows"], products / sizes.clamp(min=_TINY) if given.cosine else products


_TINY = torch.finfo(torch.float64).tiny


def _slices(b: int, gradients: SampleGradients) -> list[slice]:
    """Samples of a part whose dense gradients of one block are made at once."""
    largest = max(block.stop - block.start for block in gradients.blocks)
    size = max(1, AT_ONCE // largest)
    return [slice(i, i + size) for i in range(0, b, size)]


def _steps(
    gradients: SampleGradients, factors: Sequence[Factors], moments: Moments, n: int, which: slice
) -> Iterator[tuple[int, Tensor]]:
    """Number of each block, and Gamma (b, rows, columns) of some samples; n times its term is a sample's own loss."""
    for number, (block, of) in enumerate(zip(gradients.blocks, factors, strict=True)):
        dense = of.dense(which)
        step = moments.direction(n * dense.flatten(1), block.start, block.stop)
        yield number, step.view_as(dense)


def _exact(
    gradients: SampleGradients, factors: Sequence[Factors], moments: Moments, direction: Tensor, n: int, which: slice
) -> tuple[Tensor, Tensor]:
    """Products (k, b) of the rows of ``direction`` with Gamma of some samples, and the norms of Gamma (b,)."""
    products, squares = torch.zeros((), device=direction.device), torch.zeros((), device=direction.device)
    for number, step in _steps(gradients, factors, moments, n, which):
        wanted = of_block(direction, gradients.blocks[number])
        products = products + wanted.flatten(1).double() @ step.flatten(1).double().T
        squares = squares + step.double().square().sum((1, 2))
    return products, squares.sqrt()
