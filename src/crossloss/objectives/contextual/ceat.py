"""The Contextualized Embedding Association Test (Guo and Caliskan 2021), on sentences of a corpus of one's own."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import regex
import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import BaseObjective
from crossloss.objectives.association_test import ROUNDING
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.contextual.pooling import Forward, Pooled, Pooling
from crossloss.objectives.contextual.seat import Kind, check_choices, word_test
from crossloss.objectives.contextual.templates import Sentence
from crossloss.objectives.weat import SETS, Weat

WORD = regex.compile(r"\w+(?:['’]\w+)*")
AROUND = 4
"""Words on either side of an occurrence that are kept: nine in all, as in the paper."""


@dataclass(frozen=True)
class CombinedEffect:
    """Effect sizes of many draws, combined by a random-effects model.

    Attributes
    ----------
    effect : float
        Combined effect size.
    difference : float
        Mean over the draws of the plain difference of means.
    standard_error : float
    p_value : float
        Two-sided, by the normal distribution of effect/standard_error. It is over occurrences, not over words or
        models.
    between : float
        Variance of the effect between draws beyond that within them.

    Examples
    --------
    >>> test = cl.objectives.ceat(gender, tokenizer, texts, occurrences=2, draws=10, seed=0)
    >>> print(test.combined(bert.view).p_value)
    """

    effect: float
    difference: float
    standard_error: float
    p_value: float
    between: float


@dataclass(frozen=True, eq=False)
class Ceat(BaseObjective):
    """A CEAT whose occurrences are drawn; made by ``ceat``.

    Attributes
    ----------
    name : str
    labels : four str
    pooled : Pooled
        The occurrences, each in its words around.
    drawn : dict of str to Tensor
        By set, which occurrence stands for each word in each draw, (draws, words).
    missing : dict of str to tuple of str
        By set, words that the corpus lacks; they are left out.
    kind : "effect" or "difference"

    Examples
    --------
    >>> test = cl.objectives.ceat(gender, tokenizer, texts, occurrences=2, draws=10, seed=0)
    >>> print(test.missing["X"], float(test(bert.view)))
    """

    name: str
    labels: Sequence[str]
    pooled: Pooled
    drawn: Mapping[str, Tensor]
    missing: Mapping[str, Sequence[str]]
    kind: str

    @property
    def quantity(self) -> str:
        """What the number is."""
        return f"CEAT {'combined effect size' if self.kind == 'effect' else 'difference of means'}"

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Those of the effect size of one draw (ddof 1), or 4 for a difference."""
        x, y = (self.drawn[side].shape[1] for side in "XY")
        n = x + y
        widest = 4.0 if self.kind == "difference" else n / math.sqrt(x * y) * math.sqrt((n - 1) / n)
        return -widest, widest

    def __call__(self, view: Any) -> Tensor:
        """Combined effect, or mean difference of means, shape (); UserError where a draw has associations all equal."""
        difference, spread = self._draws(view)
        return difference.mean() if self.kind == "difference" else _combine(difference / spread, spread.square())[0]

    def combined(self, view: Any) -> CombinedEffect:
        """Effect with its standard error and p-value; UserError as the objective."""
        with torch.no_grad():
            difference, spread = self._draws(view)
            effect, error, between = _combine(difference / spread, spread.square())
        p = math.erfc(abs(float(effect / error)) / math.sqrt(2))
        return CombinedEffect(float(effect), float(difference.mean()), float(error), p, float(between))

    def _draws(self, view: Any) -> tuple[Tensor, Tensor]:
        """Difference of means and sample standard deviation of the associations of each draw, (draws,) both."""
        unit = self.pooled.units(self.name, view)
        chosen = {side: unit[rows.to(unit.device)] for side, rows in self.drawn.items()}
        direction = chosen["A"].mean(1) - chosen["B"].mean(1)
        x, y = (torch.einsum("nwd,nd->nw", chosen[side], direction) for side in "XY")
        spread = torch.cat([x, y], 1).std(1, correction=1)
        if not bool((spread > ROUNDING * torch.finfo(spread.dtype).eps).all()):
            raise UserError(f"{self.name}: all target words are associated alike, so the effect size is undefined.")
        return x.mean(1) - y.mean(1), spread

    def interpretation(self) -> str:
        """What the sign means, in one sentence."""
        x, y, a, b = self.labels
        unit = "standard deviations of the associations" if self.kind == "effect" else "cosines, a difference of means"
        return (
            f"Positive: in sentences of the corpus {x} lie nearer to {a} and {y} nearer to {b}; negative: the other "
            f"way round; in {unit} ({self.pooled.pooling.described()})."
        )


