"""Retrain with other weights and measure every objective; results are stored, so that nothing is trained twice."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossloss.core import Objective, UserError
from crossloss.objectives import as_objective
from crossloss.run.run import Run
from crossloss.run.store import content_key


class Retrainer:
    """Objectives of a run after training with other weights or from another start.

    Each is measured for all objectives at once and stored: in a run folder as one small file under retrains/. The run's
    own weights from its own start are the run itself. ``view`` is what was measured last; None where its values were
    stored.
    """

    def __init__(self, run: Run, objectives: Sequence[Objective]) -> None:
        self.run, self.objectives = run, [as_objective(o) for o in objectives]
        self.view: Any = None
        self._keys = {o.name: content_key(run.fingerprint(o)) for o in self.objectives}

    def __call__(self, weights: np.ndarray | None = None, *, seed: int | None = None) -> dict[str, float]:
        """Value of each objective by name, and the model's benchmarks; the run's own weights and start where None."""
        run = self.run
        own = run.weights if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        seed = run.seed if seed is None else seed
        entry = run.store.entry("retrains/values", own, seed)
        stored = entry.load() or {"objectives": {}, "values": {}, "seed": seed}
        if all(stored["objectives"].get(name) == key for name, key in self._keys.items()):
            self.view = None
            return dict(stored["values"])
        same = seed == run.seed and np.array_equal(own, run.weights)
        self.view = view = (run if same else run.retrain(own, seed=seed)).view
        values = {o.name: float(o(view)) for o in self.objectives} | run.model.benchmarks(view)
        entry.save(stored | {"objectives": stored["objectives"] | self._keys, "values": stored["values"] | values})
        return values


def without(weights: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Copy of sample weights (n,) with some samples removed."""
    changed = np.array(weights, dtype=np.float64)
    changed[removed] = 0.0
    return changed


def changes(retrained: Sequence[Mapping[str, float]], name: str, value: float) -> np.ndarray:
    """Change of one objective in each retraining, (m,)."""
    change = np.array([values[name] for values in retrained]) - value
    if not np.isfinite(change).all():
        raise UserError(f"A retraining has no finite value of {name}.")
    return change
