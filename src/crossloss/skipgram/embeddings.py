"""What an objective sees of skip-gram parameters: words with their vectors and contexts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from crossloss.core import UserError


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Word vectors U and context vectors C, each (V, d), by word.

    ``words[i]`` has row i in both; ``index`` is the inverse.
    """

    words: Sequence[str]
    index: Mapping[str, int]
    vectors: Tensor
    contexts: Tensor

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


def load_vectors(path: Path) -> tuple[Tensor, Tensor]:
    """U and C (V, d) of a ``model.safetensors``.

    Raises
    ------
    UserError
        The file is not a complete safetensors file with both matrices.
    """
    try:
        with safe_open(path, framework="pt") as file:
            # Copied, so that the alignment of the file never reaches a matrix product.
            return file.get_tensor("vectors").clone(), file.get_tensor("contexts").clone()
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is not a readable model file ({error}); train again.") from error


def neighbours(embeddings: Embeddings, word: str, count: int = 10) -> list[tuple[str, float]]:
    """Nearest words by cosine, without the word itself."""
    unit = torch.nn.functional.normalize(embeddings.vectors, dim=1)
    cosine = unit @ unit[embeddings.index[word]]
    best = torch.topk(cosine, min(count + 1, len(cosine)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(embeddings.words[i], value) for i, value in pairs if embeddings.words[i] != word][:count]
