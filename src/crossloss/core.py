"""What holds crossloss together: errors, protocols, and base classes with their defaults.

Everything an estimator knows of a model is a :class:`Field`. A training run is the deterministic map from sample
weights to final parameters; its derivative is a score. Shapes: ``p`` parameters, ``n`` samples, ``k`` directions (one
per objective).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

State = dict[str, Tensor]
"""What the optimiser carries from step to step; always holds ``theta`` (p,)."""

Progress = Callable[[int, int], None]
"""Called with (done, total) as work proceeds."""


def silent(done: int, total: int) -> None:
    """Show no progress."""


FULL_BATCH = -1
"""The step that stands for no step: the field of the whole training loss, whatever the mini-batches are."""


class UserError(Exception):
    """Something the user can put right: one sentence that says what is wrong and what to do.

    Examples
    --------
    >>> try:
    ...     cl.score(run, [])
    ... except cl.UserError as error:
    ...     print(error)
    Name at least one objective to score.
    """


class Absent(UserError, KeyError):
    """A name that is not there: what a mapping raises, and a sentence to the user."""

    __str__ = Exception.__str__


@contextmanager
def refusing(errors: type[Exception] | tuple[type[Exception], ...], what: str, advice: str) -> Iterator[None]:
    """Turn errors of a library into one sentence, WHAT (REASON): ADVICE."""
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{what} ({reason}): {advice}.") from error


@runtime_checkable
class Objective(Protocol):
    """A differentiable scalar f(theta), in its own unit."""

    @property
    def name(self) -> str:
        """What it is called in tables and files."""

    def __call__(self, view: Any, /) -> Tensor:
        """Value of the objective, shape (), of what ``Field.view`` shows of the parameters."""


class Family(Protocol):
    """Objectives that are computed together; each of them has it as ``family``, and its ``index`` in it."""

    def __call__(self, view: Any, /) -> Tensor:
        """Values of all, (m,)."""

    def one(self, view: Any, index: Tensor) -> Tensor:
        """Value of the one at ``index`` (an int64 tensor of shape ()), shape (), fit for ``torch.func.vmap``."""


class Accumulator(Protocol):
    """Collects d<g, a>/d(atom weight) for k directions over the steps of a run."""

    def samples(self) -> Tensor:
        """Project from atoms to samples once, at the end: (k, n)."""

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors that hold the sums, (k, ...) each, to be saved and copied back into."""


class Field(ABC):
    """What the optimiser receives at step t, g_t(theta, w), and its derivative.

    ``theta`` is one flat contiguous tensor (p,), one dtype, one device. ``w`` is (n,). ``step`` counts from 0;
    ``FULL_BATCH`` asks for the whole training loss, which gradient dot and curvature are of.
    """

    curvatures: ClassVar[tuple[str, ...]] = ("jacobian", "absolute")
    """What an inverse-Hessian estimator can invert: these, which any field has, and those that ``curvature`` makes."""

    @abstractmethod
    def gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """g_t(theta, w), shape (p,)."""

    @abstractmethod
    def at(self, theta: Tensor, w: Tensor, step: int) -> "Linearisation":
        """Linearise at one point; once for all products with the derivative there."""

    @abstractmethod
    def accumulator(self, k: int) -> Accumulator:
        """Return an accumulator of zeros for k directions."""

    @abstractmethod
    def view(self, theta: Tensor) -> Any:
        """Names and shapes: all that an objective sees of the parameters."""

    def sample_gradients(self, theta: Tensor) -> "SampleGradients":
        """Gradients of single samples at ``theta``, by blocks; UserError where the field has no way to them."""
        raise UserError(
            f"{type(self).__name__} has no gradients of single samples by layers: use gradient-dot, tracin or "
            "inverse-hessian-word-blocks."
        )

    def left_out(self, kind: str) -> list[tuple[str, int]]:
        """Names and sizes of the parameters that a curvature, or "sample-gradients", is not of."""
        return []

    def curvature(self, kind: str, theta: Tensor, w: Tensor) -> "Curvature":
        """The field's own curvature called ``kind`` at ``theta``; UserError that lists the kinds where it has none."""
        known = ", ".join(self.curvatures)
        raise UserError(f"{type(self).__name__} offers no curvature {kind!r}; there are: {known}.")


