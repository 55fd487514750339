"""What the backward pass of a run takes, before it is made."""

import math

from crossloss.models.base import Model
from crossloss.run.trajectory import FolderStates, Training
from crossloss.utils.display import several
from crossloss.utils.memory import Estimate, Storage, resident_memory

WORK = 9
"""Vectors of parameters that are alive within the adjoint of a step, beside state and bar: measured for AdamW."""


def estimate_backward_pass(model: Model, training: Training, objectives: int) -> Estimate:
    """Memory for so many objectives at once, and where the states lie."""
    needed, every = model.footprint(training.optimiser), training.every
    on_disk = isinstance(training.states, FolderStates)
    storage = Storage(every, on_disk, (math.ceil(training.steps / every) + 1) * needed.state)
    parts = {
        "this process now": resident_memory(),
        "states": 0 if on_disk else max(0, storage.stored - len(training.states.stored()) * needed.state),
        "steps taken again": every * needed.replayed,
        several(objectives, "objective"): needed.direction * objectives,
        "adjoint of a step": WORK * needed.theta,
        "activations": model.activations(),
    }
    return Estimate(storage, training.steps, sum(parts.values()), parts)
