"""Which samples the page shows: filters, order, facets, histogram; from arrays, a page of rows at a time."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crossloss.core import UserError
from crossloss.models.skipgram.model import SkipGram
from crossloss.report.text import clean
from crossloss.scores import Scores
from crossloss.scores.reading import group_near_duplicates
from crossloss.text.tokens import normal

BINS, CELLS = 60, 40
ORDERS = ("strongest", "lowering", "raising", "diverse", "corpus")
GROUPED = 2_000
"""Strongest samples of a selection among which near-duplicates are grouped."""
DIVERSE = 400
"""Strongest samples of a selection among which different ones are chosen."""
RELEVANCE = 0.5
"""Weight of strength against novelty in maximal marginal relevance (Carbonell and Goldstein 1998)."""
LENGTHS = (0, 5, 10, 15, 20, 30, 40, 60)
SHOWN_DOCUMENTS = 12
KEPT = 16


@dataclass(frozen=True)
class Filter:
    """Which samples: all that every part which is set allows; effects as in ``Rows.effects``."""

    text: str = ""
    document: str | None = None
    word: str | None = None
    shortest: int | None = None
    longest: int | None = None
    low: float | None = None
    high: float | None = None
    other: str | None = None
    other_low: float | None = None
    other_high: float | None = None
    samples: tuple[int, ...] | None = None
    kind: str = "all"


class Rows:
    """The samples of a run as the page asks for them. Masks and orders are kept while they are asked for again."""

    def __init__(self, scores: Scores) -> None:
        self.scores, self.model = scores, scores.run.model
        self.weights = scores.run.weights
        self.candidate = np.asarray(self.model.candidates(self.weights))
        # What the page calls the effect of a sample: of its removal, or, of a candidate, of adding it.
        self._sign = np.where(self.candidate & (self.weights == 0), 1.0, -self.weights)
        self._effects: dict[int, np.ndarray] = {}
        self._orders: dict[tuple[int, str], np.ndarray] = {}
        self._masks: OrderedDict[tuple[int, Filter], np.ndarray] = OrderedDict()

    @cached_property
    def columns(self) -> dict[str, Sequence[Any]]:
        """Texts, ids and documents."""
        return dict(self.model.columns())

    def text(self, sample: int) -> str:
        """What is shown of a sample."""
        if "text" in self.columns:
            return str(self.columns["text"][sample])
        if self.columns:
            return ", ".join(f"{name}: {values[sample]}" for name, values in self.columns.items())
        item = self.model.show(sample)
        return item if isinstance(item, str) else f"{self.model.sample_noun} {sample}"

    @cached_property
    def _searched(self) -> pa.Array:
        """Text and document of every sample, folded, for searching."""
        texts = [self.text(i) for i in range(self.model.samples)]
        if self.has_documents:
            texts = [f"{d}\n{t}" for d, t in zip(self.columns["document"], texts, strict=True)]
        return pa.array([t.casefold().encode("utf-8", "replace").decode() for t in texts], pa.large_string())

    @property
    def has_documents(self) -> bool:
        """Whether samples are of documents."""
        return "document" in self.columns and any(self.columns["document"][:1000])

    @cached_property
    def _documents(self) -> tuple[np.ndarray, list[str]]:
        encoded = pa.array([clean(str(d)) for d in self.columns["document"]], pa.large_string()).dictionary_encode()
        return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()

    @cached_property
    def lengths(self) -> np.ndarray:
        """Words of every sample, (n,)."""
        if isinstance(self.model, SkipGram):
            return np.diff(self.model.corpus.indptr)
        return np.array([len(self.text(i).split()) for i in range(self.model.samples)])

    @cached_property
    def by_text(self) -> dict[str, int]:
        """The first sample trained on that has each text word for word."""
        return {self.text(i): i for i in range(self.model.samples - 1, -1, -1) if self.weights[i] > 0}

    def index(self, name: str) -> int:
        """Of an objective; UserError for one that was not scored."""
        return self.scores.index_of(name)

    def effects(self, k: int) -> np.ndarray:
        """Effect of removing each sample, or of adding a candidate, (n,)."""
        if k not in self._effects:
            self._effects[k] = self._sign * self.scores.samples[k]
        return self._effects[k]

    def order(self, k: int, by: str) -> np.ndarray:
        """All samples: strongest, lowering or raising the objective most first, or as the corpus has them."""
        if (k, by) not in self._orders:
            e = self.effects(k)
            keys = {"strongest": -np.abs(e), "lowering": e, "raising": -e, "corpus": np.arange(len(e))}[by]
            self._orders[k, by] = np.argsort(keys, kind="stable")
        return self._orders[k, by]

    def mask(self, k: int, f: Filter) -> np.ndarray:
        """Samples (n,) bool that a filter lets through; UserError for a word or a document that is not there."""
        if (kept := self._masks.get((k, f))) is not None:
            return kept
        n = self.model.samples
        wanted = np.ones(n, dtype=bool)
        for term in f.text.casefold().split():
            found = pc.match_substring(self._searched, term.encode("utf-8", "replace").decode())
            wanted &= found.to_numpy(zero_copy_only=False)
        if f.document is not None:
            wanted &= self._in_document(f.document)
        if f.word:
            wanted &= self._with_word(f.word)
        bounds: list[tuple[np.ndarray, float | None, float | None]] = [(self.effects(k), f.low, f.high)]
        if f.shortest is not None or f.longest is not None:
            bounds.append((self.lengths, f.shortest, f.longest))
        if f.other is not None:
            bounds.append((self.effects(self.index(f.other)), f.other_low, f.other_high))
        for values, low, high in bounds:
            wanted &= values >= low if low is not None else True
            wanted &= values <= high if high is not None else True
        if f.samples is not None:
            inside = np.zeros(n, dtype=bool)
            rows = np.array(f.samples, dtype=np.int64)
            inside[rows[(rows >= 0) & (rows < n)]] = True
            wanted &= inside
        if f.kind != "all":
            wanted &= self.weights > 0 if f.kind == "trained" else self.candidate
        self._masks[k, f] = wanted
        while len(self._masks) > KEPT:
            self._masks.popitem(last=False)
        return wanted

    def _in_document(self, name: str) -> np.ndarray:
        codes, names = self._documents if self.has_documents else (np.empty(0), [])
        if name not in names:
            raise UserError("The corpus has no document of this name.")
        return np.asarray(codes == names.index(name))

    def _with_word(self, word: str) -> np.ndarray:
        if not isinstance(self.model, SkipGram):
            raise UserError("Words are of runs of cl.SkipGram.")
        corpus = self.model.corpus
        own = normal(word, corpus.form)
        if own not in corpus.types:
            raise UserError(f"The corpus has no word {own!r}.")
        hits = np.concatenate([[0], np.cumsum(corpus.tokens == corpus.types.index(own))])
        return np.asarray(hits[corpus.indptr[1:]] > hits[corpus.indptr[:-1]])

    def selected(self, k: int, f: Filter, by: str) -> np.ndarray:
        """Samples of a selection in their order, int64; of a diverse one the different ones first, then the rest."""
        order = self.order(k, "strongest" if by == "diverse" else by)
        chosen = order[self.mask(k, f)[order]]
        return self._diverse(k, chosen) if by == "diverse" else chosen

    def grouped(self, samples: np.ndarray, count: int) -> list[np.ndarray]:
        """The first ``count`` that are no near-duplicates of one before, each with its own among the first 2,000."""
        if not isinstance(self.model, SkipGram):
            return [samples[[i]] for i in range(min(count, len(samples)))]
        groups = group_near_duplicates(self.model.corpus, samples[: max(GROUPED, 2 * count)], count)
        return groups

    def _diverse(self, k: int, samples: np.ndarray) -> np.ndarray:
        """Maximal marginal relevance: strong, and by other word pairs than those chosen before."""
        if not isinstance(self.model, SkipGram) or len(samples) < 3:
            return samples
        first = samples[:DIVERSE]
        profiles = self.model.counts.matrix[first].astype(np.float64).multiply(self.scores.atoms[k][None]).tocsr()
        lengths = np.sqrt(np.asarray(profiles.multiply(profiles).sum(axis=1)).ravel())
        alike = np.abs((profiles @ profiles.T).toarray()) / np.maximum(np.outer(lengths, lengths), 1e-300)
        strength = np.abs(self.effects(k)[first])
        strength = strength / max(strength.max(), 1e-300)
        nearest, chosen = np.zeros(len(first)), list[int]()
        left = np.ones(len(first), dtype=bool)
        while left.any():
            gain = np.where(left, RELEVANCE * strength - (1 - RELEVANCE) * nearest, -np.inf)
            best = int(gain.argmax())
            chosen.append(best)
            left[best] = False
            nearest = np.maximum(nearest, alike[best])
        return np.concatenate([first[chosen], samples[DIVERSE:]])

    def facets(self, k: int, f: Filter) -> dict[str, Any]:
        """Documents, lengths and the histogram of a selection, with its sum."""
        mask, effects = self.mask(k, f), self.effects(k)
        return {
            "total": int(mask.sum()),
            "sum": float(effects[mask].sum()),
            "histogram": self._histogram(effects, mask),
            "documents": self._strongest_documents(effects, mask),
            "lengths": self._lengths(mask),
        }

    def _histogram(self, effects: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        edge = float(np.abs(effects).max()) or 1.0
        edges = np.linspace(-edge, edge, BINS + 1)
        return {
            "edges": edges.tolist(),
            "all": np.histogram(effects, edges)[0].tolist(),
            "selected": np.histogram(effects[mask], edges)[0].tolist(),
        }

    def _strongest_documents(self, effects: np.ndarray, mask: np.ndarray) -> list[tuple[str, int, float]]:
        if not self.has_documents:
            return []
        codes, names = self._documents
        sizes = np.bincount(codes[mask], minlength=len(names))
        sums = np.bincount(codes[mask], effects[mask], minlength=len(names))
        first = np.argsort(-np.abs(sums), kind="stable")[:SHOWN_DOCUMENTS]
        return [(names[i], int(sizes[i]), float(sums[i])) for i in first if sizes[i]]

    def _lengths(self, mask: np.ndarray) -> list[tuple[int, int | None, int]]:
        bins = np.bincount(np.digitize(self.lengths[mask], LENGTHS[1:]), minlength=len(LENGTHS))
        ends = [edge - 1 for edge in LENGTHS[1:]]
        return [(low, high, int(c)) for low, high, c in zip(LENGTHS, [*ends, None], bins, strict=True)]

    def scatter(self, k: int, other: int, f: Filter) -> dict[str, Any]:
        """Samples of a selection by their effects on two objectives: counts in cells, (CELLS, CELLS)."""
        mask = self.mask(k, f)
        x, y = self.effects(k)[mask], self.effects(other)[mask]
        edges = [
            np.linspace(-e, e, CELLS + 1) for e in (float(np.abs(self.effects(i)).max()) or 1.0 for i in (k, other))
        ]
        cells = np.histogram2d(x, y, edges)[0].astype(int)
        together = float(np.corrcoef(x, y)[0, 1]) if len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0 else None
        places = [[int(i), int(j), int(cells[i, j])] for i, j in zip(*np.nonzero(cells), strict=True)]
        return {"x": edges[0].tolist(), "y": edges[1].tolist(), "cells": places, "correlation": together}
