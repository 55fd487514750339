"""Numbers of pooled sentences: similarity, association, and the output of a frozen linear probe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import BaseObjective
from crossloss.objectives.contextual.pooling import Forward, Pooled, Pooling
from crossloss.objectives.contextual.templates import Sentence

Given = str | Sentence | Sequence[str | Sentence]
"""One sentence, or several."""
PoolingName = Literal["mean", "first-piece", "cls", "word", "last-piece"]


@dataclass(frozen=True, eq=False)
class SentenceAssociation(BaseObjective):
    """How near sentences lie to others; made by ``sentence_similarity`` and ``sentence_association``.

    Attributes
    ----------
    name : str
    pooled : Pooled
        Sentences, then those of A, then those of B.
    sizes : three int
        How many each are; no B for a similarity.
    shown : str
        The sentences, for a sentence about them.

    Examples
    --------
    >>> near = cl.objectives.sentence_similarity("she is a nurse.", "he is a nurse.", tokenizer)
    >>> print(near.quantity, near.interpretation())
    """

    name: str
    pooled: Pooled
    sizes: Sequence[int]
    shown: str

    @property
    def quantity(self) -> str:
        """What the number is."""
        return "difference of mean cosines" if self.sizes[2] else "mean cosine of sentences"

    def bounds(self, index: Any) -> tuple[float, float]:
        """-1 to 1, or -2 to 2 for a difference."""
        widest = 2.0 if self.sizes[2] else 1.0
        return -widest, widest

    def __call__(self, view: Any) -> Tensor:
        """Mean cosine to A, less that to B, shape (); UserError as ``Pooled.units``."""
        these, A, B = torch.split(self.pooled.units(self.name, view), list(self.sizes))
        direction = A.mean(0) - B.mean(0) if len(B) else A.mean(0)
        return (these @ direction).mean()

    def interpretation(self) -> str:
        """What the sign means, in one sentence."""
        how = self.pooled.pooling.described()
        if not self.sizes[2]:
            return f"Higher: {self.shown} have more similar vectors (1: the same direction); in cosines ({how})."
        return (
            f"Positive: {self.shown} lies nearer to the sentences of A than to those of B; negative: nearer to those "
            f"of B; in cosines ({how})."
        )


def sentence_similarity(
    a: Given,
    b: Given,
    tokenizer: Any,
    *,
    pooling: PoolingName = "mean",
    layer: int = -1,
    special_tokens: bool | None = None,
    forward: Forward | None = None,
    name: str = "sentence-similarity",
) -> SentenceAssociation:
    """Cosine of the vectors of two sentences; the mean over all pairs where there are several on a side.

    Parameters
    ----------
    a, b : str, Sentence or sequence of them
    tokenizer, pooling, layer, special_tokens, forward
        As of ``seat``; pooling "last-piece" too. For "word" and "last-piece" give each as a ``Sentence``.
    name : str

    Examples
    --------
    >>> near = cl.objectives.sentence_similarity("she is a nurse.", "he is a nurse.", tokenizer)
    >>> print(float(near(bert.view)))
    """
    how = Pooling(tokenizer, pooling, layer, special_tokens, forward)
    first, second = several(name, a), several(name, b)
    name = f"{name}-{how.name}"
    shown = f"{quoted(first)} and {quoted(second)}"
    return SentenceAssociation(name, how.of(name, [*first, *second]), (len(first), len(second), 0), shown)


def sentence_association(
    sentences: Given,
    A: Given,
    B: Given,
    tokenizer: Any,
    *,
    pooling: PoolingName = "mean",
    layer: int = -1,
    special_tokens: bool | None = None,
    forward: Forward | None = None,
    name: str = "sentence-association",
) -> SentenceAssociation:
    """Mean cosine of sentences to those of A, less that to those of B.

    Parameters
    ----------
    sentences, A, B : str, Sentence or sequence of them
    tokenizer, pooling, layer, special_tokens, forward
        As of ``seat``; pooling "last-piece" too. For "word" and "last-piece" give each as a ``Sentence``.
    name : str

    Examples
    --------
    >>> lean = cl.objectives.sentence_association("this is a nurse.", ["this is she."], ["this is he."], tokenizer)
    >>> print(float(lean(bert.view)))
    """
    how = Pooling(tokenizer, pooling, layer, special_tokens, forward)
    sets = [several(name, given) for given in (sentences, A, B)]
    name = f"{name}-{how.name}"
    pooled = how.of(name, [one for part in sets for one in part])
    return SentenceAssociation(name, pooled, [len(part) for part in sets], quoted(sets[0]))


@dataclass(frozen=True, eq=False)
class Probe(BaseObjective):
    """Output of a frozen linear probe; made by ``probe``.

    Attributes
    ----------
    name : str
    pooled : Pooled
    weights : Tensor
        Of the probe, (d,).
    bias : float
    normalise : bool
    shown : str

    Examples
    --------
    >>> test = cl.objectives.probe("this is a nurse.", torch.ones(8), tokenizer)
    >>> print(test.quantity, test.interpretation())
    """

    name: str
    pooled: Pooled
    weights: Tensor
    bias: float
    normalise: bool
    shown: str

    quantity = "output of a linear probe"

    def __call__(self, view: Any) -> Tensor:
        """Mean output, shape (); UserError where the vectors are of another size or not finite."""
        vectors = self.pooled.units(self.name, view) if self.normalise else self.pooled.vectors(view)
        if vectors.shape[1] != len(self.weights):
            raise UserError(f"{self.name}: vectors have {vectors.shape[1]} numbers, the probe {len(self.weights)}.")
        if not bool(torch.isfinite(vectors).all()):
            raise UserError(f"{self.name}: the vector of a sentence is not finite: train with a lower lr.")
        return (vectors @ self.weights.to(vectors)).mean() + self.bias

    def interpretation(self) -> str:
        """What the sign means, in one sentence."""
        return (
            f"Positive: {self.shown} lies on the side of the probe's positive class; in units of the probe's output, "
            f"whose weights are frozen ({self.pooled.pooling.described()})."
        )


def probe(
    sentences: Given,
    weights: Tensor,
    tokenizer: Any,
    *,
    bias: float = 0.0,
    normalise: bool = False,
    pooling: PoolingName = "mean",
    layer: int = -1,
    special_tokens: bool | None = None,
    forward: Forward | None = None,
    name: str = "probe",
) -> Probe:
    """Mean output of a linear probe on sentences: <weights, vector> + bias.

    The probe is not trained again: its weights are constants, so a change is one of the model and not of the probe.

    Parameters
    ----------
    sentences : str, Sentence or sequence of them
    weights : Tensor
        (d,), such as ``coef_`` of a logistic regression on such vectors.
    tokenizer, pooling, layer, special_tokens, forward
        As of ``seat``; pooling "last-piece" too. For "word" and "last-piece" give each as a ``Sentence``.
    bias : float
    normalise : bool
        Whether vectors have length 1 before the probe sees them.
    name : str

    Raises
    ------
    UserError
        The weights are no finite vector, or of another size than the model's vectors.

    Examples
    --------
    >>> test = cl.objectives.probe("this is a nurse.", torch.ones(8), tokenizer)
    >>> print(float(test(bert.view)))
    """
    how = Pooling(tokenizer, pooling, layer, special_tokens, forward)
    given = several(name, sentences)
    name = f"{name}-{how.name}{'-unit' if normalise else ''}"
    if not isinstance(weights, Tensor) or weights.dim() != 1 or not bool(torch.isfinite(weights).all()):
        raise UserError(f"{name}: weights must be a finite tensor of one dimension, a number for each of the vector.")
    return Probe(name, how.of(name, given), weights.detach().clone(), float(bias), normalise, quoted(given))


def several(name: str, given: Given) -> list[str | Sentence]:
    """One or several sentences as a list; UserError for none."""
    sentences = [given] if isinstance(given, str | Sentence) else list(given)
    if not sentences:
        raise UserError(f"{name}: give a sentence, or a list of sentences.")
    return sentences


def quoted(sentences: Sequence[str | Sentence]) -> str:
    """The first sentence, and how many more."""
    first = sentences[0].text if isinstance(sentences[0], Sentence) else sentences[0]
    short = first.rstrip(".!?") if len(first) <= 40 else first[:40] + "..."
    more = f" (and {len(sentences) - 1} more)" if len(sentences) > 1 else ""
    return f'"{short}"{more}'