class Linearisation(ABC):
    """A field at one point, and products with its derivative: J = dg_t/dtheta, and dg_t/dw.

    Only ``pullback`` must be written; the others have defaults that a family of models may do better.
    """

    def __init__(self, field: Field, theta: Tensor, w: Tensor, step: int) -> None:
        self.field, self.theta, self.w, self.step = field, theta, w, step

    @cached_property
    def value(self) -> Tensor:
        """g_t(theta, w), shape (p,); computed when it is asked for, once."""
        return self.field.gradient(self.theta, self.w, self.step)

    @abstractmethod
    def pullback(self, a: Tensor, into: Accumulator) -> Tensor:
        """J^T a for the rows of ``a`` (k, p), and d<g, a>/d(atom weight) added to ``into``. Returns (k, p)."""

    def weight_gradient(self, a: Tensor, into: Accumulator) -> None:
        """Add to ``into`` what ``pullback`` adds, and no more."""
        self.pullback(a, into)

    def pushforward(self, dtheta: Tensor, dw: Tensor) -> Tensor:
        """J dtheta + (dg/dw) dw, (p,); here by central differences, accurate to about eps^(2/3): 4e-11 in float64."""
        theta, w = self.theta, self.w
        by_theta = float(dtheta.norm() / theta.norm().clamp(min=1))
        size = max(by_theta, float(dw.abs().max() / w.abs().max().clamp(min=1e-30)))
        if size == 0:
            return torch.zeros_like(theta)
        h = float(torch.finfo(theta.dtype).eps) ** (1 / 3) / size
        ahead, behind = (
            self.field.gradient(torch.add(theta, dtheta, alpha=s), torch.add(w, dw, alpha=s), self.step)
            for s in (h, -h)
        )
        return ahead.sub_(behind).div_(2 * h)


@dataclass(frozen=True)
class Block:
    """A parameter as a matrix of ``rows`` x ``columns`` numbers, which lie in theta from ``start`` on."""

    name: str
    start: int
    rows: int
    columns: int

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + self.rows * self.columns


