"""One word for the page: its neighbours before and after a basket, its counts, the sentences that act by it."""

from typing import Any

import numpy as np

from crossloss.core import UserError
from crossloss.explore.baskets import Basket, basket_key
from crossloss.explore.session import Session
from crossloss.report.text import clean
from crossloss.text.tokens import normal
from crossloss.text.vocabulary import token_words

NEAREST, SHOWN = 10, 8


def panel(session: Session, word: str, name: str, basket: Basket) -> dict[str, Any]:
    """What the word panel shows of a word, for one objective and the basket as it is now."""
    session.need("words")
    model, scores, r = session.model, session.scores, session.rows
    own = normal(word, model.corpus.form)
    index = model.word_index
    if own not in index:
        raise UserError(f"The vocabulary lacks the word {clean(own)!r}: it occurs too rarely, or nowhere.")
    row, k = index[own], r.index(name)
    weights = session.weights(basket)
    occurrences = _occurrences(session, row)
    after, same = session.after, session.after is not None and session.after.key == basket_key(weights)
    objective: Any = scores.objectives[k]
    sides = [objective.label(side) for side, words in getattr(objective, "sets", {}).items() if own in words]
    acting, effects = _acting(session, row, k, occurrences)
    return {
        "word": clean(own),
        "sets": [clean(side) for side in sides],
        "count": int(occurrences @ (r.weights > 0)),
        "sentences": int(((occurrences > 0) & (r.weights > 0)).sum()),
        "out": int(occurrences @ ((weights == 0) & (r.weights > 0))),
        "changed": float(occurrences @ (weights - r.weights)),
        "before": _neighbours(session.run.view, row),
        "after": _neighbours(after.view, row) if after is not None and same else None,
        "retrained": after is not None,
        "acting": [
            {"sample": int(i), "effect": float(e), "text": clean(r.text(int(i)))[:240]}
            for i, e in zip(acting, effects, strict=True)
        ],
    }


def _occurrences(session: Session, row: int) -> np.ndarray:
    """Times that a word stands in each sentence, (n,)."""
    corpus = session.model.corpus
    hits = np.concatenate([[0], np.cumsum(token_words(corpus, session.model.vocabulary) == row)])
    return np.asarray(hits[corpus.indptr[1:]] - hits[corpus.indptr[:-1]])


def _neighbours(view: Any, row: int) -> list[tuple[str, float]]:
    vectors = view.vectors.detach().cpu().numpy()
    lengths = np.linalg.norm(vectors, axis=1)
    if not lengths[row]:
        return []
    cosines = vectors @ vectors[row] / np.maximum(lengths * lengths[row], 1e-30)
    cosines[row] = -np.inf
    count = min(NEAREST, len(cosines) - 1)
    first = np.argpartition(-cosines, max(count - 1, 0))[:count]
    return [(clean(view.words[i]), float(cosines[i])) for i in first[np.argsort(-cosines[first])]]


def _acting(session: Session, row: int, k: int, occurrences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sentences whose pairs with a word act most on an objective, and the effect of taking these pairs out."""
    counts, weights = session.model.counts, session.rows.weights
    having = np.flatnonzero((occurrences > 0) & (weights > 0))
    with_word = (counts.pairs == row).any(axis=1)
    values = np.where(with_word, session.scores.atoms[k], 0).astype(np.float64)
    effects = -(counts.matrix[having] @ values) * weights[having]
    first = np.argsort(-np.abs(effects), kind="stable")[:SHOWN]
    first = first[effects[first] != 0]
    return having[first], effects[first]
