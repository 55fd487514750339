"""Objectives: differentiable scalars of a view of the parameters, with word lists as data files.

Belongs here: value, interpretation of the sign, coverage of words, significance of an objective.
A new one is one file, whose class ``register`` decorates, and its import here: that is all that reads and stores know.
Does not: how the parameters came about, or which samples made them.
"""

from crossloss.objectives.algebra import Absolute, BaseObjective, Sum
from crossloss.objectives.command_line import SYNTAX
from crossloss.objectives.cosines import (
    Association,
    Mac,
    Margin,
    Separation,
    Similarity,
    association,
    mac,
    margin,
    separation,
    similarity,
)
from crossloss.objectives.custom import Function, as_objective, each
from crossloss.objectives.displacement import Displacement, displacement
from crossloss.objectives.ect import ect
from crossloss.objectives.likelihood import Likelihood, likelihood
from crossloss.objectives.one_sided import OneSided, one_sided
from crossloss.objectives.pairs import DirectBias, Projection, Ripa, direct_bias, projection, ripa
from crossloss.objectives.permutation import Measured, PermutationResult, measured, permutation_test
from crossloss.objectives.rare import RARE, RareWords, rare_words
from crossloss.objectives.registry import TYPES, fingerprint, from_dict, register, to_dict
from crossloss.objectives.userfile import load, load_objectives, parse_objectives
from crossloss.objectives.weat import Weat, names, weat
from crossloss.objectives.word_objective import Coverage, WordObjective

# isort: split
# After the types of words, which are listed in the order in which they are imported.
from crossloss.objectives.contextual import (
    SEAT_TESTS,
    Ceat,
    CombinedEffect,
    LikelihoodDifference,
    LogProbabilityBias,
    Probe,
    Seat,
    Sentence,
    SentenceAssociation,
    bland_sentences,
    ceat,
    likelihood_difference,
    log_probability_bias,
    probe,
    seat,
    sentence_association,
    sentence_similarity,
)

__all__ = [
    "RARE",
    "SEAT_TESTS",
    "SYNTAX",
    "TYPES",
    "Absolute",
    "Association",
    "BaseObjective",
    "Ceat",
    "CombinedEffect",
    "Coverage",
    "DirectBias",
    "Displacement",
    "Function",
    "Likelihood",
    "LikelihoodDifference",
    "LogProbabilityBias",
    "Mac",
    "Margin",
    "Measured",
    "OneSided",
    "PermutationResult",
    "Probe",
    "Projection",
    "RareWords",
    "Ripa",
    "Seat",
    "Sentence",
    "SentenceAssociation",
    "Separation",
    "Similarity",
    "Sum",
    "Weat",
    "WordObjective",
    "as_objective",
    "association",
    "bland_sentences",
    "ceat",
    "direct_bias",
    "displacement",
    "each",
    "ect",
    "fingerprint",
    "from_dict",
    "likelihood",
    "likelihood_difference",
    "load",
    "load_objectives",
    "log_probability_bias",
    "mac",
    "margin",
    "measured",
    "names",
    "one_sided",
    "parse_objectives",
    "permutation_test",
    "probe",
    "projection",
    "rare_words",
    "register",
    "ripa",
    "seat",
    "sentence_association",
    "sentence_similarity",
    "separation",
    "similarity",
    "to_dict",
    "weat",
]
