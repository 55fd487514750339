"""Baselines that know no gradient: how near the text of a sample is to the words or texts of an objective.

Each gives a relevance r_S(i) of sample i to some texts S. Its sign is that of the other scores, positive where the
sample is taken to raise the objective: of a WEAT (r_X - r_Y) (r_A - r_B), as co-occurrence has it, and of a SEAT the
same of its sentences; of a likelihood r of its text; of a ``Function`` r of its ``texts`` less r of those ``against``
it; of a sum the weighted sum. Neither has a unit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.model import SkipGram
from crossloss.objectives import Function, Likelihood, Seat, Sum, Weat
from crossloss.run.run import Run
from crossloss.text.samples import Kinds, tokenised
from crossloss.text.tokens import FORM, TOKEN_PATTERN, Form
from crossloss.text.vocabulary import token_words

Relevance = Callable[[Sequence[str]], np.ndarray]
"""Of every sample (n,) to some texts."""


class Baseline(ABC):
    """A way to score by texts alone; a frozen dataclass of its settings."""

    name: ClassVar[str]

    @abstractmethod
    def relevance(self, run: Run) -> Relevance:
        """Relevance of the run's samples to any texts; UserError for a model that it cannot take."""

    def check(self, run: Run, objective: Objective) -> None:
        """Refuse a model without texts, and an objective without words or texts."""
        if "text" not in run.model.columns():
            raise UserError(
                f"{self.name} compares texts, and these samples show none: give TorchField(..., show=texts)."
            )
        if not _has_texts(objective):
            raise UserError(
                f"{self.name} compares samples with word sets X, Y, A, B or with texts, which {objective.name} has "
                f"not: give cl.objectives.Function({objective.name!r}, f, texts=those that raise it, "
                "against=those that lower it)."
            )

    def able(self, run: Run, objective: Objective) -> bool:
        """Whether it can score this objective of this run."""
        try:
            self.check(run, objective)
        except UserError:
            return False
        return True

    def __call__(self, run: Run, objectives: Sequence[Objective]) -> np.ndarray:
        """Scores (k, n) float64; UserError as ``check``."""
        for objective in objectives:
            self.check(run, objective)
        relevance = self.relevance(run)
        return np.stack([_oriented(objective, relevance) for objective in objectives])


@dataclass(frozen=True)
class BM25(Baseline):
    """Okapi BM25 of each sample's text (Robertson and Zaragoza 2009), the mean over the texts it is compared with.

    sum_q idf(q) f_q (k1 + 1) / (f_q + k1 (1 - b + b length / mean length)) over the words q of a text, with f_q how
    often the sample has the word, and idf(q) = ln(1 + (N - n_q + 1/2) / (n_q + 1/2)), n_q of the N samples trained on
    having it. Words are those of the corpus, or runs of letters, case-folded.

    Parameters
    ----------
    k1 : float
        How soon a repeated word counts no more, 0 or more.
    b : float
        How far long samples are discounted, 0 to 1.

    Examples
    --------
    >>> scores = cl.score(run, [weat], cl.baselines.BM25(b=0.5))
    """

    k1: float = 1.2
    b: float = 0.75
    name: ClassVar[str] = "bm25"

    def __post_init__(self) -> None:
        if not 0 <= self.k1 < float("inf") or not 0 <= self.b <= 1:
            raise UserError(f"k1 is {self.k1} and b is {self.b}: give k1 of 0 or more, and b between 0 and 1.")

    def relevance(self, run: Run) -> Relevance:
        """Of a sparse matrix of saturated counts, made once."""
        tokens, ends, types, words = _tokens(run)
        ones, size = np.ones(len(tokens)), (len(ends) - 1, len(types))
        counts = scipy.sparse.csr_matrix((ones, tokens, ends), size, copy=True)  # which is sorted in place
        counts.sum_duplicates()
        lengths, trained = np.diff(ends), run.weights > 0
        mean = max(float(lengths[trained].mean()), 1.0) if trained.any() else 1.0
        damped = np.repeat(self.k1 * (1 - self.b + self.b * lengths / mean), np.diff(counts.indptr))
        saturated = counts.copy()
        saturated.data = counts.data * (self.k1 + 1) / (counts.data + damped)
        having = np.asarray((counts[trained] > 0).sum(axis=0)).ravel()
        idf = np.log1p((trained.sum() - having + 0.5) / (having + 0.5))
        index = {word: i for i, word in enumerate(types)}

        def relevance(texts: Sequence[str]) -> np.ndarray:
            query = np.zeros(len(types))
            for text in texts:
                found = [index[word] for word in words(text) if word in index]
                np.add.at(query, found, 1 / len(texts))
            return np.asarray(saturated @ (idf * query))

        return relevance


