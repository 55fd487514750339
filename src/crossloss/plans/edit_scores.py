"""Scores of edits: of texts that are samples of the run, and of texts that are not."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from crossloss.core import UserError
from crossloss.models.skipgram.explain import pair_terms
from crossloss.plans.edits import ABSENT, Edits, model_of
from crossloss.scores import Scores
from crossloss.text.vocabulary import token_words

TEXTS_AT_ONCE = 20_000


def score_edits(scores: Scores, before: Sequence[str], after: Sequence[str]) -> Edits:
    """Score edits, given as texts; those that are samples of the run have these samples' scores.

    A text is the sample that has it word for word: ``before`` one that was trained on, ``after`` a candidate, where
    there is one. Texts that occur several times are so many samples, in turn.

    Parameters
    ----------
    scores : Scores
    before, after : sequences of str
        m each.

    Raises
    ------
    UserError
        No edit, or another number of texts on either side.

    Examples
    --------
    >>> edits = cl.score_edits(scores, ["His math is good."], ["Her math is good."])
    >>> print(edits.of("weat7"))
    """
    if not before or len(before) != len(after):
        raise UserError(f"Edits are pairs of texts: there are {len(before)} before and {len(after)} after.")
    samples = np.stack([_located(scores, before, trained=True), _located(scores, after, trained=False)], axis=1)
    return _scored(scores, list(before), list(after), samples)


def score_sample_edits(scores: Scores, before: np.ndarray, after: np.ndarray) -> Edits:
    """Score edits whose versions are samples of the run, given by their numbers, (m,) each."""
    texts = model_of(scores).corpus.texts
    samples = np.stack([before, after], axis=1).astype(np.int64)
    return _scored(scores, [texts[i] for i in before], [texts[i] for i in after], samples)


def _located(scores: Scores, texts: Sequence[str], *, trained: bool) -> np.ndarray:
    """Sample that has each text, (m,): of those trained on first, or of the others first; -1 where none has."""
    wanted, weights = set(texts), scores.run.weights
    samples: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(model_of(scores).corpus.texts):
        if text in wanted:
            samples[text].append(i)
    for numbers in samples.values():
        numbers.sort(key=lambda i: (weights[i] > 0) != trained)
    turns: Counter[str] = Counter()
    located = []
    for text in texts:
        numbers = samples.get(text, [ABSENT])
        located.append(numbers[min(turns[text], len(numbers) - 1)])
        turns[text] += 1
    return np.array(located, dtype=np.int64)


def _scored(scores: Scores, before: list[str], after: list[str], samples: np.ndarray) -> Edits:
    """Score of the second version minus score of the first, and the share of pairs that no sample has."""
    texts = np.array([before, after], dtype=object).T
    parts = np.zeros((len(scores.objectives), *samples.shape))
    total, unseen = np.zeros(samples.shape), np.zeros(samples.shape)
    inside = samples != ABSENT
    parts[:, inside] = scores.samples[:, samples[inside]]
    total[inside] = np.asarray(model_of(scores).counts.matrix.sum(axis=1)).ravel()[samples[inside]]
    parts[:, ~inside], total[~inside], unseen[~inside] = _outside(scores, list(texts[~inside]))
    all_pairs = total.sum(axis=1)
    share = np.divide(unseen.sum(axis=1), all_pairs, out=np.zeros(len(samples)), where=all_pairs > 0)
    return Edits(scores, before, after, samples, parts[:, :, 1] - parts[:, :, 0], share)


def _outside(scores: Scores, texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (k, t), expected pairs (t,) and unseen ones (t,) of texts that are no samples."""
    model, values = model_of(scores), scores.atoms.astype(np.float64)
    made, total, unseen = np.zeros((len(values), len(texts))), np.zeros(len(texts)), np.zeros(len(texts))
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        block = texts[first : first + TEXTS_AT_ONCE]
        size, here = len(block), slice(first, first + len(block))
        corpus = replace(model.corpus, ids=[""] * size, documents=[""] * size, texts=block, weights=np.zeros(size))
        words = token_words(corpus, model.vocabulary).astype(np.int64)
        sample = np.repeat(np.arange(size), np.diff(corpus.indptr))[words >= 0]
        at, _, count, known, column = pair_terms(model.vocabulary, model.counts, words[words >= 0], sample)
        text = sample[at]
        total[here] = np.bincount(text, count, size)
        unseen[here] = np.bincount(text, np.where(known, 0.0, count), size)
        for row, value in zip(made, values, strict=True):
            row[here] = np.bincount(text, np.where(known, value[column] * count, 0.0), size)
    return made, total, unseen
