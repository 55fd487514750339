"""Retrain with other weights and measure every objective; results are kept, so that nothing is trained twice."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.quality import quality
from crossloss.run import atomic
from crossloss.run.folder import array_key, content_key
from crossloss.run.progress import Track, quiet
from crossloss.run.runs import Run
from crossloss.scores import objective_key

BENCHMARKS = ("wordsim353", "simlex999")


class Retrainer:
    """Objectives of a run after training with other weights or from another start.

    Each retraining is as the run was (same field, optimiser and steps, a fresh start), is measured for all
    objectives at once, and in a run folder is stored as one small file under retrains/. The run's own weights from its
    own start are the run itself.

    Parameters
    ----------
    run : Run
    objectives : sequence of Objective
    track : Track
        Of each single retraining.
    """

    def __init__(self, run: Run, objectives: Sequence[Objective], track: Track = quiet) -> None:
        self.run, self.objectives, self.track = run, list(objectives), track
        self.folder = None
        described = [objective_key(o) for o in self.objectives]
        self._keys = {o.name: content_key(d) for o, d in zip(self.objectives, described, strict=True)}
        if run.folder is not None and all(d is not None for d in described):
            self.folder = run.folder.file("retrains")
            atomic.make_folder(self.folder)

    def __call__(self, weights: np.ndarray, *, seed: int | None = None) -> dict[str, float]:
        """Value of each objective by name, and ``wordsim353`` and ``simlex999`` where they can be measured."""
        seed = self.run.settings.seed if seed is None else seed
        weights = np.ascontiguousarray(weights, dtype=np.float64)
        name = content_key(self.run.key, array_key(weights), seed)[:32]
        path = None if self.folder is None else self.folder / f"{name}.json"
        stored: dict[str, Any] = {"objectives": {}, "values": {}, "seed": seed}
        if path is not None and path.exists():
            stored = atomic.read_json(path)
            if all(stored["objectives"].get(o.name) == self._keys[o.name] for o in self.objectives):
                return dict(stored["values"])
        if seed == self.run.settings.seed and np.array_equal(weights, self.run.weights):
            view = self.run.embeddings
        else:
            view = self.run.view(self.run.retrain(weights, seed=seed, track=self.track), seed=seed)
        values = {o.name: float(o(view)) for o in self.objectives}
        measured = quality(view.words, view.vectors.cpu().numpy())
        for benchmark, value in zip(BENCHMARKS, (measured.wordsim353, measured.simlex999), strict=True):
            if value is not None:
                values[benchmark] = value
        if path is not None:
            stored["objectives"] |= self._keys
            stored["values"] |= values
            atomic.write_json(path, stored)
        return values


def without(weights: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Copy of sample weights (n,) with some samples removed."""
    changed = np.array(weights, dtype=np.float64)
    changed[removed] = 0.0
    return changed


def changes(retrained: Sequence[Mapping[str, float]], name: str, value: float) -> np.ndarray:
    """Change of one objective in each retraining, (m,)."""
    found = np.array([values[name] for values in retrained]) - value
    if not np.isfinite(found).all():
        raise UserError(f"A retraining has no finite value of {name}.")
    return found
