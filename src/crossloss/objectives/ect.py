"""The embedding coherence test (Dev and Phillips 2019): reported, never an objective, as ranks have no derivative."""

from collections.abc import Sequence

import torch

from crossloss.core import UserError
from crossloss.objectives.fields import normalise_all
from crossloss.objectives.word_objective import WordView


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
    rows = [[view.index[word] for word in normalise_all(words) if word in view.index] for words in (X, Y, A)]
    if not rows[0] or not rows[1] or len(rows[2]) < 3:
        raise UserError("The coherence test needs a word of X, one of Y and three of A in the vocabulary: add words.")
    *targets, attributes = (vectors[of_set] for of_set in rows)
    cosines = [torch.cosine_similarity(words.mean(0, keepdim=True), attributes).cpu().numpy() for words in targets]
    if any(of_set.min() == of_set.max() for of_set in cosines):
        raise UserError("The coherence test is undefined: all attributes have the same cosine to a mean vector.")
    return float(spearmanr(*cosines).statistic)
