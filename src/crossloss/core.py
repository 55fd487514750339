"""The protocols that hold crossloss together, and nothing else.

Everything an estimator knows of a model is a :class:`Field`: what the optimiser receives at a step, and
the transposed product with its Jacobian. An objective is any differentiable scalar of the parameters. A
training run is the deterministic map from sample weights to final parameters; its derivative is a score.

Shapes: ``p`` parameters, ``n`` samples, ``k`` directions (one per objective).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

State = dict[str, Tensor]
"""What the optimiser carries from step to step; always holds ``theta`` (p,)."""

Progress = Callable[[int, int], None]
"""Called with (done, total) as work proceeds."""

WHOLE = -1
"""The step that stands for no step: the field of the whole training loss, whatever the mini-batches are."""


class UserError(Exception):
    """Something the user can mend: one sentence that says what is wrong and what to do."""


class Absent(UserError, KeyError):
    """A name that is not there: what a mapping raises, and a sentence to the user."""

    __str__ = Exception.__str__


@runtime_checkable
class Objective(Protocol):
    """A differentiable scalar f(theta), in its own unit."""

    @property
    def name(self) -> str:
        """What it is called in tables and files."""
        ...

    def __call__(self, view: Any, /) -> Tensor:
        """Value of the objective, shape (), of what ``Field.view`` shows of the parameters."""
        ...


class Family(Protocol):
    """Objectives that are computed together; each of them has it as ``family``, and its ``index`` in it."""

    def __call__(self, view: Any, /) -> Tensor:
        """Values of all, (m,)."""
        ...

    def one(self, view: Any, index: Tensor) -> Tensor:
        """Value of the one at ``index`` (an int64 tensor of shape ()), shape (), fit for ``torch.func.vmap``."""
        ...


class Accumulator(Protocol):
    """Collects d<g, a>/d(atom weight) for k directions over the steps of a run."""

    def samples(self) -> Tensor:
        """Project from atoms to samples once, at the end: (k, n)."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors that hold the sums, (k, ...) each, to be saved and copied back into."""
        ...


class Field(Protocol):
    """What the optimiser receives at step t: g_t(theta, w), and its transposed Jacobian product.

    ``theta`` is one flat contiguous tensor (p,), one dtype, one device. ``w`` is (n,). ``step`` counts from 0;
    ``WHOLE`` asks for the whole training loss, which gradient dot and curvature are of.
    """

    def gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """g_t(theta, w), shape (p,)."""
        ...

    def pullback(self, theta: Tensor, w: Tensor, step: int, a: Tensor, into: Accumulator) -> Tensor:
        """J^T a for the rows of ``a`` (k, p); adds d<g, a>/d(atom weight) to ``into``. Returns (k, p)."""
        ...

    def accumulator(self, k: int) -> Accumulator:
        """Return an accumulator of zeros for k directions."""
        ...

    def view(self, theta: Tensor) -> Any:
        """Names and shapes: all that an objective sees of the parameters."""
        ...


@runtime_checkable
class Pushforward(Protocol):
    """What a field may also be: one that knows its derivative along a direction."""

    def pushforward(self, theta: Tensor, w: Tensor, step: int, dtheta: Tensor, dw: Tensor) -> Tensor:
        """J dtheta + (dg/dw) dw, shape (p,)."""
        ...


@runtime_checkable
class Pairing(Protocol):
    """What a field may also be: one that can leave J^T a out of a pullback."""

    def pairing(self, theta: Tensor, w: Tensor, step: int, a: Tensor, into: Accumulator) -> None:
        """Add to ``into`` what ``pullback`` adds."""
        ...


@runtime_checkable
class Linearises(Protocol):
    """What a field may also be: one that is pulled back again and again at one point for less."""

    def linearised(self, theta: Tensor, w: Tensor, step: int) -> Callable[[Tensor, Accumulator], Tensor]:
        """Return ``pullback`` at one point, as a function of (a, into)."""
        ...


class Curvature(Protocol):
    """A linear map of parameter space that stands for the Jacobian of the field of the training loss."""

    def product(self, a: Tensor) -> Tensor:
        """Its transpose applied to the rows of ``a``: (k, p) -> (k, p)."""
        ...


@runtime_checkable
class Invertible(Curvature, Protocol):
    """A curvature that is symmetric and solved directly."""

    def solve(self, b: Tensor, damping: float) -> Tensor:
        """X with (curvature + damping) x = b for the rows of ``b`` (k, p); UserError where it is singular."""
        ...


@runtime_checkable
class OffersCurvature(Protocol):
    """What a field may also be: one with curvatures of its own."""

    def curvature(self, kind: str, theta: Tensor, w: Tensor) -> Curvature:
        """The curvature called ``kind`` at ``theta``; UserError that lists the kinds where there is none."""
        ...


class Optimiser(Protocol):
    """One deterministic update rule and its exact adjoint.

    ``needs`` names what the adjoint reads of the state beside ``theta``; "gradient" among them asks for g_t, which
    is no part of the state and is put into it for the adjoint.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """Entries of the state that ``adjoint`` reads beside ``theta``; "gradient" is g_t."""
        ...

    def init(self, theta: Tensor) -> State:
        """State before the first step."""
        ...

    def step(self, state: State, g: Tensor, t: int) -> State:
        """State after step t with field value ``g``; the given state is left as it was."""
        ...

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """Carry ``bar`` (each entry (k, ...)) back over step t, all but the part through the field.

        Returns the new ``bar`` and ``a`` (k, p) = d(objective)/dg_t; the caller adds J^T a to
        ``bar["theta"]``. May reuse the memory of ``bar``.
        """
        ...


class Trajectory(Protocol):
    """A finished training run that can be walked backwards."""

    field: Field
    optimiser: Optimiser
    steps: int

    @property
    def weights(self) -> Tensor:
        """Sample weights (n,); one and the same tensor from step to step."""
        ...

    @property
    def theta(self) -> Tensor:
        """Final parameters (p,)."""
        ...

    def backwards(self, start: int) -> Iterator[tuple[int, State]]:
        """Yield (t, ``theta`` and what the optimiser needs before step t) for t = start - 1, ..., 0."""
        ...


class Checkpoint(Protocol):
    """Where a long pass leaves what it needs to go on after a stop."""

    def load(self) -> Mapping[str, Tensor] | None:
        """What was last saved, or None."""
        ...

    def due(self, t: int) -> bool:
        """Whether enough has been done since the last save."""
        ...

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace what was saved; complete or not at all."""
        ...


class Estimator(Protocol):
    """A way to compute scores. Returns I_i = d f / d w_i through its accumulator's ``samples``."""

    def __call__(
        self,
        trajectory: Trajectory,
        objectives: Sequence[Objective],
        *,
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Accumulator:
        """Scores of every sample for every objective."""
        ...
