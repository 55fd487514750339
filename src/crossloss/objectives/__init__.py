"""Objectives: differentiable scalars of a view of the parameters, with word lists as data files.

Belongs here: value, reading of the sign, coverage of words, significance of an objective.
Does not: how the parameters came about, or which samples made them.
"""

from crossloss.objectives.custom import Function, as_objective, each
from crossloss.objectives.permutation import PermutationResult, permutation_test
from crossloss.objectives.userfile import load, load_objectives
from crossloss.objectives.weat import Coverage, Weat
from crossloss.objectives.wordsets import names, weat

__all__ = [
    "Coverage",
    "Function",
    "PermutationResult",
    "Weat",
    "as_objective",
    "each",
    "load",
    "load_objectives",
    "names",
    "permutation_test",
    "weat",
]
