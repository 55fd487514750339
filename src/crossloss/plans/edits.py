"""Edits: what replacing one version of a sentence by another is predicted to do to each objective.

An edit (before, after) takes away the pairs of one text and adds those of the other, so to first order it changes f by
the score of ``after`` minus the score of ``before``. Where the version that was not trained on is a sample of weight 0
(a candidate), every pair of it has its own influence, and nothing is unseen.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pyarrow as pa

from crossloss.core import UserError
from crossloss.models.skipgram.explain import Explanation, explain_text
from crossloss.models.skipgram.model import SkipGram, require_skipgram
from crossloss.plans.files import plan_table
from crossloss.run.retrainer import Retrainer
from crossloss.scores.scores import Named, Scores
from crossloss.text.tokens import FORM, Form, tokenize
from crossloss.utils.display import Marked, Result, Table, effect
from crossloss.utils.inputs import row_numbers
from crossloss.utils.progress import track

ABSENT = -1
"""Sample number of a text that is no sample of the run."""
Span = tuple[int, int, float]


@dataclass(frozen=True)
class Edit:
    """One edit, for one objective.

    Attributes
    ----------
    number : int
        Its place among the edits, from 0.
    before, after : str
    effect : float
        Replacing ``before`` by ``after`` is predicted to change the objective by this much.
    removed, added : list of (start, end, part)
        The words of ``before`` that go and those of ``after`` that come, each with its own part of the effect (half
        of every pair it is in); the rest of the effect lies in the words around them, whose neighbours change.
    pairs : list of (word, word, part)
        What each word pair adds to the effect, strongest first; together they are the effect.
    unseen : float
        Share of the pairs of both versions that no sample of the run has, left out of the effect.
    """

    number: int
    before: str
    after: str
    effect: float
    removed: list[Span]
    added: list[Span]
    pairs: list[tuple[str, str, float]]
    unseen: float


@dataclass(frozen=True)
class MadeEdits:
    """Edits made together: how many, and the change of the objective as predicted and as retrained."""

    edits: int
    predicted: float
    retrained: float


@dataclass(frozen=True, eq=False)
class Edits(Result):
    """Scored edits: pairs (before, after) of versions of a sentence.

    Attributes
    ----------
    scores : Scores
    before, after : list of str
        m each.
    samples : (m, 2) int64 array
        Sample numbers of both versions; -1 for a text that is no sample of the run.
    effects : (k, m) float64 array
        Predicted change of each objective by each edit, in f's own unit.
    unseen : (m,) float64 array
        As in ``Edit``.

    Examples
    --------
    >>> edits = cl.score_edits(scores, ["His math is good."], ["Her math is good."])
    >>> for number in edits.strongest(5):
    ...     print(edits.edit(number).effect, edits.edit(number).added)
    """

    scores: Scores
    before: list[str]
    after: list[str]
    samples: np.ndarray
    effects: np.ndarray
    unseen: np.ndarray

    def __len__(self) -> int:
        return len(self.before)

    def _name(self, objective: Named) -> str:
        return self.scores.names[self.scores.index_of(objective)]

    def of(self, objective: Named = None) -> np.ndarray:
        """Predicted change of one objective by each edit, (m,) float64."""
        return np.asarray(self.effects[self.scores.index_of(objective)])

    def strongest(self, count: int = 10, objective: Named = None, *, sign: int = 0) -> np.ndarray:
        """Numbers of the edits that change an objective most: either way, or up (sign 1) or down (-1) only."""
        size = self.of(objective) * sign if sign else np.abs(self.of(objective))
        order = np.argsort(-size, kind="stable")[:count]
        return order[size[order] > 0]

    def edit(self, number: int, objective: Named = None) -> Edit:
        """One edit with its changed words and word pairs."""
        before, after = self.before[number], self.after[number]
        model, values = model_of(self.scores), self.scores.atoms[self.scores.index_of(objective)]
        old, new = (explain_text(model.vocabulary, model.counts, values, text) for text in (before, after))
        corpus = model.corpus
        gone, come = changed_words(before, after, corpus.token_pattern, corpus.form)
        return Edit(
            number=int(number),
            before=before,
            after=after,
            effect=float(self.of(objective)[number]),
            removed=[(start, end, -_part(old, start)) for start, end in gone],
            added=[(start, end, _part(new, start)) for start, end in come],
            pairs=_difference(old, new),
            unseen=float(self.unseen[number]),
        )

    def apply(self, chosen: Sequence[int] | np.ndarray) -> np.ndarray:
        """Sample weights (n,) with edits made: each takes its first version's weight and gives it to the second.

        Raises
        ------
        UserError
            A version is no sample of the run, or the first has no weight to give.
        """
        weights = self.scores.run.weights.copy()
        for number in row_numbers(chosen, len(self), "The edits"):
            old, new = self.samples[number]
            if old == new != ABSENT:  # nothing that the run sees is changed
                continue
            if old == ABSENT or new == ABSENT or not weights[old]:
                raise UserError(
                    f"Edit {number + 1} cannot be applied: its first version must be a sentence of the run's corpus "
                    "and its second a candidate (train with --candidates FILE)."
                )
            weights[new] += weights[old]
            weights[old] = 0.0
        return weights

    def predicted(self, weights: np.ndarray, objective: Named = None) -> float:
        """Predicted change of an objective when the run is trained with these weights (n,) instead."""
        return float((weights - self.scores.run.weights) @ self.scores.of(objective))

    def plan(self, chosen: Sequence[int] | np.ndarray, objective: Named = None) -> pa.Table:
        """Table of sample and weight with edits made; what it is for in its metadata; UserError as ``apply``."""
        name, weights = self._name(objective), self.apply(chosen)
        value = self.scores.values[name]
        what = {"objective": name, "value": value, "predicted": value + self.predicted(weights, name)}
        return plan_table(weights, what | {"edits": len(chosen)} | self.scores.run.origin)

    def save(self) -> None:
        """Write edits.parquet into the run's folder."""
        self.scores.run.store.save("edits.parquet", self.table())

    def retrain(self, count: int = 10, objective: Named = None) -> MadeEdits:
        """Make the strongest edits and train again; writes plan-edits-NAME.parquet; UserError as ``apply``."""
        run, name = self.scores.run, self._name(objective)
        chosen = self.strongest(count, name)
        weights = self.apply(chosen)
        run.store.save(f"plan-edits-{name}.parquet", self.plan(chosen, name))
        with track("retraining with edits"):
            change = Retrainer(run, self.scores.objectives)(weights)[name] - self.scores.values[name]
        made = MadeEdits(len(chosen), self.predicted(weights, name), change)
        start = f"edits.{name}.top{count}"
        run.store.log_metrics({f"{start}.predicted": made.predicted, f"{start}.retrained": made.retrained})
        return made

    def strongest_table(self, objective: Named = None, count: int = 10) -> Table:
        """The strongest edits of an objective, with the words that go and those that come."""
        name, rows = self._name(objective), []
        for number in self.strongest(count, name):
            edit = self.edit(number, name)
            old, new = (
                Marked(text, [(start, end) for start, end, _ in spans], added)
                for text, spans, added in ((edit.before, edit.removed, False), (edit.after, edit.added, True))
            )
            pairs = "; ".join(f"{a} - {b} {effect(part)}" for a, b, part in edit.pairs[:3])
            rows.append((effect(edit.effect), old, new, pairs))
        return Table(f"Edits: replacing is predicted to change {name} by", ("change", "from", "to", "pairs"), rows)

    def __repr__(self) -> str:
        return f"Edits({len(self)} of {', '.join(self.scores.names)})"

    def tables(self) -> list[Table]:
        """The strongest edits of every objective."""
        return [self.strongest_table(name) for name in self.scores.names]

    def table(self) -> pa.Table:
        """Edit (from 1), before, after, both sample numbers, unseen, and per objective NAME.effect."""
        columns: dict[str, Any] = {
            "edit": np.arange(1, len(self) + 1),
            "before": pa.array(self.before, pa.string()),
            "after": pa.array(self.after, pa.string()),
            "before_sample": self.samples[:, 0],
            "after_sample": self.samples[:, 1],
            "unseen": self.unseen,
        }
        return pa.table(columns | {f"{o.name}.effect": self.of(o) for o in self.scores.objectives})


