"""The log-probability bias score of masked language models (Kurita et al. 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import BaseObjective
from crossloss.objectives.contextual.encoding import Encoded, encode, refuse_unknown
from crossloss.objectives.contextual.predictions import Logits, Predictions, Query, ask, mask_token
from crossloss.objectives.word_objective import join_words


@dataclass(frozen=True, eq=False)
class LogProbabilityBias(BaseObjective):
    """A log-probability bias score whose sentences are tokenised; made by ``log_probability_bias``.

    Attributes
    ----------
    name : str
    first, second : sequences of str
        Targets that are set against each other.
    attributes : sequence of str
    predictions : Predictions
        Of each sentence: every target given the attribute, then every target with the attribute masked.

    Examples
    --------
    >>> test = cl.objectives.log_probability_bias(["he"], ["she"], ["nurse", "chef"], tokenizer)
    >>> print(test.interpretation())
    """

    name: str
    first: Sequence[str]
    second: Sequence[str]
    attributes: Sequence[str]
    predictions: Predictions

    quantity = "log-probability bias, nats"

    def __call__(self, view: Any) -> Tensor:
        """Mean score, shape (); UserError where the model gives no logits or they are not finite."""
        found = self.predictions.log_probabilities(self.name, view)
        x = len(self.first)
        given, prior = found.view(-1, 2, x + len(self.second)).unbind(1)
        increase = [p[:, :x].logsumexp(1) - p[:, x:].logsumexp(1) for p in (given, prior)]
        return (increase[0] - increase[1]).mean()

    def interpretation(self) -> str:
        """What the sign means, in one sentence."""
        return (
            f"Positive: {join_words(self.attributes)} make {join_words(self.first)} likelier in their sentences than "
            f"they make {join_words(self.second)}, each against its probability without them; negative: the other way "
            "round; in nats, so units of log ratios."
        )


def log_probability_bias(
    first: Sequence[str],
    second: Sequence[str],
    attributes: Sequence[str],
    tokenizer: Any,
    *,
    template: str = "{target} is {attribute}.",
    forward: Logits | None = None,
    name: str = "log-probability-bias",
) -> LogProbabilityBias:
    """Log-probability bias score of a masked language model (Kurita et al. 2019).

    The mean over attributes of [log p(first | attribute)/p(first)] - [log p(second | attribute)/p(second)], with the
    target masked, and for p(first) the attribute too. Where a side has several words, their probabilities are added.

    Parameters
    ----------
    first, second : sequences of str
        Targets as they are to be written, each one piece of the tokenizer.
    attributes : sequence of str
        As they are to be written, with an article where they need one.
    tokenizer : fast tokenizer of transformers, with a mask token
    template : str
        A sentence with {target} and {attribute} in it, once each.
    forward : callable, optional
        (model, batch) -> logits (n, tokens, vocabulary).
    name : str

    Raises
    ------
    UserError
        A target of several pieces, a template without its places, a tokenizer without a mask token.

    Examples
    --------
    >>> test = cl.objectives.log_probability_bias(["he"], ["she"], ["nurse", "chef"], tokenizer)
    >>> print(float(test(bert.view)))
    """
    mask = mask_token(name, tokenizer)
    for what, words in (("first", first), ("second", second), ("attributes", attributes)):
        if isinstance(words, str) or not words or not all(isinstance(w, str) and w.strip() for w in words):
            raise UserError(f"{name}: {what} must be a list of words, none of them empty.")
    for what, words in (("first and second", (*first, *second)), ("attributes", tuple(attributes))):
        if len(set(words)) < len(words):
            raise UserError(f"{name}: {what} have a word twice: give each once.")
    if template.count("{target}") != 1 or template.count("{attribute}") != 1:
        raise UserError(f"{name}: the template {template!r} must have {{target}} and {{attribute}} in it, once each.")
    asked: list[Query] = []
    for attribute in attributes:
        given, pieces = [], []
        for target in (*first, *second):
            one, target_at, attribute_at = _located(name, template, target, attribute, tokenizer)
            if len(target_at) != 1:
                raise UserError(f"{name}: {target!r} has {len(target_at)} pieces and one is needed: choose another.")
            pieces.append(one.ids[target_at[0]])
            given.append((_masked(one.ids, target_at, mask), target_at[0], attribute_at))
        if any(other != given[0] for other in given):
            raise UserError(f"{name}: the pieces around the target change with it: choose other targets or template.")
        ids, place, attribute_at = given[0]
        for sentence in (ids, _masked(ids, attribute_at, mask)):
            asked.append(Query(sentence, [place] * len(pieces), pieces))
    predictions = ask(asked, tokenizer, forward)
    return LogProbabilityBias(name, tuple(first), tuple(second), tuple(attributes), predictions)


def _located(
    name: str, template: str, target: str, attribute: str, tokenizer: Any
) -> tuple[Encoded, list[int], list[int]]:
    """The sentence in pieces, and where target and attribute stand."""
    text, spans = "", {}
    for part in template.replace("{target}", "\0target\0").replace("{attribute}", "\0attribute\0").split("\0"):
        shown = {"target": target, "attribute": attribute}.get(part, part)
        spans[part] = len(text), len(text) + len(shown)
        text += shown
    (one,) = encode([text], tokenizer, True)
    refuse_unknown(name, [one], tokenizer)
    return one, one.within(*spans["target"]), one.within(*spans["attribute"])


def _masked(ids: Sequence[int], places: Sequence[int], mask: int) -> list[int]:
    return [mask if i in places else piece for i, piece in enumerate(ids)]
