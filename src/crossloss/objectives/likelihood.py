"""How well a model predicts text that it was not trained on."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import PlainValidator
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import BaseObjective
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import name_from_words
from crossloss.text.encoding import decode


def _sentences(given: Any) -> tuple[str, ...]:
    """Sentences that hold text; one may be given alone."""
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable) or hasattr(given, "columns"):
        raise UserError(f"a {type(given).__name__} was given as sentences: give a list of strings.")
    sentences = [given] if isinstance(given, str) else list(given)
    for sentence in sentences:
        if not isinstance(sentence, str):
            raise UserError(f"a sentence is of type {type(sentence).__name__}: give strings.")
    text = tuple(sentence for sentence in sentences if sentence.strip())
    if not text:
        raise UserError("there is no sentence in the text: give one or more.")
    return text


@register("likelihood", "FILE.txt", "file")
class Likelihood(BaseObjective):
    """Mean log-likelihood of the word pairs of a text, with their negatives: minus the loss of that text (paper Eq. 8).

    Pairs are counted as those of the training corpus are; words that the vocabulary lacks are passed over. Its
    ``words`` are none: a text takes the vocabulary as it is.

    Parameters
    ----------
    sentences : sequence of str
        Original text, a sentence each; UserError for none.
    name : str

    Examples
    --------
    >>> text = cl.objectives.likelihood(["He likes math.", "She likes poetry."])
    >>> print(float(text(run.view)))
    """

    sentences: Annotated[Sequence[str], PlainValidator(_sentences)]
    name: str = ""

    quantity = "log-likelihood, nats a pair"
    limits = (-math.inf, 0.0)

    @classmethod
    def prepare(cls, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        """With the sentences of a text file, a line each, for ``file``."""
        if "file" not in values:
            return values
        if "sentences" in values or not isinstance(values["file"], str):
            raise UserError("give a text as file, the path of a text file, or as sentences, a list.")
        path = folder / values.pop("file")
        try:
            lines = decode(path, path.read_bytes()).splitlines()
        except (OSError, ValueError) as error:  # ValueError: a path with a null byte
            advice = "give a UTF-8 file, a sentence a line"
            raise UserError(f"{path} cannot be read as text ({error}): {advice}.") from error
        return values | {"sentences": lines, "name": values["name"] or name_from_words(cls.type, [path.stem])}

    def __call__(self, view: Any) -> Tensor:
        """Nats a pair, shape (); UserError where no sentence has two words of the vocabulary, or it is not finite."""
        value: Tensor = view.log_likelihood(self.sentences)
        if not bool(torch.isfinite(value)):
            raise UserError(f"{self.name}: a word has a vector that is not finite: train with a lower lr.")
        return value

    def interpretation(self) -> str:
        """What the value means."""
        given = f"{len(self.sentences)} given sentence{'s' * (len(self.sentences) > 1)}"
        return f"Higher: the word pairs of the {given} are better predicted (0 at best); in units of nats a pair."


likelihood = Likelihood
