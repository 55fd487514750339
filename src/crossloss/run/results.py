"""The results of a run in this process, for its report."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Results:
    """What was last made of a run: by ``cl.score``, ``cl.plan``, ``cl.evaluate``, ``cl.validate`` and the others.

    Attributes
    ----------
    scores : Scores or None
    plans : dict of str to Plan
        By their names.
    evaluations : dict of str to Evaluation
        By their names.
    validation : Validation or None
    spreads : dict of str to Spread
        By objective or benchmark.
    flips : dict of str to list of SmallestFlip
        By objective.
    smoothness : Smoothness or None
    """

    scores: Any = None
    plans: dict[str, Any] = field(default_factory=dict)
    evaluations: dict[str, Any] = field(default_factory=dict)
    validation: Any = None
    spreads: dict[str, Any] = field(default_factory=dict)
    flips: dict[str, list[Any]] = field(default_factory=dict)
    smoothness: Any = None
