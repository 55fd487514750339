"""The strongest sentences of an objective, near-duplicates as one: rows of a table."""

import numpy as np

import crossloss as cl
from crossloss.scores.reading import near_duplicates
from crossloss.utils.display import effect

HEADINGS = ("effect if removed", "rank", "near-duplicates", "document", "sentence", "word pairs")
PAIRS = 6


def ranked(scores: cl.Scores, name: str, sign: float) -> np.ndarray:
    """Samples trained on that amplify (sign 1) or mitigate (-1) an objective, int64, the strongest first."""
    size = np.where(scores.run.weights > 0, scores.of(name) * sign, 0.0)
    order = np.argsort(-size, kind="stable")
    return order[size[order] > 0]


def strongest(scores: cl.Scores, name: str, sign: float, count: int, own: int | None = None) -> dict[int, list[str]]:
    """Rows under ``HEADINGS`` by sample, of the ``count`` strongest of ``ranked``.

    Of the first ``own`` samples only, but ranked among all. Near-duplicates are a number behind the first of them, with
    the effect of removing all; pairs of words stand with their part of the effect.
    """
    order, rows = ranked(scores, name, sign), {}
    ranks = dict(zip(order.tolist(), range(1, len(order) + 1), strict=True))
    for alike in near_duplicates(scores, order if own is None else order[order < own], count):
        (shown,) = scores.shown(alike[:1], name)
        more = f"{len(alike) - 1}, together {effect(scores.group(alike, name))}" if len(alike) > 1 else ""
        parts = scores.explain(shown.sample, name).pairs[:PAIRS]
        pairs = "; ".join(f"{a} – {b} {effect(-part)}" for a, b, part in parts)
        rank = f"{ranks[shown.sample]:,}"
        rows[shown.sample] = [effect(shown.effect_if_removed), rank, more, shown.document, shown.text, pairs]
    return rows
