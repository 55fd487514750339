"""What holds crossloss together: errors, protocols, and base classes with their defaults.

Everything an estimator knows of a model is a :class:`Field`. A training run is the deterministic map from sample
weights to final parameters; its derivative is a score. Shapes: ``p`` parameters, ``n`` samples, ``k`` directions (one
per objective).
"""

from crossloss.core.curvature import Curvature
from crossloss.core.errors import Absent, UserError, refusing
from crossloss.core.estimator import Estimator, PreparedEstimator, Progress, silent
from crossloss.core.field import FULL_BATCH, Field, Linearisation
from crossloss.core.gradients import Accumulator, Block, Factors, SampleGradients
from crossloss.core.objective import Family, Objective
from crossloss.core.optimiser import Optimiser, State, result_of
from crossloss.core.trajectory import Cache, CacheEntry, Checkpoint, Trajectory

__all__ = [
    "FULL_BATCH",
    "Absent",
    "Accumulator",
    "Block",
    "Cache",
    "CacheEntry",
    "Checkpoint",
    "Curvature",
    "Estimator",
    "Factors",
    "Family",
    "Field",
    "Linearisation",
    "Objective",
    "Optimiser",
    "PreparedEstimator",
    "Progress",
    "SampleGradients",
    "State",
    "Trajectory",
    "UserError",
    "refusing",
    "result_of",
    "silent",
]
