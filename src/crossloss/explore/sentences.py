"""Sentences taken apart for the page: of the corpus, typed, edited, and with words exchanged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from crossloss.core import UserError
from crossloss.explore.session import Session
from crossloss.models.skipgram.explain import Explanation, explain_for_each
from crossloss.plans.edit_scores import score_edits
from crossloss.report.text import clean, highlight
from crossloss.text.swaps import make_swaps
from crossloss.text.tokens import tokenize

SHOWN_PAIRS, SHOWN_EDITS = 12, 30
MOST_SWAPPED = 20_000
LONGEST = 600
"""Characters of a sentence that a row shows, around what counts."""


def rows(session: Session, samples: Sequence[np.ndarray], name: str) -> list[dict[str, Any]]:
    """Rows of the list: samples with their near-duplicates behind them, words coloured, effects on every objective."""
    r, scores = session.rows, session.scores
    k = r.index(name)
    every = [r.effects(i) for i in range(len(scores.names))]
    ids, documents = r.columns.get("id"), r.columns.get("document")
    made = []
    for group in samples:
        i = int(group[0])
        text = r.text(i)
        spans = _explained(session, scores.atoms[[k]], text)[0].spans if session.words else ()
        made.append(
            {
                "sample": i,
                "id": clean(str(ids[i])) if ids is not None else str(i),
                "document": clean(str(documents[i])) if documents is not None else "",
                "pieces": pieces(text, spans, LONGEST),
                "effects": [float(e[i]) for e in every],
                "score": float(scores.samples[k, i]),
                "weight": float(r.weights[i]),
                "alike": [int(j) for j in group[1:]],
                "together": float(every[k][group].sum()),
            }
        )
    return made


def _explained(session: Session, atoms: np.ndarray, text: str) -> list[Explanation]:
    """A text taken apart for each row of pair influences (k, m)."""
    return explain_for_each(session.model.vocabulary, session.model.counts, atoms, text)


def pieces(text: str, spans: Any, longest: int = 2000) -> list[list[Any]]:
    """Stretches of a text: characters, level -4 to 4 of what they add to the score, characters left out."""
    return [[clean(p.text), p.level, p.left_out] for p in highlight(text, spans, longest)]


def asked(session: Session, text: str, name: str, instead: int | None) -> dict[str, Any]:
    """A typed text: what adding it does to every objective.

    And what removing it does, where it is a sentence of the corpus, and putting it in the place of ``instead``.
    """
    session.need("sentence")
    scores, r = session.scores, session.rows
    k = r.index(name)
    explained = _explained(session, scores.atoms, text)
    sample = r.by_text.get(text)
    weight = float(r.weights[sample]) if sample is not None else 0.0
    words = tokenize(text, session.model.corpus.token_pattern, session.model.corpus.form)
    made: dict[str, Any] = {
        "sample": sample,
        "weight": weight,
        "known": len(explained[0].spans),
        "unknown": sorted({clean(t.word) for t in words if t.word not in session.model.word_index})[:20],
        "unseen": explained[0].unseen,
        "added": [e.effect_if_added for e in explained],
        "removed": [-weight * float(row[sample]) for row in scores.samples] if sample is not None and weight else None,
        "pieces": pieces(text, explained[k].spans),
        "pairs": _pairs(explained[k]),
        "replacing": None,
    }
    if instead is not None:
        made["replacing"] = _replacing(session, explained, instead)
    return made


def _replacing(session: Session, explained: list[Explanation], instead: int) -> dict[str, Any] | None:
    """What exchanging a sentence for the typed one does: the typed one's score less its own, at its weight."""
    if not 0 <= instead < session.model.samples:
        raise UserError("The run has no sentence of this number.")
    weight = float(session.rows.weights[instead])
    if not weight:
        return None  # a candidate: there is nothing to take its place of
    effects = [
        weight * (e.score - float(row[instead])) for e, row in zip(explained, session.scores.samples, strict=True)
    ]
    return {"sample": instead, "text": clean(session.rows.text(instead)), "effects": effects}


def _pairs(explained: Explanation) -> list[list[Any]]:
    return [[clean(a), clean(b), v] for a, b, v in explained.pairs[:SHOWN_PAIRS]]


def swapped(session: Session, samples: Sequence[int], pairs: Any, name: str) -> dict[str, Any]:
    """Sentences with words exchanged: what that is predicted to do to every objective, and the strongest edits.

    Versions that are candidates of the run can be trained with: ``changes`` has their weights, and those of what they
    stand for. Of others the prediction is all there is.
    """
    session.need("words")
    if len(samples) > MOST_SWAPPED:
        raise UserError(f"At most {MOST_SWAPPED:,} sentences at once can be swapped here: take fewer.")
    corpus, scores, weights = session.model.corpus, session.scores, session.rows.weights
    swaps = make_swaps(corpus, pairs)
    numbers = [i for i in samples if 0 <= i < len(corpus) and weights[i] > 0]
    texts = [corpus.texts[i] for i in numbers]
    versions = [swaps.version(t, tokenize(t, corpus.token_pattern, corpus.form)) for t in texts]
    changed = [(i, a, b) for i, a, b in zip(numbers, texts, versions, strict=True) if a != b]
    if not changed:
        raise UserError("No sentence of the basket has a word to exchange: give other pairs, or other sentences.")
    edits = score_edits(scores, [a for _, a, _ in changed], [b for _, _, b in changed])
    of, k = np.array([weights[i] for i, _, _ in changed]), session.rows.index(name)
    sums = edits.effects @ of
    version_of = edits.samples[:, 1]
    can = version_of >= 0
    shown = []
    for number in edits.strongest(SHOWN_EDITS, name):
        edit = edits.edit(int(number), name)
        cut = [(clean(edit.before), _marks(edit.removed)), (clean(edit.after), _marks(edit.added))]
        shown.append({"sample": changed[number][0], "effect": float(of[number] * edit.effect), "versions": cut})
    return {
        "sentences": len(changed),
        "unseen": float(edits.unseen.mean()),
        "effects": [float(s) for s in sums],
        "predicted": [float(scores.values[n] + s) for n, s in zip(scores.names, sums, strict=True)],
        "edits": shown,
        "objective": scores.names[k],
        "changes": [
            [0.0, [i for (i, _, _), c in zip(changed, can, strict=True) if c]],
            *([float(w), version_of[can & (of == w)].tolist()] for w in np.unique(of[can])),
        ],
        "trainable": int(can.sum()),
    }


def _marks(spans: Any) -> list[list[int]]:
    return [[start, end] for start, end, _ in spans]
