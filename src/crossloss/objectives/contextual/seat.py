"""The Sentence Encoder Association Test (May et al. 2019): WEAT on sentences that a contextual model reads."""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from crossloss.core import UserError, refusing
from crossloss.objectives.association_test import TargetTest
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.contextual.pooling import Forward, Pooled, Pooling
from crossloss.objectives.contextual.templates import Sentence, known_sentences, shipped_words
from crossloss.objectives.weat import SETS, Weat, weat

Given = str | Path | Weat | Mapping[str, Sequence[str | Sentence]]
"""A test: its name, a jsonl file, word lists, or four lists of sentences."""
Kind = Literal["effect", "difference"]
"""Which number a test of sentences gives."""
SWAPPED = {"seat6b": ("weat6", "XY", "weat7"), "seat7b": ("weat7", "AB", "weat6"), "seat8b": ("weat8", "AB", "weat6")}
"""Of a b test: the test, which sets are exchanged, and the test whose names or terms stand there."""
SEAT_TESTS = (*(f"seat{i}" for i in range(1, 11)), *SWAPPED)
"""Names of the tests whose sentences are made here."""


@dataclass(frozen=True, eq=False)
class Seat(TargetTest):
    """A SEAT whose sentences are tokenised; made by ``seat``.

    Attributes
    ----------
    name : str
        The test and what was chosen, such as seat7b-mean-layer-1-special-ddof1.
    labels : four str
    pooled : Pooled
        Sentences of X, Y, A and B, one after another.
    sizes : four int
        How many each has.
    sets : dict of str to tuple of str
        The sentences of X, Y, A and B, which the baseline bm25 compares samples with.
    kind : "effect" or "difference"
    ddof : int

    Examples
    --------
    >>> test = cl.objectives.seat("seat7b", tokenizer)
    >>> print(test.interpretation(), cl.permutation_test(test, bert.view).p_value)
    """

    name: str
    labels: Sequence[str]
    pooled: Pooled
    sizes: Sequence[int]
    sets: Mapping[str, Sequence[str]]
    kind: str
    ddof: int

    @property
    def quantity(self) -> str:
        """What the number is."""
        return f"SEAT {'effect size' if self.kind == 'effect' else 'difference of means'}"

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """(x + y)/sqrt(x y) either way for x and y sentences and ddof 0, less with ddof 1; 4 for a difference."""
        x, y = self.sizes[:2]
        n = x + y
        widest = 4.0 if self.kind == "difference" else n / math.sqrt(x * y) * math.sqrt((n - self.ddof) / n)
        return -widest, widest

    def associations(self, view: Any) -> tuple[Tensor, Tensor]:
        """Mean cosine to the sentences of A, less that to those of B, of each sentence of X and of Y."""
        X, Y, A, B = torch.split(self.pooled.units(self.name, view), list(self.sizes))
        direction = A.mean(0) - B.mean(0)
        return X @ direction, Y @ direction

    def interpretation(self) -> str:
        """What the sign means, in one sentence."""
        x, y, a, b = self.labels
        unit = "standard deviations of the associations" if self.kind == "effect" else "cosines, a difference of means"
        return (
            f"Positive: sentences on {x} lie nearer to those on {a} and {y} nearer to {b}; negative: the other way "
            f"round; in {unit} ({self.pooled.pooling.described()})."
        )


def seat(
    test: Given,
    tokenizer: Any,
    *,
    pooling: Literal["mean", "first-piece", "cls", "word"] = "mean",
    layer: int = -1,
    special_tokens: bool | None = None,
    kind: Kind = "effect",
    ddof: int = 1,
    forward: Forward | None = None,
    name: str = "",
) -> Seat:
    """Sentence Encoder Association Test (May et al. 2019) of a transformers model, for fields of torch models.

    (mean_X s - mean_Y s)/sd(s) over sentences, s = mean cosine to the sentences of A less that to those of B. Sentences
    are tokenised once; the model reads them in eval mode.

    Parameters
    ----------
    test : str, Path, Weat or mapping
        "seat1" to "seat10", "seat6b", "seat7b" or "seat8b": shipped words in frames such as "This is a rose.", made
        here and not those of May et al.; the path of a .jsonl file in the layout of sent-bias; word lists (those of
        ``weat`` and words in them); or sentences, {"X": [...], "Y": [...], "A": [...], "B": [...]}.
    tokenizer : fast tokenizer of transformers
    pooling : str
        "mean" of all tokens (bias-bench), "first-piece": the first word piece (sent-bias), "cls", or "word": the mean
        of the pieces of the word that the sentence is about.
    layer : int
        Of ``hidden_states``: 0 are the embeddings, -1 the last.
    special_tokens : bool, optional
        Whether sentences have them; without for first-piece, and with for the others, unless it is said.
    kind : "effect" or "difference"
        Effect size, or the plain difference of means, which a smaller denominator cannot raise.
    ddof : 0 or 1
        1 as in sent-bias and bias-bench; WEAT has 0.
    forward : callable, optional
        (model, batch) -> hidden states (n, tokens, d), for models without ``hidden_states``; the batch has input_ids
        and attention_mask.
    name : str
        What the test is called, in front of what was chosen.

    Raises
    ------
    UserError
        No such test, pooling or file; fewer than two sentences of a set; what the tokenizer does not know.

    Examples
    --------
    >>> effect = cl.objectives.seat("seat6", tokenizer, pooling="mean")
    >>> print(effect.name, float(effect(bert.view)))
    >>> scores = cl.score(bert, [effect, cl.objectives.seat("seat6", tokenizer, kind="difference")])
    """
    called, labels, sentences = read_test(test)
    how = Pooling(tokenizer, pooling, layer, special_tokens, forward)
    name = f"{name or called}-{how.name}-{'difference' if kind == 'difference' else f'ddof{ddof}'}"
    check_choices(name, kind, ddof)
    pooled = how.of(name, [sentence for side in SETS for sentence in sentences[side]])
    texts = {side: tuple(s.text if isinstance(s, Sentence) else s for s in sentences[side]) for side in SETS}
    return Seat(name, labels, pooled, [len(sentences[side]) for side in SETS], texts, kind, ddof)


