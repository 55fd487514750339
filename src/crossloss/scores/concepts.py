"""Hidden concepts: words outside a test that its strongest samples pull in, grouped and tested (paper Sec. 4.3.1).

A sample's score is a sum over its word pairs; half of each pair is put down to either word. Summed over the strongest
samples, that is the *pull* of a word: positive where its pairs push the objective up. Words that pull most, and are in
no set of the test, are grouped by their vectors (Ward 1963), and the groups that pull most are asked whether the two
target sets lie at different distances from them (a one-sided WEAT, with its permutation test).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage

from crossloss.core import UserError
from crossloss.models.skipgram.model import SkipGram, require_skipgram
from crossloss.objectives import PermutationResult, permutation_test
from crossloss.objectives.fields import normalise_all
from crossloss.objectives.one_sided import OneSided
from crossloss.objectives.weat import SETS, Weat
from crossloss.scores.scores import Named, Scored, Scores
from crossloss.utils.display import Result, Table, effect, probability, value

SIZE, LEAST = 10, 3
"""Words of a group: on average, and at least."""
SHOWN = 3
"""Samples of a group."""


@dataclass(frozen=True)
class Concept:
    """A group of words, what pulls it in, and which targets lie nearer to it.

    Attributes
    ----------
    name : str
        The word nearest to the middle of the group; of given words the first.
    words : tuple of str
        The nearest to the middle first; of given words those present, as given.
    pull : float
        Part of the strongest samples' scores that its words carry, in the objective's unit.
    partners : dict of str to float
        The same by the other word of the pair: X, Y, A, B, other.
    cosines : dict of str to float
        Mean cosine of its words to those of X, Y, A, B.
    test : PermutationResult
        One-sided WEAT: X against Y by their mean cosine to the group.
    p_holm : float
        Two-sided p-value, corrected for the groups tested beside it (Holm 1979).
    samples : list of Scored
        Those of the strongest samples that pull it most.
    missing : tuple of str
        Given words that the vocabulary lacks.
    """

    name: str
    words: tuple[str, ...]
    pull: float
    partners: dict[str, float]
    cosines: dict[str, float]
    test: PermutationResult
    p_holm: float
    samples: list[Scored]
    missing: tuple[str, ...] = ()

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the permutation test: which targets are nearer was no hypothesis."""
        return self.test.p_value_two_sided

    def metrics(self, objective: str) -> dict[str, float]:
        """``concepts.NAME.GROUP.p_value``, ``.p_holm``, ``.effect``, ``.pull``, ``.cosine_X`` (...)."""
        figures = {"p_value": self.p_value, "p_holm": self.p_holm, "effect": self.test.effect, "pull": self.pull}
        figures |= {f"cosine_{name}": value for name, value in self.cosines.items()}
        return {f"concepts.{objective}.{self.name}.{name}": value for name, value in figures.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        plain = {name: getattr(self, name) for name in ("name", "words", "missing", "pull", "partners", "cosines")}
        sentences = [{"id": s.id, "document": s.document, "text": s.text, "score": s.score} for s in self.samples]
        tested = {"effect": self.test.effect, "p_value": self.p_value, "p_holm": self.p_holm}
        return plain | tested | {"samples": sentences}


class Concepts(list[Concept], Result):
    """Groups of words of one association test, those that pull most first."""

    def __init__(self, groups: Iterable[Concept], test: Weat) -> None:
        super().__init__(groups)
        self.test = test

    def tables(self) -> list[Table]:
        """Groups of words, what pulls them in, and which targets lie nearer to them."""
        headings = ("words", "pull", *(f"cosine to {label}" for label in self.test.labels), "effect", "p", "p, Holm")
        rows = [
            (
                ", ".join(c.words), effect(c.pull), *(value(c.cosines[name]) for name in SETS),
                value(c.test.effect), probability(c.p_value), probability(c.p_holm),
            )
            for c in self
        ]  # fmt: skip
        return [Table(f"Words outside {self.test.name} that its strongest sentences pull in", headings, rows)]

    def summary(self) -> list[str]:
        """How to read the table, the given words that are missing, and a sentence that pulls each group."""
        name, (x, y, *_) = self.test.name, self.test.labels
        lines = [
            f"Pull: the part of the strongest sentences' scores that these words carry; positive pushes {name} up. "
            f"Effect: one-sided WEAT, positive where {x} lie nearer to the words than {y}; p is two-sided."
        ]
        for c in self:
            if c.missing:
                lines.append(f"{c.name}: not in the vocabulary and left out: {', '.join(c.missing)}")
            lines += [f"{c.name}: {s.text}" for s in c.samples[:1]]
        return lines


def concepts(
    scores: Scores,
    objective: Named = None,
    *,
    words: Sequence[Sequence[str]] = (),
    ignore: Collection[str] = (),
    strongest: int = 1000,
    ranked: int = 200,
    tested: int = 10,
) -> Concepts:
    """Groups of words that the strongest samples pull in, those that pull most first.

    In a run's folder they are stored as concepts-NAME.json and among its metrics.

    Parameters
    ----------
    scores : Scores
    objective : optional
        An association test of those scored; the first where None.
    words : sequence of word lists
        Groups to look at instead.
    ignore : collection of str
        Words that make no concept: stop words.
    strongest, ranked, tested : int
        Samples looked at, words grouped, groups tested.

    Raises
    ------
    UserError
        The objective is no association test, has no such words, or a given word is one of its targets.

    Examples
    --------
    >>> for concept in cl.concepts(scores, weat):
    ...     print(concept.name, concept.words, concept.p_holm)
    """
    test = scores.objectives[scores.index_of(objective)]
    if not isinstance(test, Weat):
        raise UserError(f"{test.name} has no target sets X and Y to test concepts with: name an association test.")
    pulls = Pulls(scores, test, strongest)
    if words:
        chosen = [normalise_all(group) for group in words]
    else:
        outside = [w for w in _model(scores).vocabulary.words if w not in {*test.words, *ignore}]
        chosen = _grouped(pulls, outside, ranked)[:tested]
    groups = [_look(pulls, group) for group in chosen]
    adjusted = holm([concept.p_value for concept in groups])
    made = Concepts((replace(concept, p_holm=p) for concept, p in zip(groups, adjusted, strict=True)), test)
    store, file = scores.run.store, f"concepts-{test.name}.json"
    for concept in made:
        store.log_metrics(concept.metrics(test.name))
    store.save(file, (store.load(file) or {}) | {"given" if words else "found": [c.to_json() for c in made]})
    return made


class Pulls:
    """What each pair of words adds to the scores of the strongest samples.

    Attributes
    ----------
    samples : (s,) int64 array
        The strongest samples, of either sign.
    words : (V,) float64 array
        The pull of every word; their sum is the sum of the samples' scores.
    """

    def __init__(self, scores: Scores, test: Weat, strongest: int) -> None:
        run, values = scores.run, scores.of(test)
        trained = np.flatnonzero(run.weights > 0)
        order = np.argsort(-np.abs(values[trained]), kind="stable")[:strongest]
        self.scores, self.test, self.samples = scores, test, trained[order]
        self.influence = scores.atoms[scores.index_of(test)].astype(np.float64)
        self.counts = _model(scores).counts.matrix[self.samples]
        self.size = len(_model(scores).vocabulary.words)
        self._pairs = _model(scores).counts.pairs
        self._total = np.asarray(self.counts.sum(axis=0)).ravel() * self.influence
        self.words = np.bincount(self._pairs.T.ravel(), np.tile(self._total / 2, 2), self.size)

    def partners(self, rows: np.ndarray) -> dict[str, float]:
        """The pull of some words (rows) by the set of the other word of each pair."""
        member = np.zeros(self.size, dtype=bool)
        member[rows] = True
        sets = np.full(self.size, len(SETS))
        for number, words in enumerate(self.test.lookup(_model(self.scores).vocabulary.index).values()):
            sets[words] = number
        sums = np.zeros(len(SETS) + 1)
        for i in (0, 1):
            inside = member[self._pairs[:, i]]
            sums += np.bincount(sets[self._pairs[inside, 1 - i]], self._total[inside] / 2, len(sums))
        return dict(zip((*SETS, "other"), sums.tolist(), strict=True))

    def strongest_of(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Numbers of the samples in which pairs with some words (rows) weigh most."""
        member = np.zeros(self.size)
        member[rows] = 0.5
        share = member[self._pairs].sum(axis=1)
        by_sample = self.counts @ (share * self.influence)
        order = np.argsort(-np.abs(by_sample), kind="stable")[:count]
        return np.asarray(self.samples[order[by_sample[order] != 0]])


def _model(scores: Scores) -> SkipGram:
    return require_skipgram(scores.run.model, "Looking for concepts")


def _grouped(pulls: Pulls, outside: Sequence[str], ranked: int) -> list[tuple[str, ...]]:
    """Groups of the words that pull most; those that pull most first, each from its middle outwards."""
    run, vocabulary = pulls.scores.run, _model(pulls.scores).vocabulary
    rows = np.array([vocabulary.index[word] for word in outside], dtype=np.int64)
    rows = rows[np.argsort(-np.abs(pulls.words[rows]), kind="stable")[:ranked]]
    rows = rows[pulls.words[rows] != 0]
    if len(rows) < LEAST:
        raise UserError("The strongest samples hold too few words outside the test to make a group of them.")
    unit = torch.nn.functional.normalize(run.view.vectors[torch.from_numpy(rows)].double(), dim=1).cpu().numpy()
    labels = fcluster(linkage(unit, "ward"), max(1, len(rows) // SIZE), "maxclust")
    members = [group for label in np.unique(labels) if len(group := np.flatnonzero(labels == label)) >= LEAST]
    members.sort(key=lambda group: -abs(float(pulls.words[rows[group]].sum())))
    ordered = [g[np.argsort(-(unit[g] @ unit[g].mean(axis=0)), kind="stable")] for g in members]
    return [tuple(vocabulary.words[row] for row in rows[group]) for group in ordered]


def _look(pulls: Pulls, words: tuple[str, ...]) -> Concept:
    """Everything about one group; its p_holm is that of a group tested alone."""
    test, scores = pulls.test, pulls.scores
    run, index = scores.run, _model(scores).vocabulary.index
    if targets := set(words) & {*test.X, *test.Y}:
        raise UserError(f"{', '.join(sorted(targets))}: a target word of {test.name} cannot be in a concept.")
    name, (x, y, *_) = words[0], test.labels
    one_sided = OneSided(test.X, test.Y, words, (x, y, name), name=f"{test.name} by {name}")
    rows = np.array(one_sided.lookup(index)["A"])
    result = permutation_test(one_sided, run.view)
    middle = one_sided.units(run.view)["A"].mean(0)
    return Concept(
        name=name,
        words=tuple(word for word in words if word in index),
        pull=float(pulls.words[rows].sum()),
        partners=pulls.partners(rows),
        cosines={name: float(vectors.mean(0) @ middle) for name, vectors in test.units(run.view).items()},
        test=result,
        p_holm=result.p_value_two_sided,
        samples=scores.shown(pulls.strongest_of(rows, SHOWN), test),
        missing=tuple(word for word in words if word not in index),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): any below a level is significant at it, all together."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]
