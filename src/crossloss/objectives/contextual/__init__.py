"""Objectives of transformers models: differentiable numbers of what a model makes of sentences.

Belongs here: sentences, how they become vectors or probabilities, and numbers of these. They call the model and the
tokenizer that they are given, and import neither.
Does not: word vectors without context (the files beside this folder), or how the model was trained.
"""

from crossloss.objectives.contextual.ceat import Ceat, CombinedEffect, ceat
from crossloss.objectives.contextual.likelihood_difference import LikelihoodDifference, likelihood_difference
from crossloss.objectives.contextual.log_probability import LogProbabilityBias, log_probability_bias
from crossloss.objectives.contextual.seat import SEAT_TESTS, Seat, seat
from crossloss.objectives.contextual.sentences import (
    Probe,
    SentenceAssociation,
    probe,
    sentence_association,
    sentence_similarity,
)
from crossloss.objectives.contextual.templates import Sentence, bland_sentences

__all__ = [
    "SEAT_TESTS",
    "Ceat",
    "CombinedEffect",
    "LikelihoodDifference",
    "LogProbabilityBias",
    "Probe",
    "Seat",
    "Sentence",
    "SentenceAssociation",
    "bland_sentences",
    "ceat",
    "likelihood_difference",
    "log_probability_bias",
    "probe",
    "seat",
    "sentence_association",
    "sentence_similarity",
]
