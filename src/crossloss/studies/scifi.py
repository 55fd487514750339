"""The sci-fi study: which sentences moved a word to where it is, which would push it out (paper Sec. 4.2, Table 1).

Beside the paper's tables: whether a word's neighbours are of its own universe, what retraining without its strongest
sentences does to its displacement (Eq. 9) and its neighbours, and how well scores predict retraining. All pieces are
kept in the run's folder, so a stopped study goes on.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.model import SkipGram, require_skipgram
from crossloss.objectives import displacement
from crossloss.progress import track
from crossloss.reading import near_duplicates, select
from crossloss.run.retrainer import Retrainer, without
from crossloss.run.run import Run
from crossloss.scores import Scores, score
from crossloss.text.vocabulary import token_words
from crossloss.validation.validate import Compared, compare

WORDS = ("dooku", "kirk", "doctor")
"""The paper's: explained, and retrained without their strongest sentences."""
OTHERS = ("spock", "dalek", "vader")
"""Further words whose neighbours and fidelity are measured."""
SETTINGS: dict[str, Any] = {
    "min_count": 5,
    "max_words": 10_000,
    "window": 3,
    "negatives": 5.0,
    "dimension": 100,
    "steps": 15,
}
"""The paper's but for the vocabulary, which it does not cut. Few steps: one word's vector bends (docs/trust.md)."""
NEAREST, SHOWN, PAIRS = 10, 5, 6
SIZES = (10, 50, 100)


@dataclass(frozen=True)
class Neighbour:
    """A word near another: its cosine, and whether it occurs at a higher rate in that one's universe than outside."""

    word: str
    cosine: float
    inside: bool


@dataclass(frozen=True)
class Sentence:
    """A sentence of Table 1; ``alike`` near-duplicates of it have ``together`` its effect if all are removed.

    ``spans`` and ``pairs`` are parts of the effect if removed: of each token, and of each word pair.
    """

    universe: str
    document: str
    text: str
    effect: float
    rank: int
    spans: list[tuple[int, int, float]]
    pairs: list[tuple[str, str, float]]
    alike: int
    together: float


@dataclass(frozen=True)
class Removal:
    """What retraining without the strongest amplifiers of a word's displacement gives."""

    size: int
    predicted: float
    retrained: float
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class WordStudy:
    """Everything about one word.

    Attributes
    ----------
    word : str
    count : int
        Occurrences.
    universe : str
        Its own: where its rate is highest.
    value : float
        Displacement: mean over dimensions of (e_final - e_initial)^2.
    neighbours : list of Neighbour
    chance : float
        Share of the vocabulary that counts as inside.
    amplifiers, mitigators : list of Sentence
        Those that moved it, and those that would push it back; none for words that are only measured.
    removals : list of Removal
    fidelity : list of Compared
    """

    word: str
    count: int
    universe: str
    value: float
    neighbours: list[Neighbour]
    chance: float
    amplifiers: list[Sentence]
    mitigators: list[Sentence]
    removals: list[Removal]
    fidelity: list[Compared]

    @property
    def precision(self) -> float:
        """Share of the neighbours that are inside."""
        return inside(self.neighbours)

    def metrics(self) -> dict[str, float]:
        """``scifi.WORD.fidelity.pearson``, ``.precision_at_10``, ``.removed_50.predicted``, ``.retrained`` (...)."""
        figures = {
            "displacement": self.value,
            f"precision_at_{NEAREST}": self.precision,
            f"precision_at_{NEAREST}.chance": self.chance,
        }
        for row in self.fidelity:
            start = "fidelity" if row.estimator == "unrolled" else f"fidelity.{row.estimator}"
            figures |= {f"{start}.{name}": float(value) for name, value in asdict(row.fidelity).items()}
        for removal in self.removals:
            start = f"removed_{removal.size}"
            figures |= {
                f"{start}.predicted": removal.predicted,
                f"{start}.retrained": removal.retrained,
                f"{start}.precision_at_{NEAREST}": inside(removal.neighbours),
            }
        return {f"scifi.{self.word}.{name}": value for name, value in figures.items()}


def inside(neighbours: Sequence[Neighbour]) -> float:
    """Share of the neighbours that are inside."""
    return float(np.mean([n.inside for n in neighbours]))


class Universes:
    """Where words occur, by a label of every sample.

    Parameters
    ----------
    run : Run
    labels : sequence of str
        The universe of each sample.
    """

    def __init__(self, run: Run, labels: Sequence[str]) -> None:
        names, inverse = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
        size, rows = len(_model(run).vocabulary.words), token_words(_model(run).corpus, _model(run).vocabulary)
        universe = np.repeat(inverse, np.diff(_model(run).corpus.indptr))
        flat = universe[rows >= 0] * size + rows[rows >= 0]
        counts = np.bincount(flat, minlength=len(names) * size).reshape(len(names), size).astype(np.float64)
        totals, index = counts.sum(axis=1, keepdims=True), _model(run).vocabulary.index
        outside, rest = counts.sum(axis=0) - counts, totals.sum() - totals
        self._names, self._index = [str(name) for name in names], index
        self._rates = counts / np.maximum(totals, 1)
        self._higher = self._rates > outside / np.maximum(rest, 1)

    def own(self, word: str) -> str:
        """The universe in which the word's rate is highest."""
        return self._names[int(self._rates[:, self._index[word]].argmax())]

    def holds(self, word: str, universe: str) -> bool:
        """Whether the word occurs at a higher rate there than in the rest of the corpus."""
        return bool(self._higher[self._names.index(universe), self._index[word]])

    def chance(self, word: str) -> float:
        """Share of the other words of the vocabulary that occur at a higher rate in the word's own universe."""
        higher = np.delete(self._higher[self._names.index(self.own(word))], self._index[word])
        return float(higher.mean())

    def near(self, view: Embeddings, word: str) -> list[Neighbour]:
        """The words of the largest cosine to a word, and which of them its own universe holds."""
        universe = self.own(word)
        return [Neighbour(other, c, self.holds(other, universe)) for other, c in nearest(view, word)]


