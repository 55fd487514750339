"""Make a run: train a model, or take one that was trained elsewhere. The same for every model."""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Optimiser, UserError
from crossloss.models.base import Model
from crossloss.models.torch.steps import Part
from crossloss.run.batches import FILE, pack
from crossloss.run.folder import RunFolder
from crossloss.run.origin import differences, origin_of, settings_of
from crossloss.run.run import Run, as_weights
from crossloss.run.store import Store, content_key
from crossloss.run.trajectory import (
    FolderStates,
    MemoryStates,
    NoTrajectory,
    SpilledStates,
    Training,
    without_steps,
)
from crossloss.utils import distributed, files
from crossloss.utils.memory import free_disk, parse_bytes, peak_memory
from crossloss.utils.progress import track
from crossloss.utils.version import VERSION

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
    optimiser : SGD, AdamW, ParameterGroups, ... or any ``core.Optimiser``, optional
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
        Budget such as "4GB", or "free", what this machine has free: where it is small, fewer states are stored and more
        replayed, or they lie on disk, fewer objectives are scored in one pass, and batches of a torch model are dealt
        in pieces. ``run.estimate()`` says which.

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
    require_model(field)
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

    ``given`` weights are not the model's own; a recorded run brings its ``initial`` parameters and the least spacing of
    states that lie in memory, ``every``.
    """
    store: Store = Store()
    if out is not None:
        known = content_key(weights.cpu().numpy()) if given else None
        identity = origin_of(model, optimiser, steps, seed) | {"weights": known}
        if initial is not None:
            identity["start"] = files.digest(initial.cpu().numpy())
        store = _open_folder(Path(out), identity, model.samples, overwrite)
    try:
        if given:
            store.save("weights.safetensors", {"weights": weights.cpu().numpy()})
        run = assemble(model, optimiser, steps, seed, weights, store, memory, initial, every)
        if seed is None:
            store.save("start.safetensors", {"theta": run.trajectory.initial.cpu().numpy()})
        return run
    except BaseException:
        store.close()
        raise


def write_run(run: Run, *, seconds: float | None = None, batches: Sequence[Sequence[Part]] = ()) -> None:
    """Check the end of training, and write model and figures; ``batches`` are those of a recorded loop, by step."""
    store, key = run.store, str(run.store.manifest.get("training"))
    if isinstance(store, RunFolder) and store.is_done("train", key, "model.safetensors", "metrics.json"):
        return
    run.model.check_end(run.trajectory.initial, run.theta, run.trajectory.weights)
    figures = {"train.loss": run.loss, "train.seconds": seconds, "peak_memory_bytes": peak_memory()}
    store.log_metrics(figures | dict(run.model.figures()))
    if isinstance(store, RunFolder):
        if batches:
            files.write_tensors(store.file(FILE), pack(batches))
        store.set_meta(settings=settings_of(run.origin))
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
    require_model(field)
    w = as_weights(weights, field)
    field.start(None)  # refuses, before the work, a model that brings no parameters
    given = weights is not None
    run = open_run(field, NoTrajectory(), 0, None, w, out, overwrite, parse_bytes(memory), given=given)
    try:
        write_run(run)
    except BaseException:
        run.close()
        raise
    return run


def require_model(field: object) -> None:
    """Refuse what is no model."""
    if not isinstance(field, Model):
        raise UserError(f"A {type(field).__name__} cannot be trained: pass cl.SkipGram(corpus) or cl.TorchField(...).")


def _open_folder(path: Path, identity: dict[str, Any], samples: int, overwrite: bool) -> RunFolder:
    folder = RunFolder(path, create=True, overwrite=overwrite)
    known = folder.manifest.get("identity")
    if known is not None and known != identity:
        begun = folder.manifest["stages"] or next((path / "states").glob("*.safetensors"), None)
        if begun and not overwrite:
            folder.close()
            raise UserError(
                f"{path} holds another run (different: {', '.join(differences(known, identity))}): "
                "choose another folder, or overwrite=True to replace it."
            )
        folder.clear()
    folder.set_meta(identity=identity, environment=environment(), samples=samples)
    return folder


def environment() -> dict[str, str]:
    """Versions and threads that a run's bytes depend on."""
    return {
        "crossloss": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "processes": str(distributed.count()),
        "cores": str(os.cpu_count()),
    }


def assemble(
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
    """A run of a model from what was stored of it, or from its start."""
    model = model.within(memory) if steps else model
    known = store.manifest.get("kernels")
    if known or "training" in store.manifest:
        model.recall(known or {})
    built, initial = model.build(store.path), model.start(seed) if initial is None else initial
    if model.kernels and not known:
        store.set_meta(kernels=model.kernels)
    weights, key = weights.to(model.device), content_key(store.manifest.get("identity"))
    if not steps:
        model.check_imported(initial, weights)
        store.set_meta(training=key)
        return Run(model, built, without_steps(built, weights, initial), seed, memory, store)
    rule = model.prepare(optimiser, weights)
    model.check_start(initial, weights)
    storage = model.footprint(rule).storage(steps, memory, free_disk(store.path))
    states = MemoryStates()
    if isinstance(store, RunFolder):
        states = FolderStates(store.file("states"), initial.device)
        if store.manifest.get("training") != key:
            states.clear()
            store.set_meta(training=key)
    elif storage.on_disk:
        states = SpilledStates(initial.device)
    every = storage.every if every is None or storage.on_disk else max(every, storage.every)
    training = Training(model.started(initial), rule, weights, steps, initial, states, every)
    return Run(model, training.field, training, seed, memory, store, optimiser)
