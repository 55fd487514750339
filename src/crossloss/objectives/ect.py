"""The embedding coherence test (Dev and Phillips 2019): reported, never an objective, as ranks have no derivative."""

from collections.abc import Sequence

import torch

from crossloss.core import UserError
from crossloss.objectives.word_objective import WordView
from crossloss.objectives.words import normalise_all


def ect(view: WordView, X: Sequence[str], Y: Sequence[str], A: Sequence[str]) -> float:
    """Spearman correlation, over the words of A, of their cosines to the mean vector of X with those to that of Y.

    1: X and Y rank the attributes alike; -1: the other way round. Words that the vocabulary lacks are left out;
    UserError for no word of X or of Y or fewer than three of A, or where all cosines are equal.

    Examples
    --------
    >>> print(cl.objectives.ect(run.view, ["he", "him"], ["she", "her"], ["math", "art", "poetry"]))
    """
    from scipy.stats import spearmanr  # imported late, as it takes a third of a command's start

    vectors = view.vectors.detach().double()
    found = [[view.index[word] for word in normalise_all(words) if word in view.index] for words in (X, Y, A)]
    if not found[0] or not found[1] or len(found[2]) < 3:
        raise UserError("The coherence test needs a word of X, one of Y and three of A in the vocabulary: add words.")
    x, y, attributes = (vectors[rows] for rows in found)
    cosines = [torch.cosine_similarity(side.mean(0, keepdim=True), attributes).cpu().numpy() for side in (x, y)]
    if any(side.min() == side.max() for side in cosines):
        raise UserError("The coherence test is undefined: all attributes have the same cosine to a mean vector.")
    return float(spearmanr(*cosines).statistic)
