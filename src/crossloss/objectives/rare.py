"""Words of an objective that the corpus hardly has: which they are, and what the objective is without them."""

from collections.abc import Mapping
from dataclasses import dataclass

from crossloss.core import Objective, UserError
from crossloss.objectives.algebra import BaseObjective
from crossloss.objectives.permutation import permutation_test
from crossloss.objectives.weat import Weat
from crossloss.objectives.word_objective import WordView
from crossloss.utils.display import count, probability, value

RARE = 50
"""Occurrences below which a word is rare: one sentence is then more than 2 % of what is known of it (docs/trust.md)."""


@dataclass(frozen=True)
class RareWords:
    """Rare words of an objective with their counts, the rarest first; those that do not occur are not among them.

    ``value`` and ``p_value`` (one-sided) are of an association test without them; None for other objectives, and where
    a set would be left with fewer than two words.

    Examples
    --------
    >>> rare = cl.objectives.rare_words(weat, run.model.vocabulary.occurrences, run.view)
    >>> print(rare.words, rare.value)
    """

    words: tuple[tuple[str, int], ...]
    value: float | None = None
    p_value: float | None = None

    def sentence(self, name: str) -> str:
        """Name the words, and what the objective of that name is without them."""
        listed = ", ".join(f"{word} {count(n)}" for word, n in self.words[:12])
        more = f" and {len(self.words) - 12} more" if len(self.words) > 12 else ""
        are, them = ("One word is", "it") if len(self.words) == 1 else (f"{len(self.words)} words are", "them")
        text = (
            f"{are} rare in the corpus, fewer than {RARE} times: {listed}{more}; a few sentences decide where they lie."
        )
        if self.value is None:
            return text
        return f"{text} Without {them} {name} is {value(self.value)} (p {probability(self.p_value)})."


def rare_words(objective: Objective, counts: Mapping[str, int], view: WordView | None = None) -> RareWords | None:
    """Words of an objective that occur, but less than ``RARE`` times; None where there are none.

    ``counts`` are occurrences by word; ``view`` has vectors to measure a test without these words.

    Examples
    --------
    >>> print(cl.objectives.rare_words(weat, run.model.vocabulary.occurrences))
    """
    coverage = objective.coverage(counts) if isinstance(objective, BaseObjective) else ()
    present = dict(pair for row in coverage for pair in row.present)
    rare = tuple(sorted(((w, count) for w, count in present.items() if count < RARE), key=lambda pair: pair[1]))
    if rare and view is not None and isinstance(objective, Weat):
        try:
            tested = permutation_test(objective.frequent(counts, RARE), view)
            return RareWords(rare, getattr(tested, objective.kind), tested.p_value)
        except UserError:  # a set has too few words without them
            pass
    return RareWords(rare) if rare else None
