"""What an objective sees of skip-gram parameters: words with their vectors and contexts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from crossloss.core import Absent, UserError
from crossloss.models.skipgram.loss import SkipGramLoss
from crossloss.models.skipgram.text import log_likelihood


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Word vectors U and context vectors C, each (V, d), by word.

    ``words[i]`` has row i in both; ``index`` is the inverse. ``initial`` (V, d) is U before the first step of the run
    that made them; None where no run is known. ``field`` gives texts a likelihood; None where the vectors are not its
    parameters as they stand.
    """

    words: Sequence[str]
    index: Mapping[str, int]
    vectors: Tensor
    contexts: Tensor
    initial: Tensor | None = None
    field: SkipGramLoss | None = None

    def copy(self) -> "Embeddings":
        """The same, with words and start of its own."""
        start = None if self.initial is None else self.initial.clone()
        return replace(self, words=list(self.words), index=dict(self.index), initial=start)

    def log_likelihood(self, sentences: Sequence[str]) -> Tensor:
        """Mean log-likelihood of the sentences' pairs with their negatives, nats a pair, shape (). Differentiable.

        Raises
        ------
        UserError
            No sentence has two words of the vocabulary, or the vectors are not a field's own parameters.
        """
        if self.field is None:
            raise UserError("These vectors give no text a likelihood: take the embeddings of a trained run.")
        return log_likelihood(self.field, self.vectors, self.contexts, sentences)

    def __getitem__(self, word: str) -> Tensor:
        """Vector (d,) of a word; ``Absent``, a UserError and a KeyError, where the vocabulary lacks it."""
        if word not in self.index:
            raise Absent(
                f"The vocabulary lacks the word {word!r}: train with keep_words=[{word!r}], add text, or take another."
            )
        return self.vectors[self.index[word]]


def initial_vectors(words: Sequence[str], dimension: int, seed: int) -> np.ndarray:
    """Initial U and C, (2, V, d) float64, N(0, .1^2): drawn from the seed and the word, whatever the other words."""
    vectors = np.empty((2, len(words), dimension))
    for i, word in enumerate(words):
        digest = hashlib.sha256(f"{seed}\0{word}".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
        vectors[:, i] = generator.normal(scale=0.1, size=(2, dimension))
    return vectors
