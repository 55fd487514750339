"""What an objective sees of skip-gram parameters: words with their vectors and contexts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Word vectors U and context vectors C, each (V, d), by word.

    ``words[i]`` has row i in both; ``index`` is the inverse. ``initial`` (V, d) is U before the first step of the run
    that made them; None where no run is known.
    """

    words: Sequence[str]
    index: Mapping[str, int]
    vectors: Tensor
    contexts: Tensor
    initial: Tensor | None = None

    def __getitem__(self, word: str) -> Tensor:
        """Vector (d,) of a word; KeyError where the vocabulary lacks it."""
        return self.vectors[self.index[word]]


def initial_vectors(words: Sequence[str], dimension: int, seed: int, scale: float = 0.1) -> np.ndarray:
    """Initial (2, V, d) float64 vectors U and C, N(0, scale^2).

    Drawn per word from the seed and the word itself, so that a word starts in the same place whatever else
    is in the vocabulary.
    """
    vectors = np.empty((2, len(words), dimension))
    for i, word in enumerate(words):
        digest = hashlib.sha256(f"{seed}\0{word}".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
        vectors[:, i] = generator.normal(scale=scale, size=(2, dimension))
    return vectors