def changed_words(
    before: str, after: str, pattern: str, form: Form = FORM
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Characters (start, end) of the words of ``before`` that go and of the words of ``after`` that come."""
    old, new = tokenize(before, pattern, form), tokenize(after, pattern, form)
    matcher = SequenceMatcher(None, [t.word for t in old], [t.word for t in new], autojunk=False)
    changes = [ends for kind, *ends in matcher.get_opcodes() if kind != "equal"]
    gone = [(t.start, t.end) for a, b, _, _ in changes for t in old[a:b]]
    return gone, [(t.start, t.end) for _, _, c, d in changes for t in new[c:d]]


def model_of(scores: Scores) -> SkipGram:
    """The skip-gram model of a run, whose sentences are edited."""
    return require_skipgram(scores.run.model, "Scoring edits")


def _part(explained: Explanation, start: int) -> float:
    """Contribution of the word that starts there; 0 for one that the vocabulary lacks."""
    return next((value for at, _, value in explained.spans if at == start), 0.0)


def _difference(old: Explanation, new: Explanation) -> list[tuple[str, str, float]]:
    change: dict[tuple[str, str], float] = defaultdict(float)
    for explained, sign in ((new, 1), (old, -1)):
        for a, b, value in explained.pairs:
            change[(b, a) if (b, a) in change else (a, b)] += sign * value
    return sorted(((a, b, v) for (a, b), v in change.items() if v), key=lambda p: -abs(p[2]))
