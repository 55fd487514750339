"""A sentence taken apart: what each word pair in it adds to its score."""

from dataclasses import dataclass

import numpy as np

from crossloss.text.pairs import PairCounts, expected_cooccurrences, pair_keys
from crossloss.text.tokens import tokenize
from crossloss.text.vocabulary import Vocabulary
from crossloss.utils.display import Table, effect, percent


@dataclass(frozen=True)
class Explanation:
    """A sentence taken apart.

    Attributes
    ----------
    text : str
    sample : int or None
        Its number among the samples trained on; None of a text that is none of them, which can only be added.
    score : float
        d f/d(weight of this sentence).
    pairs : list of (word, word, contribution)
        Strongest first; they add up to the score.
    spans : list of (start, end, contribution)
        Each token's share: half of every pair it is in.
    unseen : float
        Share of the sentence's expected pairs that no sample has, left out of the score.
    """

    text: str
    score: float
    pairs: list[tuple[str, str, float]]
    spans: list[tuple[int, int, float]]
    unseen: float
    sample: int | None = None
    weight: float = 1.0

    @property
    def effect_if_removed(self) -> float:
        """Minus the score, times the sample's weight (1 of a text that is no sample)."""
        return -self.score * self.weight

    @property
    def effect_if_added(self) -> float:
        """The score: what the objective is predicted to change by when the text is added once."""
        return self.score

    def summary(self, name: str) -> str:
        """Write what removing it, or adding it where it was not trained on, is predicted to do to the objective."""
        change, verb = (self.effect_if_added, "adding") if self.sample is None else (self.effect_if_removed, "removing")
        start = "Not trained on. Effect if added" if self.sample is None else "Effect if removed"
        moves = f"{'lower' if change < 0 else 'raise'} {name} by {effect(abs(change)).lstrip('+')}"
        text = f"{start} {effect(change)}: {verb} it is predicted to {moves if change else f'leave {name} as it is'}."
        if self.unseen:
            text += f" {percent(self.unseen)} of its expected word pairs occur nowhere in the corpus and are left out."
        return text

    def table(self, count: int = 12) -> Table:
        """Its strongest word pairs, each with its part of the effect."""
        factor = 1.0 if self.sample is None else -self.weight
        rows = [(effect(factor * value), f"{a} - {b}") for a, b, value in self.pairs[:count]]
        return Table("Word pairs, by their part of that effect", ("effect", "pair"), rows)


def explain_text(vocabulary: Vocabulary, counts: PairCounts, values: np.ndarray, text: str) -> Explanation:
    """Take any text apart by the influence (m,) of each pair; with fewer than two known words it scores 0."""
    return explain_for_each(vocabulary, counts, values[None], text)[0]


def explain_for_each(vocabulary: Vocabulary, counts: PairCounts, values: np.ndarray, text: str) -> list[Explanation]:
    """``explain_text`` for several objectives, (k, m): its words and pairs are found once."""
    tokens = [t for t in tokenize(text, vocabulary.token_pattern, vocabulary.form) if t.word in vocabulary.index]
    words = np.array([vocabulary.index[t.word] for t in tokens], dtype=np.int64)
    p, q, count, known, column = pair_terms(vocabulary, counts, words, np.zeros_like(words))
    unseen = float(count[~known].sum() / count.sum()) if len(count) else 0.0
    made = []
    for row in values:
        contribution = np.where(known, row[column] * count, 0.0)
        by_token = np.bincount(p, contribution, len(words)) + np.bincount(q, contribution, len(words))
        by_pair: dict[tuple[str, str], float] = {}
        for i, j, value in zip(p, q, contribution.tolist(), strict=True):
            pair = (tokens[i].word, tokens[j].word)
            pair = pair if pair[::-1] not in by_pair else pair[::-1]
            by_pair[pair] = by_pair.get(pair, 0.0) + value
        pairs = sorted(((a, b, v) for (a, b), v in by_pair.items()), key=lambda pair: -abs(pair[2]))
        spans = [(t.start, t.end, v / 2) for t, v in zip(tokens, by_token.tolist(), strict=True)]
        made.append(Explanation(text, float(contribution.sum()), pairs, spans, unseen))
    return made


def pair_terms(
    vocabulary: Vocabulary, counts: PairCounts, words: np.ndarray, sample: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Pairs of positions in texts that need not be samples of the run.

    Parameters
    ----------
    words, sample : (t,) int64 arrays
        Vocabulary row, and number of its text, of every token of the vocabulary.

    Returns
    -------
    p, q, count, known, column : arrays, one entry a pair of positions
        Its two positions, its expected count, whether any sample of the run has this pair of words, and where.
    """
    none = np.empty(0, dtype=np.int64)
    parts: list[tuple[np.ndarray, ...]] = [(none, none, np.empty(0))]
    parts += expected_cooccurrences(words, sample, vocabulary.keep, counts.window)
    p, q, count = (np.concatenate(part) for part in zip(*parts, strict=True))
    a, b = np.minimum(words[p], words[q]), np.maximum(words[p], words[q])
    keys, wanted = counts.keys, pair_keys(a, b)
    column = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return p, q, np.where(a == b, 2 * count, count), keys[column] == wanted, column
