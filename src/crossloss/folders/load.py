"""Open a finished run folder."""

from pathlib import Path
from typing import Any

import torch

from crossloss import optimisers
from crossloss.core import Optimiser, UserError
from crossloss.folders.without_field import open_without_field
from crossloss.models.base import Model
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.torch import TorchField
from crossloss.models.torch.steps import RecordedOrder
from crossloss.run.batches import FILE, unpack
from crossloss.run.folder import RunFolder
from crossloss.run.origin import differences
from crossloss.run.run import Run, as_weights
from crossloss.run.train import MEMORY, assemble, require_model
from crossloss.run.trajectory import NoTrajectory
from crossloss.utils import files
from crossloss.utils.memory import parse_bytes


def load(
    path: str | Path, field: Model | None = None, optimiser: Optimiser | None = None, *, memory: str = MEMORY
) -> Run:
    """Open a finished run folder.

    Parameters
    ----------
    path : path
    field : Model, optional
        What was trained, for models that a folder cannot hold (a torch module with its loss and data). Without it such
        a run opens for what is stored: settings, figures, parameters, scores, plans, tables and the report.
    optimiser : Optimiser, optional
        Where the run's was the user's own.
    memory : str
        As for ``train``.

    Raises
    ------
    UserError
        No run there, it did not finish, or it was of another field; later, what needs a field that was not given.

    Examples
    --------
    >>> cl.train(cl.SkipGram(corpus, dimension=8), out="runs/mine").close()
    >>> run = cl.load("runs/mine")
    >>> cl.train(cl.TorchField(model, loss, data), cl.SGD(lr=0.1), steps=20, out="runs/torch").close()
    >>> run = cl.load("runs/torch", cl.TorchField(model, loss, data))
    """
    if field is not None:
        require_model(field)
    folder, budget = RunFolder(Path(path)), parse_bytes(memory)
    try:
        identity = folder.manifest.get("identity", {})
        if "train" not in folder.manifest["stages"]:
            raise UserError(f"The run in {path} did not finish training: give what made it again, and it goes on.")
        kind, seed = identity["field"]["model"], identity["seed"]
        weights = None
        if identity["weights"] is not None:
            weights = files.read_arrays(folder.file("weights.safetensors"))["weights"]
        if field is None and kind != SkipGram.kind:
            return open_without_field(folder, identity, weights, budget)
        if field is None:
            field = SkipGram.from_folder(folder.path, identity["field"])
        else:
            field = _checked(field, folder, identity)
        rule, steps = _rule(path, identity, optimiser), identity["steps"]
        start = folder.load("start.safetensors")
        initial = None if start is None else torch.from_numpy(start["theta"]).to(field.device)
        run = assemble(field, rule, steps, seed, as_weights(weights, field), folder, budget, initial)
        run.trajectory.run_to_end()  # states that were deleted are made again
    except BaseException:
        folder.close()
        raise
    return run


def _checked(field: Model, folder: RunFolder, identity: dict[str, Any]) -> Model:
    """The field, with the mini-batches of a recorded loop; UserError where the run is of another one."""
    kind = identity["field"]["model"]
    if kind != field.kind:
        raise UserError(f"{folder.path} holds a {kind} run and the field is of {field.kind}: pass the one it was of.")
    if isinstance(field, TorchField) and (batches := folder.file(FILE)).exists():
        field = field.ordered(RecordedOrder(unpack(files.read_tensors(batches))))
    if (given := field.identity(max(identity["steps"], 1), identity["seed"])) != identity["field"]:
        different = ", ".join(differences(identity["field"], given))
        raise UserError(
            f"{folder.path} holds the run of another field (different: {different}): pass the one it was of."
        )
    return field


def _rule(path: str | Path, identity: dict[str, Any], given: Optimiser | None) -> Optimiser:
    """The run's optimiser; UserError where another one is given."""
    known, steps = identity["optimiser"], identity["steps"]
    if given is None:
        return optimisers.from_dict(known) if steps else NoTrajectory()
    if not steps:
        raise UserError(f"{path} holds a model that was trained elsewhere: leave the optimiser out.")
    if (ours := optimisers.to_dict(given, steps)) != known:
        different = ", ".join(differences(known, ours))
        raise UserError(f"{path} was trained with another optimiser (different: {different}): pass the one it was.")
    return given
