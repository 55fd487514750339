"""TRAK: influence in a space of random features of the samples' gradients (Park et al. 2023; Choe et al. 2024)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from crossloss.core import (
    Accumulator,
    Cache,
    Checkpoint,
    Estimator,
    Field,
    Objective,
    PreparedEstimator,
    Progress,
    SampleGradients,
    Trajectory,
    UserError,
)
from crossloss.estimators.gradient import objective_gradients
from crossloss.estimators.projection import Index, MemoryCache, Projection, require_memory, require_whole, shifted


@dataclass(frozen=True)
class TRAK(PreparedEstimator):
    """I_i = - phi(f)^T (n sum_j w_j phi_j phi_j^T + lambda)^-1 phi_i, phi a random projection of gradients.

    phi_i is of sample i's term of the training loss, phi(f) of the objective. The matrix is the empirical Fisher
    information of the features, which stands for the Hessian. Features are kept in the run folder, for any further
    objective. They are of Linear, Conv2d, Embedding and LayerNorm layers; other parameters are named when scoring.
    As in LoGra the gradient is the loss's own: TRAK's log p/(1 - p) is of classifiers only.

    Parameters
    ----------
    features : int
        At most so many, shared among the parameters; as many as there are parameters: no projection.
    damping : float
        lambda over the mean eigenvalue of the matrix.
    checkpoints : int
        States of the run, evenly spaced and the last among them, over which scores are averaged.
    seed : int
        Of the projection.

    Raises
    ------
    UserError
        Settings out of range; later: a field without gradients of single samples, or features that need more memory
        than there is.

    Examples
    --------
    >>> from crossloss.estimators import TRAK
    >>> small = cl.train(cl.TorchField(model, loss, data), cl.AdamW(lr=0.01, eps=1e-3), steps=8)
    >>> scores = cl.score(small, [lambda m: F.cross_entropy(m(x), y)], TRAK(features=500, checkpoints=2))  # or "trak"
    """

    features: int = 4_096
    damping: float = 0.1
    checkpoints: int = 1
    seed: int = 0
    name = "trak"
    overflow = "The trak scores overflowed: raise the damping or use float64."

    def __post_init__(self) -> None:
        require_whole("TRAK", features=self.features, checkpoints=self.checkpoints)
        if not 0 < self.damping < float("inf"):
            raise UserError(f"TRAK takes a damping above 0, of the mean eigenvalue, not {self.damping!r}.")

    def damped(self, damping: float) -> "TRAK":
        """The same with another damping."""
        return replace(self, damping=damping)

    def left_out(self, field: Field) -> list[tuple[str, int]]:
        """Parameters of other layers."""
        return field.left_out("sample-gradients")

    def prepared(self, trajectory: Trajectory, cache: Cache | None = None) -> Estimator:
        """The estimator of one trajectory, which serves all calls."""
        return _Features(self, trajectory, cache)


class _Features(Estimator):
    """TRAK of one run: states, their features, and the inverse of each matrix."""

    name = "trak"
    overflow = TRAK.overflow

    def __init__(self, estimator: TRAK, trajectory: Trajectory, cache: Cache | None) -> None:
        self.estimator, self._cache = estimator, cache or MemoryCache()
        steps, count = trajectory.steps, estimator.checkpoints
        self._states = sorted({round(steps * j / count) for j in range(1, count + 1)})
        self._solvers: dict[int, Callable[[Tensor], Tensor]] = {}

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``, state by state."""
        field, states = trajectory.field, self._states
        for number, t in enumerate(states):
            theta = theta_at(trajectory, t)
            gradients = field.sample_gradients(theta)
            projection = Projection(gradients.blocks, self.estimator.features, self.estimator.seed, theta)
            index = self._index(gradients, projection, theta, t)
            parts = len(gradients.parts)
            if t not in self._solvers:
                n, size = sum(gradients.parts), projection.size
                shown = partial(shifted, progress, 2 * parts * number, 2 * parts * len(states))
                _check_memory(n, size, theta, getattr(self._cache, "path", None) is None)
                self._solvers[t] = _solver(index, trajectory.weights, n, size, self.estimator.damping, shown)
            direction = projection.directions(objective_gradients(field, theta, objectives)).double()
            solved = self._solvers[t](direction) / -len(states)
            shown = partial(shifted, progress, 2 * parts * number + parts, 2 * parts * len(states))
            for segment in index.segments(shown):
                gradients.add(into, segment["rows"], solved @ segment["features"].double().T)

    def _index(self, gradients: SampleGradients, projection: Projection, theta: Tensor, t: int) -> Index:
        def make(number: int) -> tuple[Tensor, dict[str, Tensor]]:
            rows, factors = gradients.part(number)
            return rows, {"features": projection.factors(factors)}

        key: dict[str, Any] = {"estimator": self.name, "features": self.estimator.features, "seed": self.estimator.seed}
        return Index(self._cache, key | {"step": t}, gradients, make, projection.size, theta)


def theta_at(trajectory: Trajectory, t: int) -> Tensor:
    """Parameters before step t (p,); the run's own at its end."""
    return trajectory.theta if t == trajectory.steps else next(trajectory.backwards(t + 1))[1]["theta"]


def _check_memory(n: int, size: int, theta: Tensor, in_memory: bool) -> None:
    held = n * size * theta.element_size() * ((n < size) + in_memory)
    require_memory(held + 3 * 8 * min(n, size) ** 2, f"TRAK of {n:,} samples with {size:,} features")


def _solver(
    index: Index, weights: Tensor, n: int, size: int, damping: float, progress: Progress
) -> Callable[[Tensor], Tensor]:
    """Rows (k, K) by (n sum_j w_j phi_j phi_j^T + lambda)^-1, float64; by the samples where they are fewer."""
    w = weights.double()
    if n < size:
        every = []
        for segment in index.segments(progress):
            root = (n * w[segment["rows"]]).sqrt()[:, None]
            every.append((root * segment["features"].double()).to(segment["features"]))
        phi = torch.cat(every).double()
        small = phi @ phi.T
        damped = damping * float(small.trace()) / size
        _require_features(damped)
        small.diagonal().add_(damped)
        factor = torch.linalg.cholesky(small)
        return lambda b: (b - torch.cholesky_solve(phi @ b.T, factor).T @ phi) / damped
    matrix = torch.zeros(size, size, dtype=torch.float64, device=weights.device)
    for segment in index.segments(progress):
        features = segment["features"].double()
        matrix.addmm_((n * w[segment["rows"]])[:, None].mul(features).T, features)
    damped = damping * float(matrix.trace()) / size
    _require_features(damped)
    matrix.diagonal().add_(damped)
    factor = torch.linalg.cholesky(matrix)
    return lambda b: torch.cholesky_solve(b.T, factor).T


def _require_features(damped: float) -> None:
    if not 0 < damped < float("inf"):
        raise UserError(
            "The gradients of all samples are 0, or not finite, at this model: TRAK has nothing to compare."
        )