@dataclass(frozen=True)
class EmbeddingCosine(Baseline):
    """Cosine of the embedding of each sample with the mean embedding of the texts it is compared with.

    Of word vectors the embedding of a text is the mean of its words' vectors; 0 of a text without a word of the
    vocabulary.

    Parameters
    ----------
    embed : callable, optional
        (view, list of m texts) -> (m, d) tensor: what a torch model, which has no vectors of words, makes of texts.

    Examples
    --------
    >>> scores = cl.score(run, [weat], cl.baselines.EmbeddingCosine())
    """

    embed: Callable[[Any, list[str]], Tensor] | None = None
    name: ClassVar[str] = "embedding-cosine"

    def check(self, run: Run, objective: Objective) -> None:
        """Refuse also a torch model without ``embed``."""
        if self.embed is None and not isinstance(run.model, SkipGram):
            raise UserError(
                "embedding-cosine takes the mean vector of words, which a torch model has not: give "
                "cl.baselines.EmbeddingCosine(lambda view, texts: a tensor of one row a text)."
            )
        super().check(run, objective)

    def relevance(self, run: Run) -> Relevance:
        """Of unit vectors of the samples, made once."""
        if self.embed is not None:
            embed = self._embedded(run.view)
            samples = _unit(embed(list(run.model.columns()["text"])))
            return lambda texts: np.asarray(samples @ _unit(embed(list(texts)).mean(axis=0)))
        model, view, words = run.model, run.view, _tokens(run)[3]
        assert isinstance(model, SkipGram)
        vectors, rows = view.vectors.double().cpu().numpy(), token_words(model.corpus, model.vocabulary)
        kept = np.concatenate([[0], np.cumsum(rows >= 0)])[model.corpus.indptr]
        shape = (len(kept) - 1, len(vectors))
        samples = _unit(scipy.sparse.csr_matrix((np.ones(kept[-1]), rows[rows >= 0], kept), shape) @ vectors)

        def relevance(texts: Sequence[str]) -> np.ndarray:
            found = [[view.index[word] for word in words(text) if word in view.index] for text in texts]
            means = [vectors[rows].mean(axis=0) for rows in found if rows]
            return np.asarray(samples @ _unit(np.mean(means, axis=0))) if means else np.zeros(len(samples))

        return relevance

    def _embedded(self, view: Any) -> Callable[[list[str]], np.ndarray]:
        """``embed`` of a view, checked, as float64."""
        assert self.embed is not None
        embed = self.embed

        def embedded(texts: list[str]) -> np.ndarray:
            with torch.no_grad():
                rows = embed(view, texts)
            if not isinstance(rows, Tensor) or rows.dim() != 2 or len(rows) != len(texts):
                raise UserError(f"embed must return one row a text, a tensor of shape ({len(texts)}, d).")
            if not bool(torch.isfinite(rows).all()):
                raise UserError("embed returns numbers that are not finite: embed other texts, or train differently.")
            return np.asarray(rows.double().cpu().numpy())

        return embedded


BASELINES: Mapping[str, Baseline] = {baseline.name: baseline for baseline in (BM25(), EmbeddingCosine())}
"""Every name, and the baseline with its usual settings that it stands for."""


def baseline(estimator: Any) -> Baseline | None:
    """The baseline of a name, or the one that is given itself; None of anything else."""
    if isinstance(estimator, str):
        return BASELINES.get(estimator)
    return estimator if isinstance(estimator, Baseline) else None


def _has_texts(objective: Any) -> bool:
    """Whether an objective says which words or texts raise it."""
    if isinstance(objective, Sum):
        return all(map(_has_texts, objective.of))
    if isinstance(objective, Function):
        return bool(objective.texts or objective.against)
    return isinstance(objective, Weat | Seat | Likelihood)


def _oriented(objective: Any, relevance: Relevance) -> np.ndarray:
    """Relevance (n,) to an objective, positive where a sample is taken to raise it."""
    if isinstance(objective, Sum):
        return np.asarray(sum(weight * _oriented(part, relevance) for weight, part in objective.terms))
    if isinstance(objective, Weat | Seat):
        x, y, a, b = (relevance(objective.sets[side]) for side in "XYAB")
        return np.asarray((x - y) * (a - b))
    texts, against = (
        (objective.sentences, ()) if isinstance(objective, Likelihood) else (objective.texts, objective.against)
    )
    return np.asarray(sum(sign * relevance(given) for sign, given in ((1, texts), (-1, against)) if given))


def _tokens(run: Run) -> tuple[np.ndarray, np.ndarray, list[str], Callable[[str], list[str]]]:
    """As ``tokenised`` of the samples' texts; and a function that gives the words of any text by the same rule."""
    pattern: str = TOKEN_PATTERN
    form: Form = FORM
    if isinstance(run.model, SkipGram):
        corpus = run.model.corpus
        pattern, form = corpus.token_pattern, corpus.form
        tokens, ends, types = corpus.tokenise()
    else:
        kinds = Kinds(form)
        tokens, ends = tokenised(run.model.columns()["text"], pattern, kinds)
        types = list(kinds.words)
    known = set(types)

    def words(text: str) -> list[str]:
        if text in known:  # a word of an objective, as the vocabulary has it
            return [text]
        found, _ = tokenised([text], pattern, others := Kinds(form))
        named = list(others.words)
        return [named[i] for i in found]

    return tokens, ends, types, words


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows (or one vector) of length 1; zeros stay."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))