def check_choices(name: str, kind: str, ddof: int) -> None:
    """Refuse another kind than effect or difference, and another ddof than 0 or 1."""
    if kind not in ("effect", "difference"):
        raise UserError(f"{name}: kind is {kind!r}: it should be 'effect' or 'difference'.")
    if ddof not in (0, 1):
        raise UserError(f"{name}: ddof is {ddof!r}: it should be 0 or 1.")


def word_test(test: str | Weat) -> Weat:
    """Words of a test of ``SEAT_TESTS``, or the given word lists as they are."""
    if isinstance(test, Weat):
        return test
    if test not in SEAT_TESTS:
        close = difflib.get_close_matches(test, SEAT_TESTS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UserError(f"There is no test {test!r}; {hint}there are {', '.join(SEAT_TESTS)}, or give a .jsonl file.")
    if test not in SWAPPED:
        return replace(weat(test.replace("seat", "weat")), name=test)
    of, sides, other = SWAPPED[test]
    base, source = weat(of), weat(other)
    # Targets of one test are attributes of the other: male first in both.
    if sides == "XY":
        labels = (*source.labels[2:], *base.labels[2:])
        return replace(base, X=source.A, Y=source.B, name=test, labels=labels, question="")
    labels = (*base.labels[:2], *source.labels[:2])
    return replace(base, A=source.X, B=source.Y, name=test, labels=labels, question="")


def read_test(test: Given) -> tuple[str, Sequence[str], dict[str, list[str | Sentence]]]:
    """Name, labels and sentences by set of a test, however it is given; UserError for fewer than two of a set."""
    if isinstance(test, Path) or (isinstance(test, str) and test.endswith((".jsonl", ".json"))):
        name, labels, sentences = _from_file(Path(test))
    elif isinstance(test, str | Weat):
        words = word_test(test)
        shown = shipped_words()
        sentences = {side: list(known_sentences(getattr(words, side), shown)) for side in SETS}
        name, labels = words.name, words.labels
    elif isinstance(test, Mapping) and set(test) == set(SETS) and not any(isinstance(s, str) for s in test.values()):
        name, labels, sentences = "seat", SETS, {side: list(test[side]) for side in SETS}
    else:
        raise UserError("A test is a name, a .jsonl file, a Weat, or sentences by X, Y, A and B: give one of them.")
    for side in SETS:
        if len(sentences[side]) < 2:
            raise UserError(f"{name}: {side} has {len(sentences[side])} sentences and two are needed: add sentences.")
    return name, labels, sentences


def _from_file(path: Path) -> tuple[str, Sequence[str], dict[str, list[str | Sentence]]]:
    """A test in the layout of sent-bias: targ1, targ2, attr1 and attr2, each with category and examples."""
    advice = "give a test as sent-bias has it"
    with refusing((OSError, ValueError), f"{path} cannot be read as a test", advice):
        found = json.loads(path.read_text("utf-8"))
        keys = ("targ1", "targ2", "attr1", "attr2")
        parts: list[Any] = [found.get(key) if isinstance(found, dict) else None for key in keys]
        for part in parts:
            if not isinstance(part, dict) or not {"category", "examples"} <= set(part):
                raise ValueError(f"it needs {', '.join(keys)}, each with category and examples")
    sentences = {side: list(part["examples"]) for side, part in zip(SETS, parts, strict=True)}
    return path.stem, [str(part["category"]) for part in parts], sentences