class Factors(Protocol):
    """Gradients of b samples by one block, as sums of few outer products."""

    def dense(self, which: slice) -> Tensor:
        """Of some of them, (b', rows, columns)."""

    def projected(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        """left^T G right, (b, i, j), for left (rows, i) and right (columns, j), the identity where None."""


class SampleGradients(ABC):
    """Gradients of single samples' terms of the training loss as a whole, at one point, in parts of some samples.

    Sample i's is that of s_i where the loss is sum_i w_i s_i, whatever w is.
    """

    blocks: Sequence[Block]
    """The parameters that they are of."""
    parts: Sequence[int]
    """How many samples each part has."""

    @abstractmethod
    def part(self, number: int) -> tuple[Tensor, Sequence[Factors]]:
        """Numbers of the samples of a part (b,), and their gradients by each of ``blocks``."""

    @abstractmethod
    def add(self, into: "Accumulator", rows: Tensor, scores: Tensor) -> None:
        """Add the scores (k, b) of some samples to what the field's ``accumulator`` gave."""


class CacheEntry(Protocol):
    """A place for what is computed once: ``load`` gives None where nothing is there."""

    def load(self) -> Any | None:
        """What was saved, a dict of arrays."""

    def save(self, value: Any) -> None:
        """Save it, complete or not at all."""


class Cache(Protocol):
    """Where a run keeps things: in memory or in its folder."""

    def entry(self, name: str, *key: Any, suffix: str = ".json") -> CacheEntry:
        """The place of what a name and plain values identify."""


class Curvature(ABC):
    """A linear map of parameter space that stands for the Jacobian C of the field of the training loss."""

    theta: Tensor
    """Where it is, (p,); directions are of its size, dtype and device."""
    steps: int = 0
    """Steps of the run whose own curvature ``of_step`` gives; 0 where it is of the training loss only."""
    part: Tensor | None = None
    """Parameters (p,) bool that it is of, zero elsewhere; all where None."""

    @abstractmethod
    def product(self, a: Tensor) -> Tensor:
        """C^T a for the rows of ``a``: (k, p) -> (k, p)."""

    def factorise(self, damping: float) -> Callable[[Tensor], Tensor] | None:
        """(k, p) -> (k, p), the rows by (C + damping)^-1, where a symmetric C has a way of its own; None where not."""
        return None

    def transposed(self) -> "Curvature":
        """The curvature whose ``product`` is C a, asked for where C is not symmetric; UserError where there is none."""
        raise UserError(f"{type(self).__name__} is not symmetric and has no product with its transpose: use jacobian.")

    def of_step(self, step: int) -> "Curvature":
        """The same of the mini-batch of a step; for those with ``steps``."""
        raise NotImplementedError


class Optimiser(Protocol):
    """One deterministic update rule and its exact adjoint."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Entries of the state that ``adjoint`` reads beside ``theta``; "gradient" is g_t, put there for it."""

    def init(self, theta: Tensor) -> State:
        """State before the first step."""

    def step(self, state: State, g: Tensor, t: int) -> State:
        """State after step t with field value ``g``; the given state is left as it was."""

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """Carry ``bar`` (each entry (k, ...)) back over step t, all but the part through the field; may overwrite it.

        Returns the new ``bar`` and ``a`` (k, p) = d(objective)/dg_t; the caller adds J^T a to ``bar["theta"]``.
        """


def result_of(optimiser: Optimiser) -> str:
    """The entry of the state that is the run's final parameters: the optimiser's ``result``, else ``theta``."""
    return str(getattr(optimiser, "result", "theta"))


class Trajectory(Protocol):
    """A finished training run that can be walked backwards."""

    field: Field
    optimiser: Optimiser
    steps: int

    @property
    def weights(self) -> Tensor:
        """Sample weights (n,); one and the same tensor from step to step."""

    @property
    def theta(self) -> Tensor:
        """Final parameters (p,)."""

    def backwards(self, start: int, *, gradient: bool = True) -> Iterator[tuple[int, State]]:
        """Yield (t, ``theta`` and what the optimiser needs before step t) for t = start - 1, ..., 0.

        Without its "gradient", where the caller has it from the ``value`` of a linearisation there.
        """


class Checkpoint(Protocol):
    """Where a long pass leaves what it needs to go on after a stop."""

    def load(self) -> Mapping[str, Tensor] | None:
        """What was last saved, or None."""

    def due(self, t: int) -> bool:
        """Whether enough has been done since the last save."""

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace what was saved; complete or not at all."""


class Estimator(ABC):
    """A way to compute scores, I_i = d f / d w_i; a frozen dataclass of its settings."""

    overflow: ClassVar[str] = "The scores overflowed: use float64."
    """The sentence of the UserError where a sum is not finite."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in tables and files, in lower case and hyphens."""

    @abstractmethod
    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores of every sample for every objective to ``into``."""

    def __call__(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        *,
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Accumulator:
        """Scores of every sample for every objective, by the ``samples`` of what it returns.

        UserError: an objective has no finite gradient, the scores overflow, or the estimator cannot take this run.
        """
        into = trajectory.field.accumulator(len(objectives))
        self.add(trajectory, objectives, into, progress or silent, checkpoint)
        if not all(bool(torch.isfinite(live).all()) for live in into.tensors().values()):
            raise UserError(self.overflow)
        return into

    def at(self, trajectory: Trajectory, cache: Cache | None = None) -> Callable[..., Accumulator]:
        """Return the estimator of one trajectory: what all its calls need is computed once, in the first.

        ``cache`` is where it may lie from one process to the next.
        """
        return partial(self, trajectory)

    def left_out(self, field: Field) -> list[tuple[str, int]]:
        """Names and sizes of the parameters whose part of the influence is not in the scores."""
        return []

    def damped(self, damping: float) -> "Estimator":
        """The same with a damping; UserError where there is none to give."""
        raise UserError(f"{self.name} takes no damping: it is for the inverse-Hessian estimators.")

    def settings(self) -> dict[str, Any] | None:
        """Plain values that identify it in any process; None where a function is among them, which nothing does."""
        try:
            return {"estimator": self.name, **_plain(self)}
        except TypeError:
            return None


class PreparedEstimator(Estimator):
    """One whose calls on a trajectory share work, such as a factorisation, which the first of them does."""

    @abstractmethod
    def prepared(self, trajectory: Trajectory, cache: Cache | None = None) -> Estimator:
        """The estimator of one trajectory, which does the work in its first call."""

    def at(self, trajectory: Trajectory, cache: Cache | None = None) -> Callable[..., Accumulator]:
        """Return the estimator of one trajectory, whose work serves all calls."""
        return partial(self.prepared(trajectory, cache), trajectory)

    def add(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        into: Accumulator,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Add the scores to ``into``."""
        self.prepared(trajectory).add(trajectory, objectives, into, progress, checkpoint)


def _plain(value: Any) -> Any:
    """A dataclass as a dict of its fields, and plain values as they are; TypeError for others."""
    if is_dataclass(value):
        return {"type": type(value).__name__} | {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError
