"""What the backward pass of a run takes, before it is made."""

from crossloss.models.base import Model
from crossloss.run.trajectory import FolderStates, Training
from crossloss.utils.display import several
from crossloss.utils.memory import DISK_SHARE, Estimate, Storage, free_disk, resident_memory

WORK = 9
"""Vectors of parameters that are alive within the adjoint of a step, beside state and bar: measured for AdamW."""
FEW = 1 / 16
"""Part of the budget that a retraining's states may always take in memory."""


def estimate_backward_pass(model: Model, training: Training, objectives: int) -> Estimate:
    """Memory for so many objectives at once, and where the states lie."""
    needed, every = model.footprint(training.optimiser), training.every
    on_disk = isinstance(training.states, FolderStates)
    storage = Storage(every, on_disk, needed.stored(training.steps, every))
    parts = {
        "this process now": resident_memory(),
        "states": 0 if on_disk else max(0, storage.stored - len(training.states.stored()) * needed.state),
        "steps taken again": every * needed.replayed,
        several(objectives, "objective"): needed.direction * objectives,
        "adjoint of a step": WORK * needed.theta,
        "activations": model.activations(),
    }
    return Estimate(storage, training.steps, sum(parts.values()), parts)


def spills(model: Model, training: Training, memory: int) -> bool:
    """Whether a retraining's states lie on disk: those of the run do, or the budget does not bear them.

    They would lie in memory beside what the process holds now, or what a run holds at least, which a run that was
    opened again has not made yet. They are walked back with one objective; a step of it takes about as much again as
    the objective keeps.
    """
    needed, disk = model.footprint(training.optimiser), free_disk(None)
    stored = needed.stored(training.steps, training.every)
    if needed.storage(training.steps, memory, disk).on_disk:
        return True
    held = max(resident_memory(), needed.fixed)
    full = held + stored + 2 * needed.direction > memory
    return full and FEW * memory < stored <= DISK_SHARE * disk
