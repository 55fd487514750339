"""Log ratios of the likelihoods of paired sentences, as of CrowS-Pairs (Nangia et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import BaseObjective
from crossloss.objectives.contextual.encoding import Encoded, encode, refuse_unknown
from crossloss.objectives.contextual.predictions import Logits, Predictions, Query, ask, mask_token


@dataclass(frozen=True, eq=False)
class LikelihoodDifference(BaseObjective):
    """Differences of log-likelihood of pairs that are tokenised; made by ``likelihood_difference``.

    Attributes
    ----------
    name : str
    model : "masked" or "causal"
    predictions : Predictions
    owner : Tensor
        Sentence that each log-probability belongs to, int64: 2i and 2i + 1 are those of pair i.
    number : int
        Pairs.

    Examples
    --------
    >>> test = cl.objectives.likelihood_difference([("he is.", "she is.")], tokenizer, model="masked")
    >>> print(test.interpretation(), test.percentage(bert.view))
    """

    name: str
    model: str
    predictions: Predictions
    owner: Tensor
    number: int

    quantity = "mean log ratio of likelihoods, nats a pair"

    def differences(self, view: Any) -> Tensor:
        """Log-likelihood of the first less that of the second sentence of each pair, (pairs,), nats."""
        found = self.predictions.log_probabilities(self.name, view)
        sums = found.new_zeros(2 * self.number).index_add(0, self.owner.to(found.device), found)
        first, second = sums.view(-1, 2).unbind(1)
        return first - second

    def __call__(self, view: Any) -> Tensor:
        """Mean difference, shape (); UserError where the model gives no logits or they are not finite."""
        return self.differences(view).mean()

    def percentage(self, view: Any) -> float:
        """Percentage of pairs whose first sentence is likelier (50 is no preference): reported, with no derivative."""
        with torch.no_grad():
            return 100 * float((self.differences(view) > 0).double().mean())

    def interpretation(self) -> str:
        """What the sign means, in one sentence."""
        how = {
            "masked": "by the pseudo-log-likelihood of the pieces that both share",
            "causal": "by the log-likelihood of all pieces",
        }[self.model]
        return (
            f"Positive: the first sentences of {self.number} pair{'s' * (self.number > 1)} are likelier than the "
            f"second, {how}; negative: the other way round; in units of nats a pair."
        )


def likelihood_difference(
    pairs: Sequence[Sequence[str]],
    tokenizer: Any,
    *,
    model: Literal["masked", "causal"],
    forward: Logits | None = None,
    name: str = "likelihood-difference",
) -> LikelihoodDifference:
    """Mean log ratio of the likelihoods of paired sentences, such as those of CrowS-Pairs (Nangia et al. 2020).

    CrowS-Pairs counts the pairs whose more stereotypical sentence is likelier. A count has no derivative; its log
    ratios have one, and ``percentage`` is the count.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Sentences that differ in some words, the more stereotypical first.
    tokenizer : fast tokenizer of transformers
    model : "masked" or "causal"
        Masked: the sum of log p of each piece that both sentences share, masked in turn. Causal: the sum of log p of
        every piece, given those before, of which the first is given the beginning-of-sentence token.
    forward : callable, optional
        (model, batch) -> logits (n, tokens, vocabulary).
    name : str

    Raises
    ------
    UserError
        A pair of equal sentences, or that share nothing; a tokenizer without the token that is needed.

    Examples
    --------
    >>> test = cl.objectives.likelihood_difference([("he is.", "she is.")], tokenizer, model="masked")
    >>> print(float(test(bert.view)))
    """
    name = f"{name}-{model}"
    if model not in ("masked", "causal"):
        raise UserError(f"{name}: model is {model!r}: it should be 'masked' or 'causal'.")
    if isinstance(pairs, str) or not pairs:
        raise UserError(f"{name}: pairs must be a list of pairs of sentences.")
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(text, str) and text.strip() for text in pair):
            raise UserError(f"{name}: {pair!r} is no pair of sentences.")
    asked, owner = (_masked if model == "masked" else _causal)(name, pairs, tokenizer)
    return LikelihoodDifference(name, model, ask(asked, tokenizer, forward), torch.tensor(owner), len(pairs))


def _masked(name: str, pairs: Sequence[Sequence[str]], tokenizer: Any) -> tuple[list[Query], list[int]]:
    """Each piece that both sentences of a pair share, masked in both."""
    mask, asked, owner = mask_token(name, tokenizer), [], []
    for number, pair in enumerate(pairs):
        both = encode(pair, tokenizer, True)
        shared = _shared(name, both)
        for side, (one, places) in enumerate(zip(both, shared, strict=True)):
            other = [i for i in range(len(one.ids)) if i not in places]
            parts = (tuple(part[i] for i in other) for part in (one.ids, one.offsets, one.special))
            refuse_unknown(name, [Encoded(one.text, *parts)], tokenizer)  # type: ignore[arg-type]
            for place in places:
                ids = [mask if i == place else piece for i, piece in enumerate(one.ids)]
                asked.append(Query(ids, [place], [one.ids[place]]))
                owner.append(2 * number + side)
    return asked, owner


def _shared(name: str, both: Sequence[Encoded]) -> tuple[list[int], list[int]]:
    """Places of the pieces that two sentences share, special tokens left out."""
    first, second = both
    if first.ids == second.ids:
        raise UserError(f"{name}: the two sentences of {first.text!r} are one to the tokenizer: leave the pair out.")
    matching = SequenceMatcher(None, first.ids, second.ids, autojunk=False).get_matching_blocks()
    places = [(b.a + i, b.b + i) for b in matching for i in range(b.size) if not first.special[b.a + i]]
    if not places:
        raise UserError(f"{name}: {first.text!r} and {second.text!r} share no piece: leave the pair out.")
    return [a for a, _ in places], [b for _, b in places]


def _causal(name: str, pairs: Sequence[Sequence[str]], tokenizer: Any) -> tuple[list[Query], list[int]]:
    """Every piece of every sentence, at the place before it."""
    start = getattr(tokenizer, "bos_token_id", None)
    if start is None:
        raise UserError(f"{name}: the tokenizer has no bos_token, which the first piece is predicted from: set it.")
    asked, owner = [], []
    for number, pair in enumerate(pairs):
        both = encode(pair, tokenizer, False)
        refuse_unknown(name, both, tokenizer)
        if both[0].ids == both[1].ids:
            raise UserError(f"{name}: the two sentences of {pair[0]!r} are one to the tokenizer: leave the pair out.")
        for side, one in enumerate(both):
            asked.append(Query([int(start), *one.ids], range(len(one.ids)), one.ids))
            owner += [2 * number + side] * len(one.ids)
    return asked, owner
