"""Objectives: differentiable scalars of a view of the parameters, with word lists as data files.

Belongs here: value, reading of the sign, coverage of words, significance of an objective.
Does not: how the parameters came about, or which samples made them.
"""

from crossloss.objectives.algebra import Absolute, Described, Sum
from crossloss.objectives.association import Association, association, margin
from crossloss.objectives.custom import Function, as_objective
from crossloss.objectives.displacement import Displacement, displacement
from crossloss.objectives.one_sided import OneSided, one_sided
from crossloss.objectives.permutation import PermutationResult, permutation_test
from crossloss.objectives.similarity import Similarity, similarity
from crossloss.objectives.userfile import load, load_objectives
from crossloss.objectives.weat import Weat
from crossloss.objectives.words import Coverage, WordObjective
from crossloss.objectives.wordsets import names, weat

__all__ = [
    "Absolute",
    "Association",
    "Coverage",
    "Described",
    "Displacement",
    "Function",
    "OneSided",
    "PermutationResult",
    "Similarity",
    "Sum",
    "Weat",
    "WordObjective",
    "as_objective",
    "association",
    "displacement",
    "load",
    "load_objectives",
    "margin",
    "names",
    "one_sided",
    "permutation_test",
    "similarity",
    "weat",
]