def nearest(view: Embeddings, word: str, count: int = NEAREST) -> list[tuple[str, float]]:
    """The ``count`` words of the largest cosine to a word, the nearest first."""
    unit = torch.nn.functional.normalize(view.vectors, dim=1)
    cosines = (unit @ unit[view.index[word]]).cpu().numpy()
    cosines[view.index[word]] = -np.inf
    return [(view.words[i], float(cosines[i])) for i in np.argsort(-cosines, kind="stable")[:count]]


def scifi_study(
    run: Run,
    labels: Sequence[str],
    words: Sequence[str] = WORDS,
    others: Sequence[str] = OTHERS,
    *,
    subsets: int = 30,
    share: float = 0.1,
    sizes: Sequence[int] = SIZES,
) -> list[WordStudy]:
    """Study words one by one; one set of retrainings serves all.

    Parameters
    ----------
    run : Run
        In a folder.
    labels : sequence of str
        The universe of each sample.
    words, others : sequences of str
        Words to explain and retrain without; further words to measure.
    subsets, share : int, float
        Random subsets to retrain without, and the part of the sentences that each leaves out.
    sizes : sequence of int
        Strongest sentences to retrain without, of each word.

    Raises
    ------
    UserError
        A word is not in the vocabulary.
    """
    every = list(dict.fromkeys([*words, *others]))
    objectives = [displacement(word) for word in every]
    for objective in objectives:
        objective.lookup(_model(run).vocabulary.index)
    universes, view = Universes(run, labels), run.view
    scores = score(run, objectives)
    table = compare(Retrainer(run, objectives), scores, subsets=subsets, share=share)
    removals: dict[str, list[Removal]] = {word: [] for word in every}
    with track("retraining without the strongest") as progress:
        for number, (word, size) in enumerate((word, size) for word in words for size in sizes):
            progress(number, len(words) * len(sizes))
            removals[word] += _removed(run, scores, universes, word, size)
        progress(len(words) * len(sizes), len(words) * len(sizes))
    studied = []
    for word, objective in zip(every, objectives, strict=True):
        told = {sign: _sentences(scores, labels, objective.name, sign) if word in words else [] for sign in (1, -1)}
        studied.append(
            WordStudy(
                word=word,
                count=int(_model(run).vocabulary.counts[_model(run).vocabulary.index[word]]),
                universe=universes.own(word),
                value=scores.values[objective.name],
                neighbours=universes.near(view, word),
                chance=universes.chance(word),
                amplifiers=told[1],
                mitigators=told[-1],
                removals=removals[word],
                fidelity=table[objective.name],
            )
        )
    return studied


def _model(run: Run) -> SkipGram:
    return require_skipgram(run.model, "The study")


def _sentences(scores: Scores, labels: Sequence[str], name: str, sign: int) -> list[Sentence]:
    found = []
    for alike in near_duplicates(scores, select(scores, name, sign=sign), SHOWN):
        sample = int(alike[0])
        (shown,) = scores.shown([sample], name)
        taken = scores.explain(sample, name)
        found.append(
            Sentence(
                universe=labels[sample],
                document=shown.document,
                text=shown.text,
                effect=shown.effect_if_removed,
                rank=shown.rank,
                spans=[(start, end, -value) for start, end, value in taken.spans],
                pairs=[(a, b, -value) for a, b, value in taken.pairs[:PAIRS]],
                alike=len(alike) - 1,
                together=scores.group(alike, name),
            )
        )
    return found


def _removed(run: Run, scores: Scores, universes: Universes, word: str, size: int) -> list[Removal]:
    """Retrain without the ``size`` strongest amplifiers of a word; nothing where it has not so many."""
    objective = displacement(word)
    strongest = select(scores, objective.name, sign=1)[:size]
    if len(strongest) < size:
        return []
    weights = without(run.weights, strongest)

    def retrained() -> dict[str, Any]:
        view = run.retrain(weights).view
        return {"value": float(objective(view)), "nearest": nearest(view, word)}

    kept = run.store.get_or_make(f"retrains/scifi-{word}-{size}", weights, make=retrained)
    universe = universes.own(word)
    near = [Neighbour(other, cosine, universes.holds(other, universe)) for other, cosine in kept["nearest"]]
    predicted = scores.values[objective.name] + scores.group(strongest, objective.name)
    return [Removal(size, predicted, float(kept["value"]), near)]
