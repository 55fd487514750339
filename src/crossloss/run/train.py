"""Make a run: train a model, take one that was trained elsewhere, or open a folder. The same for every model."""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import crossloss
from crossloss import distributed, files, optimisers
from crossloss.core import Optimiser, UserError
from crossloss.memory import parse_bytes, peak_memory
from crossloss.models.base import Model
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.torch import TorchField
from crossloss.progress import track
from crossloss.run.folder import RunFolder
from crossloss.run.run import Run, as_weights, origin_of, settings_of
from crossloss.run.store import Store, content_key
from crossloss.run.trajectory import FolderStates, MemoryStates, NoTrajectory, States, Training, without_steps

MEMORY = "4GB"
"""Default budget of a run."""


def train(
    field: Model,
    optimiser: Optimiser | None = None,
    *,
    steps: int | None = None,
    seed: int | None = None,
    weights: object = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    memory: str = MEMORY,
) -> Run:
    """Train, and keep what scores need.

    Parameters
    ----------
    field : SkipGram or TorchField
        What to train, on which samples.
    optimiser : SGD, Adam, AdamW, HeavyBall or any ``core.Optimiser``, optional
        Skip-gram has one of its own.
    steps : int, optional
        Optimiser steps (mini-batches, not epochs); skip-gram: 50.
    seed : int, optional
        Of the initial parameters, for models that have starts; 0, or the module's own parameters.
    weights : (n,) array, optional
        Sample weights, such as a plan's; 1 by default. 0 leaves a sample out and still scores it. Whatever else is
        taken from the data (vocabulary, preconditioner, batch order) is that of the samples' own weights.
    out : path, optional
        Run folder: a stopped run in it goes on, a finished one is taken as it is.
    overwrite : bool
        Replace a different run in ``out``.
    memory : str
        Budget such as "4GB": where it is small, fewer states are stored and more replayed, and fewer objectives are
        scored in one pass.

    Raises
    ------
    UserError
        Settings or weights that do not fit, a folder that holds something else, training that diverges, or something
        in a torch model that is detached, random or not twice differentiable.

    Examples
    --------
    >>> run = cl.train(cl.SkipGram(corpus, keep_words=weat.words, dimension=50), out="runs/mine")
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.AdamW(lr=0.01), steps=20)
    """
    _require_model(field)
    steps = field.default_steps if steps is None else steps
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise UserError(f"steps is {steps!r}: it must be a whole number, at least 1.")
    rule = field.optimiser() if optimiser is None else optimiser
    if isinstance(rule, type) or not all(callable(getattr(rule, name, None)) for name in ("init", "step", "adjoint")):
        what = f"the class {rule.__name__}" if isinstance(rule, type) else f"a {type(rule).__name__}"
        raise UserError(
            f"The optimiser is {what}: give cl.SGD(lr=0.1), cl.Adam(...) or another one here, or record a loop of "
            "torch.optim with cl.Recorder."
        )
    w = as_weights(weights, field)
    seed = field.first_seed if seed is None else seed
    run = open_run(field, rule, int(steps), seed, w, out, overwrite, parse_bytes(memory), given=weights is not None)
    try:
        begun = time.perf_counter()
        with track("training") as progress:
            run.trajectory.run_to_end(progress)
        write_run(run, seconds=time.perf_counter() - begun)
    except BaseException:
        run.close()
        raise
    return run


def open_run(
    model: Model,
    optimiser: Optimiser,
    steps: int,
    seed: int | None,
    weights: Tensor,
    out: str | Path | None,
    overwrite: bool,
    memory: int,
    *,
    given: bool = False,
    initial: Tensor | None = None,
    every: int | None = None,
) -> Run:
    """A run that has not trained yet, or only in part, in memory or in the folder ``out``.

    Parameters
    ----------
    given : bool
        Whether the weights are not the model's own.
    initial, every : optional
        Initial parameters and spacing of the states of a run that was recorded.
    """
    store: Store = Store()
    if out is not None:
        known = content_key(weights.cpu().numpy()) if given else None
        identity = origin_of(model, optimiser, steps, seed) | {"weights": known}
        if initial is not None:
            identity["start"] = files.digest(initial.cpu().numpy())
        store = _open_folder(Path(out), identity, overwrite)
    try:
        if given:
            store.save("weights.safetensors", {"weights": weights.cpu().numpy()})
        run = _assemble(model, optimiser, steps, seed, weights, store, memory, initial, every)
        if seed is None:
            store.save("start.safetensors", {"theta": run.trajectory.initial.cpu().numpy()})
        return run
    except BaseException:
        store.close()
        raise


