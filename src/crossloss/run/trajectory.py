"""Stepping a field from initial to final parameters, and walking back over the same steps.

Every s-th full state is stored; the steps between are replayed. A stopped run goes on from the stored states.
"""

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from crossloss.core import Field, Optimiser, Progress, State, UserError, result_of
from crossloss.utils import distributed
from crossloss.utils.files import delete, make_folder, read_tensors, write_own, write_tensors


class MemoryStates:
    """Stored states by step, in memory."""

    def __init__(self) -> None:
        self._states: dict[int, State] = {}

    def put(self, t: int, state: State) -> None:
        """Store a copy of the state before step t."""
        self._states[t] = {name: tensor.clone() for name, tensor in state.items()}

    def get(self, t: int) -> State:
        """Return a copy of the state before step t; KeyError where it is not stored."""
        return {name: tensor.clone() for name, tensor in self._states[t].items()}

    def stored(self) -> list[int]:
        """Steps whose state is stored, ascending."""
        return sorted(self._states)

    def clear(self) -> None:
        """Delete all states."""
        self._states.clear()


class FolderStates(MemoryStates):
    """Stored states by step, as one safetensors file each."""

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        self.folder, self.device = folder, device
        make_folder(folder)

    def _path(self, t: int) -> Path:
        return self.folder / f"{t:06d}.safetensors"

    def put(self, t: int, state: State) -> None:
        """Write the state before step t."""
        write_tensors(self._path(t), state)

    def get(self, t: int) -> State:
        """Read the state before step t; KeyError where it is not stored."""
        if not self._path(t).exists():
            raise KeyError(t)
        return {name: tensor.to(self.device) for name, tensor in read_tensors(self._path(t)).items()}

    def stored(self) -> list[int]:
        """Steps whose state is stored, ascending."""
        return sorted(int(p.stem) for p in self.folder.glob("*.safetensors") if re.fullmatch("[0-9]{6,}", p.stem))

    def clear(self) -> None:
        """Delete all states."""
        delete(self.folder, "*.safetensors")


class SpilledStates(FolderStates):
    """States that memory does not bear, in a temporary folder of this process that goes with them."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="crossloss-", ignore_cleanup_errors=True)
        super().__init__(Path(self._temporary.name), device)

    def put(self, t: int, state: State) -> None:
        """Write the state before step t, of this process alone."""
        write_own(self._path(t), state)

    def clear(self) -> None:
        """Delete all states."""
        for t in self.stored():
            self._path(t).unlink()


def steps_from(
    field: Field, optimiser: Optimiser, weights: Tensor, state: State, first: int, last: int
) -> Iterator[tuple[int, State]]:
    """Yield (t, state before step t) for t = first + 1, ..., last; UserError where parameters are no longer finite."""
    for t in range(first, last):
        state = optimiser.step(state, field.gradient(state["theta"], weights, t), t)
        if not bool(torch.isfinite(state["theta"].sum())):
            raise UserError(f"Training diverged at step {t + 1}: choose a smaller lr=.")
        yield t + 1, state


class HandedOut:
    """A tensor that is handed out as one and the same copy, or as a new one where that was written into.

    One and the same, since a field keeps what it computed for the weights that it saw last.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._own = tensor.detach().clone()
        self._copy = self._own.clone()

    def __call__(self) -> Tensor:
        """The copy."""
        if not torch.equal(self._copy, self._own):
            self._copy = self._own.clone()
        return self._copy


