"""Which samples to look at: by document, word and sign, with near-duplicates in one group; and tables of them."""

from collections.abc import Mapping

import numpy as np

from crossloss.core import UserError
from crossloss.models.skipgram.model import SkipGram, require_skipgram
from crossloss.scores.scores import Named, Scores
from crossloss.text.read import Corpus
from crossloss.text.tokens import normal
from crossloss.utils.display import Table, effect, several, shortened

LONGEST = 220
"""Characters of a sentence that a table shows."""
AT_ONCE = 50_000
"""Samples whose words are held at once."""
ALIKE = 0.8
"""Samples are near-duplicates whose sets of words have this part of their union in common (Jaccard 1912)."""


def select(
    scores: Scores, objective: Named = None, *, document: str | None = None, word: str | None = None, sign: int = 0
) -> np.ndarray:
    """Numbers of samples, int64, the strongest first: of one document, with a word, or of one sign where it is not 0.

    ``objective`` is the first scored where None. A document or word that the corpus has not is refused.
    """
    model, values = scores.run.model, scores.of(objective)
    wanted = values * sign > 0 if sign else np.ones(len(values), dtype=bool)
    if document is not None:
        inside = np.array([name == document for name in model.columns().get("document", ())])
        if not inside.any():
            raise UserError(f"The corpus has no document {document!r}: give its name as `crossloss score` shows it.")
        wanted &= inside
    if word is not None:
        corpus = require_skipgram(model, "Choosing samples by word").corpus
        if (own := normal(word, corpus.form)) not in corpus.types:
            raise UserError(f"The corpus has no word {word!r}.")
        at = np.flatnonzero(corpus.tokens == corpus.types.index(own))
        wanted &= np.isin(np.arange(len(corpus)), np.searchsorted(corpus.indptr, at, side="right") - 1)
    chosen = np.flatnonzero(wanted)
    return chosen[np.argsort(-np.abs(values[chosen]), kind="stable")]


def ranking(
    scores: Scores,
    objective: Named = None,
    count: int = 5,
    *,
    document: str | None = None,
    word: str | None = None,
    retrained: Mapping[int, float] | None = None,
) -> list[Table]:
    """The strongest amplifiers and mitigators, a table each; near-duplicates stand as a number behind the first.

    ``retrained`` gives, by sample, what retraining without it changed. For the rest see ``select``.
    """
    name, tables = scores.names[scores.index_of(objective)], []
    headings = ("effect if removed", *(["retrained"] if retrained else []), "sample", scores.run.model.sample_noun)
    for kind, direction, sign in (("Amplifiers", "lower", 1), ("Mitigators", "raise", -1)):
        rows = []
        for alike in near_duplicates(scores, select(scores, name, document=document, word=word, sign=sign), count):
            s = scores.shown(alike[:1], name)[0]
            text = shortened(s.text, LONGEST)
            if len(alike) > 1:
                more, together = several(len(alike) - 1, "near-duplicate"), effect(scores.group(alike, name))
                text += f" (and {more}; together {together})"
            checked = [effect(retrained[s.sample]) if s.sample in retrained else "-"] if retrained else []
            place = f"{s.id} ({s.document})" if s.document else s.id
            rows.append((effect(s.effect_if_removed), *checked, shortened(place, 60), text))
        tables.append(Table(f"{kind} of {name}: removing one is predicted to {direction} it", headings, rows))
    return tables


def near_duplicates(scores: Scores, samples: np.ndarray, count: int) -> list[np.ndarray]:
    """``group_near_duplicates`` of the run's corpus; samples of another model each stand alone."""
    if not isinstance(scores.run.model, SkipGram):
        return [samples[[i]] for i in range(min(count, len(samples)))]
    return group_near_duplicates(scores.run.model.corpus, samples, count)


def group_near_duplicates(corpus: Corpus, samples: np.ndarray, count: int) -> list[np.ndarray]:
    """The first ``count`` of ``samples`` that are no near-duplicates of one before, each followed by its own."""
    left, groups = samples, list[np.ndarray]()
    while len(left) and len(groups) < count:
        alike = np.concatenate(
            [_alike(corpus, left[i : i + AT_ONCE], int(left[0])) for i in range(0, len(left), AT_ONCE)]
        )
        alike[0] = True
        groups.append(left[alike])
        left = left[~alike]
    return groups


def _alike(corpus: Corpus, samples: np.ndarray, one: int) -> np.ndarray:
    """Which of some samples (m,) share most of their distinct words with one."""
    wanted = np.zeros(len(corpus.types), dtype=bool)
    wanted[corpus.tokens[slice(*corpus.indptr[one : one + 2])]] = True
    of, words = _words(corpus, samples)
    # Few have so many of its words, repeated ones and all; the words of these alone are told apart.
    enough = np.bincount(of, wanted[words], len(samples)) >= ALIKE * wanted.sum()
    of, words = np.divmod(np.unique(of[enough[of]] * len(wanted) + words[enough[of]]), len(wanted))
    common, sizes = (np.bincount(of, by, len(samples)) for by in (wanted[words], None))
    return np.asarray(common >= ALIKE * np.maximum(sizes + wanted.sum() - common, 1))


def _words(corpus: Corpus, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each word of some samples: which of them it stands in, and its type."""
    starts = corpus.indptr[samples]
    lengths = corpus.indptr[samples + 1] - starts
    of = np.repeat(np.arange(len(samples)), lengths)
    first = np.cumsum(lengths) - lengths
    return of, corpus.tokens[np.arange(len(of)) + (starts - first)[of]].astype(np.int64)
