"""Hidden concepts: words outside a test that its strongest samples pull in, grouped and tested (paper Sec. 4.3.1).

A sample's score is a sum over its word pairs; half of each pair is put down to either word. Summed over the strongest
samples, that is the *pull* of a word: positive where its pairs push the objective up. Words that pull most, and are in
no set of the test, are grouped by their vectors (Ward 1963), and the groups that pull most are asked whether the two
target sets lie at different distances from them (a one-sided WEAT, with its permutation test).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage

from crossloss.core import UserError
from crossloss.display import Table, effect, probability, value
from crossloss.models.skipgram.model import SkipGram, require_skipgram
from crossloss.objectives import PermutationResult, permutation_test
from crossloss.objectives.fields import normalise_all
from crossloss.objectives.one_sided import OneSided
from crossloss.objectives.weat import SIDES, Weat
from crossloss.scores import Named, Scored, Scores

STRONGEST = 1000
"""Samples looked at: those with the largest scores, of either sign."""
RANKED = 200
"""Words grouped: those that pull most."""
SIZE = 10
"""Words of a group, on average."""
TESTED = 10
LEAST = 3
"""Words that a group needs to be tested."""
SHOWN = 3


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
        """Two-sided p-value of the permutation test: which targets are nearer was not said beforehand."""
        return self.test.p_value_two_sided

    def metrics(self, objective: str) -> dict[str, float]:
        """``concepts.NAME.GROUP.p_value``, ``.p_holm``, ``.effect``, ``.pull``, ``.cosine_X`` (...)."""
        figures = {"p_value": self.p_value, "p_holm": self.p_holm, "effect": self.test.effect, "pull": self.pull}
        figures |= {f"cosine_{side}": value for side, value in self.cosines.items()}
        return {f"concepts.{objective}.{self.name}.{name}": value for name, value in figures.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        plain = {name: getattr(self, name) for name in ("name", "words", "missing", "pull", "partners", "cosines")}
        sentences = [{"id": s.id, "document": s.document, "text": s.text, "score": s.score} for s in self.samples]
        tested = {"effect": self.test.effect, "p_value": self.p_value, "p_holm": self.p_holm}
        return plain | tested | {"samples": sentences}


def concepts(
    scores: Scores,
    objective: Named = None,
    *,
    words: Sequence[Sequence[str]] = (),
    ignore: Collection[str] = (),
    strongest: int = STRONGEST,
    ranked: int = RANKED,
    tested: int = TESTED,
) -> list[Concept]:
    """Groups of words that the strongest samples pull in, those that pull most first.

    In a run's folder they are stored as concepts-NAME.json, those found and those given, and among its metrics.

    Parameters
    ----------
    scores : Scores
    objective : optional
        An association test of those scored; the first where None.
    words : sequence of word lists
        Groups to look at instead of those found.
    ignore : collection of str
        Words that make no concept: stop words.
    strongest, ranked, tested : int
        Samples looked at, words grouped, groups tested.

    Raises
    ------
    UserError
        The objective is no association test, has no such words, or a given word is one of its targets.
    """
    test = association_test(scores, objective)
    pulls = Pulls(scores, test, strongest)
    if words:
        found = [normalise_all(group) for group in words]
    else:
        outside = [w for w in _model(scores).vocabulary.words if w not in {*test.words, *ignore}]
        found = _grouped(pulls, outside, ranked)[:tested]
    made = [_look(pulls, test, group) for group in found]
    adjusted = holm([concept.p_value for concept in made])
    made = [replace(concept, p_holm=p) for concept, p in zip(made, adjusted, strict=True)]
    store, file = scores.run.store, f"concepts-{test.name}.json"
    for concept in made:
        store.log_metrics(concept.metrics(test.name))
    store.save(file, (store.load(file) or {}) | {"given" if words else "found": [c.to_json() for c in made]})
    return made


def concepts_table(groups: Sequence[Concept], test: Weat) -> Table:
    """Groups of words, what pulls them in, and which targets lie nearer to them."""
    headings = ("words", "pull", *(f"cosine to {label}" for label in test.labels), "effect", "p", "p, Holm")
    rows = [
        (
            ", ".join(c.words),
            effect(c.pull),
            *(value(c.cosines[side]) for side in SIDES),
            value(c.test.effect),
            probability(c.p_value),
            probability(c.p_holm),
        )
        for c in groups
    ]
    return Table(f"Words outside {test.name} that its strongest sentences pull in", headings, rows)


def concepts_summary(groups: Sequence[Concept], test: Weat) -> list[str]:
    """How to read the table, the given words that are missing, and a sentence that pulls each group; a line each."""
    x, y = test.labels[:2]
    lines = [
        f"Pull: the part of the strongest sentences' scores that these words carry; positive pushes {test.name} up. "
        f"Effect: one-sided WEAT, positive where {x} lie nearer to the words than {y}; p is two-sided."
    ]
    for c in groups:
        if c.missing:
            lines.append(f"{c.name}: not in the vocabulary and left out: {', '.join(c.missing)}")
        lines += [f"{c.name}: {s.text}" for s in c.samples[:1]]
    return lines


def association_test(scores: Scores, objective: Named = None) -> Weat:
    """The association test of that name among those scored.

    Raises
    ------
    UserError
        It was not scored, or is no association test.
    """
    test = scores.objectives[scores.index_of(objective)]
    if not isinstance(test, Weat):
        raise UserError(f"{test.name} has no target sets X and Y to test concepts with: name an association test.")
    return test


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
        sides = np.full(self.size, len(SIDES))
        for number, side in enumerate(self.test.lookup(_model(self.scores).vocabulary.index).values()):
            sides[side] = number
        sums = np.zeros(len(SIDES) + 1)
        for i in (0, 1):
            mine = member[self._pairs[:, i]]
            sums += np.bincount(sides[self._pairs[mine, 1 - i]], self._total[mine] / 2, len(sums))
        return dict(zip((*SIDES, "other"), sums.tolist(), strict=True))

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
    groups = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        if len(mine) < LEAST:
            continue
        order = np.argsort(-(unit[mine] @ unit[mine].mean(axis=0)), kind="stable")
        words = tuple(vocabulary.words[row] for row in rows[mine[order]])
        groups.append((abs(float(pulls.words[rows[mine]].sum())), words))
    return [group for _, group in sorted(groups, key=lambda g: -g[0])]


def _look(pulls: Pulls, test: Weat, words: tuple[str, ...]) -> Concept:
    """Everything about one group; its p_holm is that of a group tested alone."""
    scores = pulls.scores
    run, index = scores.run, _model(scores).vocabulary.index
    targets = set(words) & {*test.X, *test.Y}
    if targets:
        raise UserError(f"{', '.join(sorted(targets))}: a target word of {test.name} cannot be in a concept.")
    first, second = test.labels[:2]
    name = words[0]
    one_sided = OneSided(test.X, test.Y, words, (first, second, name), name=f"{test.name} by {name}")
    rows = np.array(one_sided.lookup(index)["A"])
    result = permutation_test(one_sided, run.view)
    units = {side: vectors.mean(0) for side, vectors in test.units(run.view).items()}
    middle = one_sided.units(run.view)["A"].mean(0)
    return Concept(
        name=name,
        words=tuple(word for word in words if word in index),
        pull=float(pulls.words[rows].sum()),
        partners=pulls.partners(rows),
        cosines={side: float(unit @ middle) for side, unit in units.items()},
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
