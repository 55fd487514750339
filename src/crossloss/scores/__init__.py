"""Scores: the passes of an estimator over a run, what they make, and what one reads in it.

Belongs here: making scores, ranking them, tables, concepts, tokens, baselines that score by texts alone.
Does not: acting on scores (plans), whether they are right (validation).
"""

from crossloss.scores.scores import Scores
from crossloss.scores.scoring import score

__all__ = ["Scores", "score"]
