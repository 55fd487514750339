"""The vocabulary: words by descending count, with the probability to be kept by subsampling."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crossloss.core import UserError
from crossloss.text.read import Corpus
from crossloss.text.tokens import FORM, TOKEN_PATTERN, Form, normal


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words of a corpus, constants of a run.

    Attributes
    ----------
    words : list of str
        By descending count, then alphabetically; V of them.
    counts : (V,) int64 array
        Occurrences in the samples of positive weight.
    keep : (V,) float64 array
        Probability to survive word2vec's subsampling; a factor of expected counts here, never a draw.
    subsample : float
        The threshold t that ``keep`` was made with; 0: none.
    token_pattern : str
        Regular expression of a word.
    form : "NFKC" or "NFC"
        Unicode normal form of letters.
    """

    words: list[str]
    counts: np.ndarray
    keep: np.ndarray
    subsample: float
    token_pattern: str = TOKEN_PATTERN
    form: Form = FORM

    @cached_property
    def index(self) -> dict[str, int]:
        """Row of each word."""
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def occurrences(self) -> dict[str, int]:
        """How often each word occurs in the corpus."""
        return dict(zip(self.words, self.counts.tolist(), strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "words": self.words,
            "counts": self.counts.tolist(),
            "subsample": self.subsample,
            "token_pattern": self.token_pattern,
            "form": self.form,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Vocabulary":
        """Inverse of ``to_json``.

        Raises
        ------
        UserError
            The value is no vocabulary.
        """
        try:
            words, counts = list(value["words"]), np.array(value["counts"], dtype=np.int64)
            threshold, pattern = float(value["subsample"]), str(value.get("token_pattern", TOKEN_PATTERN))
            if len(words) != len(counts) or len(set(words)) != len(words):
                raise ValueError("words and counts do not match")
            if not all(isinstance(word, str) for word in words):
                raise ValueError("a word is no text")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"The vocabulary file is damaged ({error}); run again with --overwrite.") from error
        return cls(words, counts, keep_probability(counts, threshold), threshold, pattern, value.get("form", FORM))


def keep_probability(counts: np.ndarray, subsample: float) -> np.ndarray:
    """min(1, sqrt(t/f) + t/f) for relative frequency f (Mikolov et al. 2013, as in word2vec.c), (V,) float64."""
    if subsample == 0:
        return np.ones(len(counts))
    ratio = subsample * counts.sum() / np.maximum(counts, 1)
    return np.asarray(np.minimum(1.0, np.sqrt(ratio) + ratio))


def build_vocabulary(
    corpus: Corpus,
    *,
    min_count: int = 5,
    max_words: int | None = None,
    keep_words: Iterable[str] = (),
    subsample: float = 1e-3,
) -> Vocabulary:
    """Vocabulary of the samples of positive weight.

    Parameters
    ----------
    min_count : int
        Leave out words that occur less often.
    max_words : int, optional
        The most frequent words kept.
    keep_words : iterable of str
        Words that stay whatever their count, beyond ``max_words``, if they occur at all.
    subsample : float
        Threshold of word2vec's subsampling; 0: none.

    Raises
    ------
    UserError
        Fewer than two words are left.
    """
    trained = np.repeat(corpus.weights > 0, np.diff(corpus.indptr))
    counts = np.bincount(corpus.tokens[trained], minlength=len(corpus.types))
    types = np.array(corpus.types, dtype=object)
    order = np.array(sorted(np.flatnonzero(counts), key=lambda i: (-counts[i], types[i])), dtype=np.int64)
    chosen = order[counts[order] >= min_count][:max_words]
    wanted = {normal(word, corpus.form) for word in keep_words}
    extra = np.array([i for i in order if types[i] in wanted], dtype=np.int64)
    member = np.zeros(len(types), dtype=bool)
    member[chosen] = member[extra] = True
    kept = order[member[order]]
    if len(kept) < 2:
        raise UserError(
            f"Only {len(kept)} words occur {min_count} times or more: lower --min-count or give a larger corpus."
        )
    chosen_counts = counts[kept].astype(np.int64)
    keep = keep_probability(chosen_counts, subsample)
    return Vocabulary([str(types[i]) for i in kept], chosen_counts, keep, subsample, corpus.token_pattern, corpus.form)


def token_words(corpus: Corpus, vocabulary: Vocabulary) -> np.ndarray:
    """Row in the vocabulary of every token of the corpus, -1 where it is not in it; int32."""
    rows = np.array([vocabulary.index.get(word, -1) for word in corpus.types], dtype=np.int32)
    return np.asarray(rows[corpus.tokens])