def write_run(run: Run, *, seconds: float | None = None, rows: Sequence[Tensor] = ()) -> None:
    """Check what training came to, and write model and figures; ``rows`` are the mini-batches of a recorded loop."""
    store, key = run.store, str(run.store.manifest.get("training"))
    if isinstance(store, RunFolder) and store.is_done("train", key, "model.safetensors", "metrics.json"):
        return
    run.model.check_end(run.trajectory.initial, run.theta, run.trajectory.weights)
    figures = {"train.loss": run.loss, "train.seconds": seconds, "peak_memory_bytes": peak_memory()}
    store.log_metrics(figures | dict(run.model.figures()))
    if isinstance(store, RunFolder):
        if rows:
            lengths, flat = np.array([len(row) for row in rows]), torch.cat(list(rows)).cpu().numpy()
            store.save("batches.safetensors", {"lengths": lengths, "rows": flat})
        store.set_meta(settings=settings_of(run))
        files.write_tensors(store.file("model.safetensors"), run.model.tensors(run.view))
        store.mark_done("train", key)


def imported(
    field: Model,
    weights: object = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    memory: str = MEMORY,
) -> Run:
    """A model that was trained elsewhere, as it is now: a run without steps.

    Estimators of the final parameters score it (inverse Hessian, gradient dot); what needs the steps says so.

    Parameters
    ----------
    field : Model
        Of ``cl.from_gensim``, ``cl.from_word2vec``, or a ``TorchField`` of a trained module.
    weights : (n,) array, optional
        Sample weights that it was trained with; 1 by default.
    out, overwrite, memory
        As for ``train``: scores and report go into the run folder ``out``.

    Raises
    ------
    UserError
        Weights that do not fit; losses or parameters that are not finite; a corpus without trained vectors; a folder
        that holds something else.

    Examples
    --------
    >>> run = cl.imported(cl.TorchField(model, loss, data))  # or of cl.from_gensim(word2vec, corpus)
    >>> scores = cl.score(run, [lambda m: F.cross_entropy(m(x), y)], "inverse-hessian-cg", damping=0.1)
    """
    _require_model(field)
    w = as_weights(weights, field)
    field.start(None)  # refuses, before the work, a model that brings no parameters
    run = open_run(
        field, NoTrajectory(), 0, None, w, out, overwrite, parse_bytes(memory), given=weights is not None
    )  # fmt: skip
    try:
        write_run(run)
    except BaseException:
        run.close()
        raise
    return run


def load(
    path: str | Path, field: Model | None = None, optimiser: Optimiser | None = None, *, memory: str = MEMORY
) -> Run:
    """Open a finished run folder.

    Parameters
    ----------
    path : path
    field : Model, optional
        What was trained, for models that a folder cannot hold (a torch module with its loss and data).
    optimiser : Optimiser, optional
        Where the run's was the user's own.
    memory : str
        As for ``train``.

    Raises
    ------
    UserError
        No run there, it did not finish, or it was of another field.

    Examples
    --------
    >>> cl.train(cl.SkipGram(corpus, dimension=8), out="runs/mine").close()
    >>> run = cl.load("runs/mine")
    >>> cl.train(cl.TorchField(model, loss, data), cl.SGD(lr=0.1), steps=20, out="runs/torch").close()
    >>> run = cl.load("runs/torch", cl.TorchField(model, loss, data))
    """
    if field is not None:
        _require_model(field)
    folder = RunFolder(Path(path))
    try:
        identity = folder.manifest.get("identity", {})
        if "train" not in folder.manifest["stages"]:
            raise UserError(f"The run in {path} did not finish training: give the command that made it again.")
        if field is None:
            if identity["field"]["model"] != SkipGram.kind:
                raise UserError(
                    f"{path} holds a {identity['field']['model']} run: pass its field, cl.load(path, field)."
                )
            field = SkipGram.from_folder(folder.path, identity["field"])
        else:
            if identity["field"]["model"] != field.kind:
                raise UserError(
                    f"{path} holds a {identity['field']['model']} run and the field is of {field.kind}: pass the one "
                    "it was of."
                )
            batches = folder.load("batches.safetensors")
            if batches is not None and isinstance(field, TorchField):
                ends = np.cumsum(batches["lengths"])[:-1]
                field = field.ordered([torch.from_numpy(part) for part in np.split(batches["rows"], ends)])
            if (known := field.identity(max(identity["steps"], 1), identity["seed"])) != identity["field"]:
                different = ", ".join(_differences(identity["field"], known))
                raise UserError(
                    f"{path} holds the run of another field (different: {different}): pass the one it was of."
                )
        rule = _rule(path, identity, optimiser)
        weights = (
            None if identity["weights"] is None else files.read_arrays(folder.file("weights.safetensors"))["weights"]
        )
        w, steps, seed = as_weights(weights, field), identity["steps"], identity["seed"]
        start = folder.load("start.safetensors")
        initial = None if start is None else torch.from_numpy(start["theta"]).to(field.device)
        run = _assemble(field, rule, steps, seed, w, folder, parse_bytes(memory), initial)
        run.trajectory.run_to_end()  # states that were deleted are made again
    except BaseException:
        folder.close()
        raise
    return run


