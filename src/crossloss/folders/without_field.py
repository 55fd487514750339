"""A run whose folder was opened without its field: what is stored of it; the rest is refused in one sentence."""

from collections import UserDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Field, Objective, UserError
from crossloss.models.base import Model
from crossloss.models.torch.model import SAMPLES
from crossloss.objectives import Function
from crossloss.run.folder import RunFolder
from crossloss.run.run import Run, as_weights
from crossloss.run.trajectory import FolderStates, MemoryStates, NoTrajectory, Training


class Parameters(UserDict[str, Tensor]):
    """Final parameters by name; there is no module to call."""

    def __init__(self, parameters: Mapping[str, Tensor], sentence: str = "") -> None:
        super().__init__(parameters)
        self.sentence = sentence

    def __call__(self, *unused: object, **named: object) -> NoReturn:
        """Refuse."""
        raise UserError(self.sentence)


@dataclass(frozen=True)
class StoredFunction(Function):
    """A Python function that was scored, without its code: its value at the run's final parameters.

    ``key`` is its name, value and length of its gradient, which identify it.
    """

    key: tuple[str, float, float | None]


class StoredField(Model, Field):
    """What a folder holds of a field."""

    device = torch.device("cpu")
    has_starts = True  # those that were measured are stored; any other needs the field

    def __init__(self, folder: RunFolder, kind: str, parameters: Mapping[str, Tensor]) -> None:
        self.folder, self.kind, self.parameters = folder, kind, parameters  # type: ignore[misc]
        self.sentence = (
            f"This needs the field of the run in {folder.path}, which was opened without it: "
            f"cl.load({str(folder.path)!r}, field)."
        )

    def _refuse(self, *unused: object, **named: object) -> NoReturn:
        raise UserError(self.sentence)

    build = started = start = identity = footprint = loss = _refuse
    gradient = at = accumulator = curvature = _refuse

    @property
    def samples(self) -> int:
        """Number of samples, n."""
        return int(self.folder.manifest["samples"])

    def view(self, theta: Tensor) -> Parameters:
        """Parameters by name."""
        parts = torch.split(theta, [p.numel() for p in self.parameters.values()])
        shaped = {name: part.view_as(p) for (name, p), part in zip(self.parameters.items(), parts, strict=True)}
        return Parameters(shaped, self.sentence)

    def function(self, key: Sequence[Any]) -> StoredFunction:
        """A function that was scored."""

        def value(view: Parameters) -> Tensor:
            if not all(torch.equal(view[name], final) for name, final in self.parameters.items()):
                self._refuse()
            return torch.tensor(key[1], dtype=torch.float64)

        return StoredFunction(key[0], value, (key[0], key[1], key[2]))

    def check_objectives(self, field: Field, theta: Tensor, objectives: Sequence[Objective]) -> None:
        """Refuse those whose scores cannot be stored."""
        if not all(isinstance(o, StoredFunction) for o in objectives):
            self._refuse()

    @cached_property
    def _columns(self) -> Mapping[str, Sequence[Any]]:
        table = self.folder.load(SAMPLES)
        return {} if table is None else table.to_pydict()

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """Texts of the samples by column, where the field showed some."""
        return self._columns

    def show(self, sample: int) -> Any:
        """The text of a sample, or its row."""
        row = {name: values[sample] for name, values in self._columns.items()}
        return row.get("text") if [*row] == ["text"] else row or super().show(sample)


class StoredRun(Run):
    """A run that knows of its objectives what was stored of them."""

    @cached_property
    def origin(self) -> dict[str, Any]:
        """As it was when it was trained."""
        identity = self.store.manifest["identity"]
        return {name: identity[name] for name in ("field", "optimiser", "steps", "seed")}

    def fingerprint(self, objective: Objective) -> Any:
        """As it was stored."""
        return list(objective.key) if isinstance(objective, StoredFunction) else super().fingerprint(objective)

    def remember(self, objectives: Sequence[Any]) -> list[Any]:
        """Nothing: the objectives are those stored."""
        return self.objectives


def open_without_field(
    folder: RunFolder, identity: dict[str, Any], weights: np.ndarray | None, memory: int
) -> StoredRun:
    """The run in a folder, with the scores that were made last; UserError where parts of it are missing."""
    tensors, start = folder.load("model.safetensors") or {}, folder.load("start.safetensors")
    steps = identity["steps"]
    try:
        parameters = {name: torch.from_numpy(tensors[name]) for name in identity["field"]["parameters"][0]}
        initial = torch.from_numpy(start["theta"]) if start else FolderStates(folder.file("states")).get(0)["theta"]
        folder.manifest["samples"]
    except KeyError as error:
        raise UserError(
            f"{folder.path} does not hold all that opens a run without its field (no {error}): give the field, "
            "cl.load(path, field)."
        ) from error
    field = StoredField(folder, identity["field"]["model"], parameters)
    states = MemoryStates()
    states.put(0, {"theta": initial})
    states.put(steps, {"theta": torch.cat([p.reshape(-1) for p in parameters.values()])})
    rule = NoTrajectory(field.sentence if steps else None)
    training = Training(field, rule, as_weights(weights, field), steps, initial, states)
    run = StoredRun(field, field, training, identity["seed"], memory, folder)
    run.results.scores = _scores(run, field)
    return run


def _scores(run: StoredRun, field: StoredField) -> Any:
    """The scores that ``cl.score`` made last, where all of them are stored."""
    from crossloss.scores.scores import Scores  # which are of runs

    scored = run.store.manifest.get("scored")
    if scored is None:
        return None
    objectives = [field.function(key) for key in scored["objectives"]]
    name = f"influence-{scored['estimator']}"
    rows = [run.store.entry(name, o.key, scored["settings"], suffix=".safetensors").load() for o in objectives]
    atoms = [row["atoms"] for row in rows if row is not None]
    return Scores(run, scored["estimator"], objectives, np.stack(atoms)) if len(atoms) == len(rows) else None