class Training:
    """A training run (a ``core.Trajectory``): where it starts, how it steps, what of it is stored.

    Its tensors are its own: what is done to one that was passed in or handed out changes nothing here.

    Parameters
    ----------
    field, optimiser : Field, Optimiser
    weights : (n,) tensor
    steps : int
    initial : (p,) tensor
    states : MemoryStates
    every : int
        s; the first and last states are always stored.
    """

    def __init__(
        self,
        field: Field,
        optimiser: Optimiser,
        weights: Tensor,
        steps: int,
        initial: Tensor,
        states: MemoryStates,
        every: int = 1,
    ) -> None:
        self.field, self.optimiser, self.steps, self.states, self.every = field, optimiser, steps, states, every
        self._weights, self._initial = HandedOut(weights), HandedOut(initial)
        self._sparse = False

    def changed(self, **parts: Any) -> "Training":
        """The same run with some of its parts replaced, as they are named above."""
        names = ("field", "optimiser", "weights", "steps", "initial", "states", "every")
        return Training(**({name: getattr(self, name) for name in names} | parts))

    @property
    def weights(self) -> Tensor:
        """Sample weights (n,)."""
        return self._weights()

    @property
    def initial(self) -> Tensor:
        """Parameters before the first step, (p,)."""
        return self._initial()

    @property
    def theta(self) -> Tensor:
        """Final parameters (p,)."""
        return self.states.get(self.steps)[result_of(self.optimiser)]

    def run_to_end(self, progress: Progress | None = None, *, states: bool = True) -> None:
        """Step from the last stored state to the end; a first state that is not there is made again.

        Without ``states`` the first and the last alone are stored, and those between when someone walks backwards.
        """
        self._sparse = not states
        stored = [t for t in self.states.stored() if t <= self.steps]
        if stored[:1] != [0]:
            self.states.put(0, self.optimiser.init(self.initial))
        self._step(stored[-1] if stored else 0, self.steps, self.every if states else self.steps, progress)

    def _step(self, first: int, last: int, every: int, progress: Progress | None = None) -> None:
        """Step from one stored state, and store every so many of the next, and the last of the run."""
        if first == last:
            return
        start = self.states.get(first)
        for t, state in steps_from(self.field, self.optimiser, self.weights, start, first, last):
            if t % every == 0 or t == self.steps:
                self.states.put(t, state)
            if progress:
                progress(t, self.steps)

    def backwards(self, start: int, *, gradient: bool = True) -> Iterator[tuple[int, State]]:
        """Yield (t, what the adjoint needs of the state before step t) for t = start - 1, ..., 0."""
        if self._sparse:
            self._step(0, self.steps - 1, self.every)
            self._sparse = False
        names = [name for name in ("theta", *self.optimiser.needs) if gradient or name != "gradient"]
        gradients = "gradient" in names
        stored, weights = [t for t in self.states.stored() if t < start], self.weights
        for first in reversed(stored):
            state, stretch = self.states.get(first), []
            for t in range(first, start):
                last = t == start - 1
                if gradients or not last:
                    g = self.field.gradient(state["theta"], weights, t)
                stretch.append({name: g if name == "gradient" else state[name] for name in names})
                if not last:
                    state = self.optimiser.step(state, g, t)
            del state  # which may be large
            for t in reversed(range(first, start)):
                yield t, stretch.pop()
            start = first


class NoTrajectory:
    """The optimiser of a run without steps, or whose steps need its field: all that is asked of it is refused."""

    needs: tuple[str, ...] = ()

    def __init__(self, sentence: str | None = None) -> None:
        self.sentence = sentence or (
            "This model was trained elsewhere, so there is no run to go back over: score it with inverse-hessian or "
            "gradient-dot, or train on from it here, cl.train(field, ...)."
        )

    def _refuse(self, *unused: object, **named: object) -> NoReturn:
        raise UserError(self.sentence)

    init = step = adjoint = _refuse


def without_steps(field: Field, weights: Tensor, theta: Tensor) -> Training:
    """Final parameters (p,) of a model trained elsewhere, as a training of no steps with sample weights (n,)."""
    states = MemoryStates()
    states.put(0, {"theta": theta.detach()})
    return Training(field, NoTrajectory(), weights, 0, theta, states)


class FileCheckpoint:
    """A ``core.Checkpoint`` in one file, saved at most every ``seconds``, or after ten times what a save takes.

    Of several processes each has a file, with its own part of the sums; they save at the same steps, and go on only
    where all were saved at the same one.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu", seconds: float = 30.0) -> None:
        if distributed.count() > 1:
            path = path.with_suffix(f".{distributed.rank() + 1}-of-{distributed.count()}{path.suffix}")
        self.path, self.device, self.seconds = path, device, seconds
        self._last, self._took = time.monotonic(), 0.0

    def load(self) -> dict[str, Tensor] | None:
        """What was last saved, or None."""
        saved = read_tensors(self.path) if self.path.exists() else None
        at = torch.zeros(distributed.count(), dtype=torch.int64)
        at[distributed.rank()] = -1 if saved is None else saved["step"]
        distributed.add_(at)
        if saved is None or bool((at != at[0]).any()):
            return None
        return {name: tensor.to(self.device) for name, tensor in saved.items()}

    def due(self, t: int) -> bool:
        """Whether ``seconds`` have passed since the last save, for any process."""
        passed = time.monotonic() - self._last >= max(self.seconds, 10 * self._took)
        return bool(distributed.add_(torch.tensor([float(passed)])) > 0)

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the file; ``tensors`` hold the ``step``."""
        begun = time.monotonic()
        write_own(self.path, tensors)
        self._last = time.monotonic()
        self._took = 0.0 if self.seconds == 0 else self._last - begun