def _combine(effects: Tensor, within: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Random-effects mean, its standard error, and the variance between (DerSimonian and Laird 1986), shape () each."""
    weights = 1 / within
    total = weights.sum()
    q = (weights * effects.square()).sum() - (weights * effects).sum().square() / total
    c = total - weights.square().sum() / total
    between = ((q - (len(effects) - 1)) / c).clamp(min=0) if len(effects) > 1 else torch.zeros_like(total)
    weights = 1 / (within + between)
    return (weights * effects).sum() / weights.sum(), weights.sum().rsqrt(), between


def ceat(
    test: str | Weat,
    tokenizer: Any,
    texts: Iterable[str],
    *,
    occurrences: int,
    seed: int,
    draws: int = 1000,
    pooling: Literal["last-piece", "word", "mean", "cls"] = "last-piece",
    layer: int = -1,
    special_tokens: bool | None = None,
    kind: Kind = "effect",
    forward: Forward | None = None,
) -> Ceat:
    """Contextualized Embedding Association Test (Guo and Caliskan 2021) in the sentences of any corpus.

    Each draw takes one occurrence of every word, whose effect size (ddof 1) has the variance of its associations as
    its own variance; the effect sizes are combined by a random-effects model. What is drawn is drawn once, so the value
    is differentiable. The occurrences that the training text has are the natural ones of a model's own corpus.

    Parameters
    ----------
    test : str or Weat
        "seat1" to "seat10", "seat6b", "seat7b" or "seat8b" for their words, or word lists. Words are found whatever
        their case; those that the texts lack are left out of their set.
    tokenizer : fast tokenizer of transformers
    texts : iterable of str
        The corpus. Of a text, the word with four words on either side is kept.
    occurrences : int
        At most this many of each word are kept, drawn without replacement; the model reads them all.
    seed : int
        Of the draws.
    draws : int
        Effect sizes that are combined.
    pooling : str
        "last-piece" of the word (the paper's), "word": the mean of its pieces, "mean" of all tokens, or "cls".
    layer, special_tokens, kind, forward
        As of ``seat``.

    Raises
    ------
    UserError
        Fewer than two words of a set occur; what the tokenizer does not know.

    Examples
    --------
    >>> test = cl.objectives.ceat(gender, tokenizer, texts, occurrences=2, draws=10, seed=0)
    >>> print(test.name, float(test(bert.view)), test.combined(bert.view).standard_error)
    """
    words = word_test(test)
    how = Pooling(tokenizer, pooling, layer, special_tokens, forward)
    chosen = f"occurrences{occurrences}-draws{draws}-seed{seed}"
    difference = "-difference" if kind == "difference" else ""
    name = f"ceat-{words.name.removeprefix('seat')}-{how.name}-{chosen}{difference}"
    check_choices(name, kind, 1)
    if how.pooling == "first-piece":
        raise UserError(f"{name}: the first piece of a sentence is not the word: use last-piece or word.")
    for what, given in (("occurrences", occurrences), ("draws", draws)):
        if given < 1:
            raise UserError(f"{name}: {what} is {given}: it must be at least 1.")
    if isinstance(texts, str):
        raise UserError(f"{name}: one string was given as texts: give a list of texts.")
    generator = np.random.default_rng(seed)
    found = _occurrences(texts, {word.casefold() for word in words.words})
    sentences: list[Sentence] = []
    drawn, missing = {}, {}
    for side in SETS:
        present = [word for word in words.sets[side] if word.casefold() in found]
        missing[side] = tuple(word for word in words.sets[side] if word.casefold() not in found)
        if len(present) < 2:
            raise UserError(
                f"{name}: the texts have {len(present)} of the words of {side} (missing: {', '.join(missing[side])}) "
                "and two are needed: give more text, or other words."
            )
        columns = []
        for word in present:
            every = found[word.casefold()]
            kept = generator.permutation(len(every))[:occurrences]
            columns.append(len(sentences) + generator.integers(len(kept), size=draws))
            sentences += [every[i] for i in kept]
        drawn[side] = torch.from_numpy(np.stack(columns, 1))
    return Ceat(name, words.labels, how.of(name, sentences, strict=False), drawn, missing, kind)


def _occurrences(texts: Iterable[str], words: set[str]) -> dict[str, list[Sentence]]:
    """Every occurrence of each word, with the words around it."""
    found: dict[str, list[Sentence]] = {}
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"A text is of type {type(text).__name__}: give strings.")
        spans = [match.span() for match in WORD.finditer(text)]
        for place, (start, end) in enumerate(spans):
            word = text[start:end].casefold()
            if word in words:
                first = spans[max(0, place - AROUND)][0]
                last = spans[min(len(spans) - 1, place + AROUND)][1]
                found.setdefault(word, []).append(Sentence(text[first:last], start - first, end - first))
    return found
