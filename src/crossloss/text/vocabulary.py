"""The vocabulary: words by descending count, with the probability to be kept by subsampling."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crossloss.core import UserError, refusing
from crossloss.text.samples import AT_ONCE, Corpus, type_counts
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
        Probability to survive word2vec's subsampling at the threshold ``subsample`` (0: none); a factor of expected
        counts here, never a draw.
    token_pattern, form : str
        Regular expression of a word, and Unicode normal form of letters, as in ``cl.read``.
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
        stored = {name: getattr(self, name) for name in ("words", "subsample", "token_pattern", "form")}
        return stored | {"counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Vocabulary":
        """Inverse of ``to_json``; what is no vocabulary is refused."""
        errors = (KeyError, TypeError, ValueError)
        with refusing(errors, "The vocabulary file is damaged", "run again with overwrite=True"):
            words, counts = list(value["words"]), np.array(value["counts"], dtype=np.int64)
            threshold, pattern = float(value["subsample"]), str(value.get("token_pattern", TOKEN_PATTERN))
            if not all(isinstance(word, str) for word in words) or not len(set(words)) == len(words) == len(counts):
                raise ValueError("words and counts do not match")
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
    """Vocabulary of the samples of positive weight: the ``max_words`` most frequent that occur ``min_count`` times.

    ``keep_words`` stay beyond both, if they occur at all. Fewer than two words are refused.
    """
    counts = type_counts(corpus, trained=True)
    types = np.array(corpus.types, dtype=object)
    order = np.array(sorted(np.flatnonzero(counts), key=lambda i: (-counts[i], types[i])), dtype=np.int64)
    wanted = {normal(word, corpus.form) for word in keep_words}
    member = np.array([word in wanted for word in corpus.types], dtype=bool)
    member[order[counts[order] >= min_count][:max_words]] = True
    chosen = order[member[order]]
    if len(chosen) < 2:
        raise UserError(
            f"Only {len(chosen)} words occur {min_count} times or more: lower min_count= or give a larger corpus."
        )
    counts = counts[chosen].astype(np.int64)
    keep = keep_probability(counts, subsample)
    return Vocabulary(types[chosen].tolist(), counts, keep, subsample, corpus.token_pattern, corpus.form)


def word_rows(corpus: Corpus, vocabulary: Vocabulary) -> np.ndarray:
    """Row in the vocabulary of every word type, -1 where it is not in it; int32."""
    return np.array([vocabulary.index.get(word, -1) for word in corpus.types], dtype=np.int32)


def token_words(corpus: Corpus, vocabulary: Vocabulary) -> np.ndarray:
    """Row in the vocabulary of every token of the corpus, -1 where it is not in it; int32."""
    return np.asarray(word_rows(corpus, vocabulary)[corpus.tokens])


def known_words(
    corpus: Corpus, vocabulary: Vocabulary, at_once: int = AT_ONCE, samples: slice | None = None
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield stretches of samples, the row of each of their tokens that is in the vocabulary, and its sample there."""
    rows = word_rows(corpus, vocabulary)
    for block in corpus.blocks(at_once, samples):
        tokens, sample = corpus.tokens_of(block)
        words = rows[tokens]
        known = words >= 0
        yield block, words[known].astype(np.int64), sample[known]
