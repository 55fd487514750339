"""How well a model predicts text that it was not trained on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import Composable
from crossloss.objectives.bounds import UNBOUNDED, Bounds


class TextView(Protocol):
    """What a likelihood sees: parameters that say how likely a text is."""

    def log_likelihood(self, sentences: Sequence[str]) -> Tensor:
        """Mean log-likelihood of the sentences' pairs, nats a pair, shape ()."""
        ...


@dataclass(frozen=True)
class Likelihood(Composable):
    """Mean log-likelihood of the word pairs of a text, with their negatives: minus the loss of that text (paper Eq. 8).

    Pairs are counted as those of the training corpus are; words that the vocabulary lacks are passed over.

    Parameters
    ----------
    name : str
    sentences : tuple of str
        Original text, a sentence each.
    """

    name: str
    sentences: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentences", _sentences(self.sentences, self.name))

    def __call__(self, view: TextView) -> Tensor:
        """Nats a pair, shape ().

        Raises
        ------
        UserError
            No sentence has two words of the vocabulary, the model is not of this package, or it is not finite.
        """
        value = view.log_likelihood(self.sentences)
        if not bool(torch.isfinite(value)):
            raise UserError(f"{self.name}: a word has a vector that is not finite: train with a lower lr.")
        return value

    @property
    def words(self) -> tuple[str, ...]:
        """None: a text takes the vocabulary as it is."""
        return ()

    def rows(self, index: Mapping[str, int]) -> dict[str, list[int]]:
        """None, as ``words``."""
        return {}

    def coverage(self, counts: Mapping[str, int]) -> list[Any]:
        """None, as ``words``."""
        return []

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        return UNBOUNDED[0], 0.0

    @property
    def measure(self) -> str:
        """What the number is."""
        return "log-likelihood, nats a pair"

    def reading(self) -> str:
        """What the value means."""
        number = len(self.sentences)
        return (
            f"Higher: the word pairs of the {number} given sentence{'s' if number > 1 else ''} are better predicted "
            "(0 at best); in units of nats a pair."
        )


def likelihood(sentences: Sequence[str], name: str = "likelihood") -> Likelihood:
    """Mean log-likelihood of the word pairs of held-out sentences.

    Raises
    ------
    UserError
        No sentence.
    """
    return Likelihood(name, _sentences(sentences, name))


def _sentences(given: str | Iterable[str], name: str) -> tuple[str, ...]:
    """Sentences that hold text; one may be given alone."""
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable) or hasattr(given, "columns"):
        raise UserError(f"{name}: a {type(given).__name__} was given as sentences: give a list of strings.")
    listed = [given] if isinstance(given, str) else list(given)
    for sentence in listed:
        if not isinstance(sentence, str):
            raise UserError(f"{name}: a sentence is of type {type(sentence).__name__}: give strings.")
    found = tuple(sentence for sentence in listed if sentence.strip())
    if not found:
        raise UserError(f"{name}: there is no sentence in the text.")
    return found