def _rule(path: str | Path, identity: dict[str, Any], given: Optimiser | None) -> Optimiser:
    """The run's optimiser; UserError where another one is given."""
    known, steps = identity["optimiser"], identity["steps"]
    if given is None:
        return optimisers.from_dict(known) if steps else NoTrajectory()
    if not steps:
        raise UserError(f"{path} holds a model that was trained elsewhere: leave the optimiser out.")
    if (ours := optimisers.to_dict(given, steps)) != known:
        different = ", ".join(_differences(known, ours))
        raise UserError(f"{path} was trained with another optimiser (different: {different}): pass the one it was.")
    return given


def _require_model(field: object) -> None:
    if not isinstance(field, Model):
        raise UserError(f"A {type(field).__name__} cannot be trained: pass cl.SkipGram(corpus) or cl.TorchField(...).")


def _open_folder(path: Path, identity: dict[str, Any], overwrite: bool) -> RunFolder:
    folder = RunFolder(path, create=True, overwrite=overwrite)
    known = folder.manifest.get("identity")
    if known is not None and known != identity:
        begun = folder.manifest["stages"] or next((path / "states").glob("*.safetensors"), None)
        if begun and not overwrite:
            folder.close()
            raise UserError(
                f"{path} holds another run (different: {', '.join(_differences(known, identity))}): "
                "choose another --out, or --overwrite to replace it."
            )
        folder.clear()
    folder.set_meta(identity=identity, environment=environment())
    return folder


def _differences(known: Any, given: Any, name: str = "") -> list[str]:
    """Names of what differs between two identities."""
    if not (isinstance(known, dict) and isinstance(given, dict)):
        return [] if known == given else [name]
    both = sorted({*known, *given})
    return [
        found
        for key in both
        for found in _differences(known.get(key), given.get(key), name if key == "by_step" else key)
    ]


def environment() -> dict[str, str]:
    """Versions and threads that a run's bytes depend on."""
    return {
        "crossloss": crossloss.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "processes": str(distributed.count()),
        "cores": str(os.cpu_count()),
    }


def _assemble(
    model: Model,
    optimiser: Optimiser,
    steps: int,
    seed: int | None,
    weights: Tensor,
    store: Store,
    memory: int,
    initial: Tensor | None = None,
    every: int | None = None,
) -> Run:
    built, initial = model.build(store.path), model.start(seed) if initial is None else initial
    weights, key = weights.to(model.device), content_key(store.manifest.get("identity"))
    if not steps:
        model.check_imported(initial, weights)
        store.set_meta(training=key)
        return Run(model, built, without_steps(built, weights, initial), seed, memory, store)
    rule = model.prepare(optimiser)
    model.check_start(initial, weights)
    states: States = MemoryStates()
    if isinstance(store, RunFolder):
        states = FolderStates(store.file("states"), initial.device)
        if store.manifest.get("training") != key:
            states.clear()
            store.set_meta(training=key)
    every = model.footprint(rule).spacing(steps, memory) if every is None else every
    training = Training(model.started(initial), rule, weights, steps, initial, states, every)
    return Run(model, training.field, training, seed, memory, store, optimiser)
