"""The field of exact skip-gram: parameters, what objectives see of them, and products with the derivative."""

import copy

import torch
from torch import Tensor

from crossloss.core import Curvature, Field, Linearisation
from crossloss.models.skipgram.curvature import WORD_BLOCKS, WordBlocks
from crossloss.models.skipgram.embeddings import Embeddings, initial_vectors
from crossloss.models.skipgram.influence import PairInfluence
from crossloss.models.skipgram.linearisation import ExactLinearisation
from crossloss.models.skipgram.loss import SkipGramLoss, frequencies

GROWTH = 1.25
"""Times a row's own frequency from which retraining takes smaller steps along it: D^-1 H has eigenvalues of .63, and
the default steps are stable below .9 (docs/performance.md)."""


class SkipGramField(SkipGramLoss):
    """The field of exact skip-gram with negative sampling.

    ``counts`` are of samples x unordered pairs, ``vocabulary`` has V words by row. The corpus's own ``weights`` (n,)
    (candidates 0) fix N, p_c ~ X_c ** exponent and the preconditioner. ``tile`` is words x contexts held at once, and
    ``kernels`` are the products of a run that began with them; by default what this machine does best.
    """

    curvatures = (*Field.curvatures, WORD_BLOCKS)
    _start: Tensor | None = None

    def initial(self, seed: int) -> Tensor:
        """Initial parameters (p,) from the seed and the words."""
        return self.tensor(initial_vectors(self.vocabulary.words, self.dimension, seed)).view(-1)

    def started(self, theta: Tensor) -> "SkipGramField":
        """The same field in a run from these initial parameters (p,): its view shows where each word began."""
        field = copy.copy(self)
        field._start = theta.detach()
        return field

    def step_scale(self, w: Tensor | None = None) -> Tensor:
        """1/D, (p,): D is the frequency of each word and context, and 2 prior/N; 0 for a row that is never trained.

        Twice, so that the prior's part of the curvature is at most half of D: (H + r)/(D + 2 r) <= max(H/D, 1/2), and
        no prior, however strong, makes a step size unstable that was not. The frequencies are the corpus's own; where
        sample weights ``w`` (n,) make a row more than ``GROWTH`` times as frequent, it is that many times its own:
        near the corpus's own weights D is a constant, and far from them a run does not diverge.
        """
        precision = self.precision
        if w is not None:
            precision = torch.where(precision > 0, torch.maximum(precision, self._frequencies(w) / GROWTH), precision)
        inverse = torch.where(precision > 0, 1 / (precision + 2 * self.shrinkage), 0.0)
        return inverse.unsqueeze(2).expand(2, self.size, self.dimension).reshape(-1)

    def rows_following(self, w: Tensor) -> int:
        """Words and contexts whose part of D follows the sample weights (n,)."""
        return int((self._frequencies(w) > GROWTH * self.precision)[self.precision > 0].sum())

    def _frequencies(self, w: Tensor) -> Tensor:
        """Of words and contexts, (2, V), under sample weights (n,)."""
        return torch.stack(frequencies(self.ratios(w)[1] / self.negatives, self.noise, self.negatives))

    def view(self, theta: Tensor) -> Embeddings:
        """Words with their vectors: all that an objective sees."""
        u, c = self.matrices(theta)
        start = None if self._start is None else self.matrices(self._start)[0]
        return Embeddings(self.vocabulary.words, self.vocabulary.index, u, c, start, self)

    def accumulator(self, k: int) -> PairInfluence:
        """Zero pair influences for k directions."""
        return PairInfluence(self, k)

    def at(self, theta: Tensor, w: Tensor, step: int) -> Linearisation:
        """Products with the derivative at one point, exact whatever the step."""
        return ExactLinearisation(self, theta, w, step)

    def curvature(self, kind: str, theta: Tensor, w: Tensor) -> Curvature:
        """The curvature "word-blocks" of the training loss; UserError that lists the kinds for another."""
        return WordBlocks(self, theta, w) if kind == WORD_BLOCKS else super().curvature(kind, theta, w)
