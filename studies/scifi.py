"""``python -m studies.scifi``: which sentences moved a word to where it is (paper Sec. 4.2, Table 1).

Beside the paper's tables: whether a word's neighbours are of its own universe, what retraining without its strongest
sentences does to its displacement (Eq. 9) and its neighbours, and how well scores predict retraining.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

import crossloss as cl
from crossloss.objectives import displacement
from crossloss.progress import track
from crossloss.reading import near_duplicates, select
from crossloss.text.tokens import normal, pattern_without, stop_words
from crossloss.text.vocabulary import token_words
from crossloss.validation.validate import Compared
from studies import command, tables
from studies.tables import Figure, Marked, Table, effect, figure, interval, percent, value

WORDS, OTHERS = ("dooku", "kirk", "doctor"), ("spock", "dalek", "vader")
"""The paper's, explained and retrained without their strongest sentences; further words that are only measured."""
PAPER = {
    "dooku": "exploits, confrontation, fighters",
    "kirk": "janeway, beams, flirting",
    "doctor": "donna, rory, gallifrey",
}
"""Neighbours that the paper names (Sec. 4.2)."""
SETTINGS: dict[str, Any] = {"min_count": 5, "max_words": 10_000, "window": 3, "negatives": 5.0, "dimension": 100}
"""The paper's but for the vocabulary, which it does not cut."""
STEPS = 15
"""Few, for displacement to be predictable: one word's vector bends (docs/trust.md)."""
NEAREST, SHOWN, PAIRS = 10, 5, 6
SIZES = (10, 50, 100)
NOTES = (
    "The displacement of a word is how far training moved it from where it started: the mean over dimensions of the "
    "squared difference. Leaving out a sentence changes it by the effect if removed, as predicted by the derivative of "
    "the training run. In sentences, leaving out what stands on blue lowers the displacement, on orange raises it.",
)
Neighbour = tuple[str, float, bool]
"""A word, its cosine, and whether it occurs at a higher rate in the universe of its neighbour than outside."""


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

    def row(self) -> list[tables.Cell]:
        """As a row of a table."""
        more = f"{self.alike}, together {effect(self.together)}" if self.alike else ""
        pairs = "; ".join(f"{a} – {b} {effect(part)}" for a, b, part in self.pairs)
        where = self.universe, self.document
        return [effect(self.effect), f"{self.rank:,}", *where, Marked(self.text, self.spans), more, pairs]


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

    Its universe is where its rate is highest, and ``chance`` the share of the vocabulary that counts as inside of it;
    ``value`` is its displacement, the mean over dimensions of (e_final - e_initial)^2. Amplifiers moved it, mitigators
    would push it back; words that are only measured have none.
    """

    word: str
    universe: str
    count: int
    value: float
    neighbours: list[Neighbour]
    chance: float
    amplifiers: list[Sentence]
    mitigators: list[Sentence]
    removals: list[Removal]
    fidelity: list[Compared]

    @property
    def precision(self) -> float:
        """Share of the neighbours that are inside of its universe."""
        return inside(self.neighbours)

    def metrics(self) -> dict[str, float]:
        """``scifi.WORD.fidelity.pearson``, ``.precision_at_10``, ``.removed_50.predicted``, ``.retrained`` (...)."""
        precision = f"precision_at_{NEAREST}"
        figures = {"displacement": self.value, precision: self.precision, f"{precision}.chance": self.chance}
        for row in self.fidelity:
            start = "fidelity" if row.estimator == "unrolled" else f"fidelity.{row.estimator}"
            figures |= {f"{start}.{name}": float(figure) for name, figure in asdict(row.fidelity).items()}
        for r in self.removals:
            start = f"removed_{r.size}"
            figures |= {f"{start}.predicted": r.predicted, f"{start}.retrained": r.retrained}
            figures[f"{start}.{precision}"] = inside(r.neighbours)
        return {f"scifi.{self.word}.{name}": figure for name, figure in figures.items()}


def inside(neighbours: Sequence[Neighbour]) -> float:
    """Share of the neighbours that are inside."""
    return float(np.mean([is_inside for *_, is_inside in neighbours]))


class Universes:
    """Where the words of a model occur, by a label of every sample, its universe."""

    def __init__(self, model: cl.SkipGram, labels: Sequence[str]) -> None:
        names, inverse = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
        size, rows = len(model.vocabulary.words), token_words(model.corpus, model.vocabulary)
        universe = np.repeat(inverse, np.diff(model.corpus.indptr))
        flat = universe[rows >= 0] * size + rows[rows >= 0]
        counts = np.bincount(flat, minlength=len(names) * size).reshape(len(names), size).astype(np.float64)
        totals = counts.sum(axis=1, keepdims=True)
        rest = (counts.sum(axis=0) - counts) / np.maximum(totals.sum() - totals, 1)
        self._names, self._index = [str(name) for name in names], model.word_index
        self._rates = counts / np.maximum(totals, 1)
        self._higher = self._rates > rest

    def own(self, word: str) -> str:
        """The universe in which the word's rate is highest."""
        return self._names[int(self._rates[:, self._index[word]].argmax())]

    def holds(self, word: str, universe: str) -> bool:
        """Whether the word occurs at a higher rate there than in the rest of the corpus."""
        return bool(self._higher[self._names.index(universe), self._index[word]])

    def chance(self, word: str) -> float:
        """Share of the other words of the vocabulary that occur at a higher rate in the word's own universe."""
        return float(np.delete(self._higher[self._names.index(self.own(word))], self._index[word]).mean())

    def neighbours(self, word: str, near: Sequence[tuple[str, float]]) -> list[Neighbour]:
        """Words near another, and which of them its own universe holds."""
        return [(other, cosine, self.holds(other, self.own(word))) for other, cosine in near]


def nearest(view: Any, word: str, count: int = NEAREST) -> list[tuple[str, float]]:
    """The ``count`` words of the largest cosine to a word, the nearest first."""
    unit = torch.nn.functional.normalize(view.vectors, dim=1)
    cosines = (unit @ unit[view.index[word]]).cpu().numpy()
    cosines[view.index[word]] = -np.inf
    return [(view.words[i], float(cosines[i])) for i in np.argsort(-cosines, kind="stable")[:count]]


def study(
    run: cl.Run,
    labels: Sequence[str],
    words: Sequence[str] = WORDS,
    others: Sequence[str] = OTHERS,
    *,
    subsets: int = 30,
    share: float = 0.1,
    sizes: Sequence[int] = SIZES,
) -> list[WordStudy]:
    """Study ``words``, which are explained and retrained without their strongest sentences, and ``others``.

    ``labels`` are the universe of each sample. One set of retrainings, without ``subsets`` random parts of the
    sentences (``share`` of them each), serves all; ``sizes`` are numbers of strongest sentences to retrain without.
    """
    every, model = list(dict.fromkeys([*words, *others])), run.model
    objectives = {word: displacement(word) for word in every}
    for objective in objectives.values():
        objective.lookup(model.word_index)
    universes, view = Universes(model, labels), run.view
    scores = cl.score(run, list(objectives.values()))
    fidelity = cl.validate(run, scores.objectives, subsets=subsets, share=share, plans={}, strongest=0).fidelity
    removals: dict[str, list[Removal]] = {word: [] for word in every}
    work = [(word, size) for word in words for size in sizes]
    with track("retraining without the strongest") as progress:
        for number, (word, size) in enumerate(work, 1):
            removals[word] += _removed(scores, universes, word, size)
            progress(number, len(work))
    return [
        WordStudy(
            word=word,
            universe=universes.own(word),
            count=int(model.vocabulary.counts[model.word_index[word]]),
            value=scores.values[objective.name],
            neighbours=universes.neighbours(word, nearest(view, word)),
            chance=universes.chance(word),
            amplifiers=_sentences(scores, labels, objective.name, 1) if word in words else [],
            mitigators=_sentences(scores, labels, objective.name, -1) if word in words else [],
            removals=removals[word],
            fidelity=fidelity[objective.name],
        )
        for word, objective in objectives.items()
    ]


def _sentences(scores: cl.Scores, labels: Sequence[str], name: str, sign: int) -> list[Sentence]:
    sentences = []
    for alike in near_duplicates(scores, select(scores, name, sign=sign), SHOWN):
        (shown,), parts = scores.shown(alike[:1], name), scores.explain(int(alike[0]), name)
        sentences.append(
            Sentence(
                universe=labels[shown.sample],
                document=shown.document,
                text=shown.text,
                effect=shown.effect_if_removed,
                rank=shown.rank,
                spans=[(start, end, -part) for start, end, part in parts.spans],
                pairs=[(a, b, -part) for a, b, part in parts.pairs[:PAIRS]],
                alike=len(alike) - 1,
                together=scores.group(alike, name),
            )
        )
    return sentences


def _removed(scores: cl.Scores, universes: Universes, word: str, size: int) -> list[Removal]:
    """Retrain without the ``size`` strongest amplifiers of a word; nothing where it has not so many."""
    objective, run = displacement(word), scores.run
    strongest = select(scores, objective.name, sign=1)[:size]
    if len(strongest) < size:
        return []
    weights = run.weights
    weights[strongest] = 0.0

    def retrained() -> dict[str, Any]:
        view = run.retrain(weights).view
        return {"value": float(objective(view)), "nearest": nearest(view, word)}

    stored = run.store.get_or_make(f"retrains/scifi-{word}-{size}", weights, make=retrained)
    predicted = scores.values[objective.name] + scores.group(strongest, objective.name)
    return [Removal(size, predicted, float(stored["value"]), universes.neighbours(word, stored["nearest"]))]


def page(study: Sequence[WordStudy]) -> list[Table | Figure]:
    """Tables and figures."""
    near = [
        [s.word, f"{s.count:,}", s.universe, value(s.precision), value(s.chance), _listed(s), PAPER.get(s.word, "")]
        for s in study
    ]
    fidelity = [
        [s.word, value(s.value), f"{row.fidelity.subsets} x {percent(row.share)}", row.estimator, *_intervals(row)]
        for s in study
        for row in s.fidelity
    ]
    removed = [
        [
            s.word, str(r.size), value(s.value), value(r.predicted), value(r.retrained),
            f"{len({n[0] for n in s.neighbours} & {n[0] for n in r.neighbours})} of {NEAREST}",
            value(inside(r.neighbours)), _listed(r),
        ]
        for s in study
        for r in s.removals
    ]  # fmt: skip
    sentence = ["effect if removed", "rank", "universe", "document", "sentence", "near-duplicates", "word pairs"]
    halves = [
        Table(f"{title} (the paper's Table 1)", sentence, [t.row() for t in sentences])
        for s in study
        for title, sentences in (
            (f"Sentences that moved {s.word} to where it is", s.amplifiers),
            (f"Sentences that would push {s.word} back to where it began", s.mitigators),
        )
    ]
    return [
        Table(
            f"Nearest {NEAREST} words",
            ["word", "occurs", "universe", "precision", "chance", "neighbours", "the paper's"],
            near,
            "* those that occur at a higher rate in the word's own universe than outside.",
        ),
        Table(
            "Displacement of a word: predicted against retrained changes over random subsets",
            ["word", "displacement", "left out", "estimator", "Pearson", "Spearman (LDS)", "slope"],
            fidelity,
            "With 95 % intervals.",
        ),
        _fidelity_figure(study),
        Table(
            "Retrained without the sentences that moved a word most",
            ["word", "sentences", "displacement", "predicted", "retrained", "still near", "precision", "neighbours"],
            removed,
        ),
        *([_removal_figure([s for s in study if s.removals])] if removed else []),
        *halves,
    ]


def _listed(of: WordStudy | Removal) -> str:
    return ", ".join(f"{word}{'*' if is_inside else ''}" for word, _, is_inside in of.neighbours)


def _intervals(row: Compared) -> list[str]:
    f = asdict(row.fidelity)
    return [interval(f[name], f[f"{name}_low"], f[f"{name}_high"]) for name in ("pearson", "spearman", "slope")]


def _fidelity_figure(study: Sequence[WordStudy]) -> Figure:
    def fill(axes: Sequence[Any]) -> None:
        for panel, s in zip(axes, study, strict=True):
            row = next(row for row in s.fidelity if row.estimator == "unrolled")
            tables.diagonal(panel, [*row.predicted, *row.retrained])
            panel.plot(row.predicted, row.retrained, "o", color="C0", markersize=4)
            panel.set_title(f"{s.word}: r = {row.fidelity.pearson:.3f}", loc="left", fontsize=11, parse_math=False)
            panel.locator_params(axis="x", nbins=5)
            panel.set_xlabel("predicted change of displacement")
            panel.set_ylabel("after retraining")

    notes = "Predicted changes of each word's displacement against those of retraining without random subsets."
    return figure("fidelity", "Predicted against retrained", notes, len(study), fill)


def _removal_figure(study: Sequence[WordStudy]) -> Figure:
    def fill(axes: Sequence[Any]) -> None:
        for panel, s in zip(axes, study, strict=True):
            at = [0, *(r.size for r in s.removals)]
            panel.plot(at, [s.value, *(r.predicted for r in s.removals)], "o-", color="C0", label="predicted")
            panel.plot(at, [s.value, *(r.retrained for r in s.removals)], "o-", color="C1", label="retrained")
            panel.set_title(s.word, loc="left", fontsize=11, parse_math=False)
            panel.set_xlabel("strongest sentences removed")
            panel.set_ylabel("displacement")
            panel.legend(frameon=False)

    notes = "Displacement after leaving out the strongest sentences, as predicted and as retrained."
    return figure("removed", "Without the strongest sentences", notes, len(study), fill)


def scifi(
    corpus: Annotated[Path, typer.Option(help="A tsv or csv with the columns universe, document and sentence.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    word: Annotated[list[str] | None, typer.Option("--word", help="Further words to explain.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Keep all words of the corpus, not the 10,000 first.")] = False,
    subsets: Annotated[int, typer.Option(min=3, help="Random subsets to retrain without.")] = 30,
    steps: Annotated[int, typer.Option(min=1, help="Training steps; few, for displacement to be predictable.")] = STEPS,
    dimension: Annotated[int, typer.Option(min=1, help="Length of a word vector.")] = SETTINGS["dimension"],
    min_count: Annotated[int, typer.Option(min=1, help="Leave out words that occur less.")] = SETTINGS["min_count"],
    size: Annotated[
        list[int] | None, typer.Option(min=1, help="Strongest sentences to retrain without; default: 10, 50 and 100.")
    ] = None,
) -> None:
    """What moved Dooku, Kirk, the Doctor and other words to where they are (Table 1); a stopped study goes on."""
    words = list(dict.fromkeys([*WORDS, *map(normal, word or [])]))
    labels = cl.read(corpus, document="universe").documents
    text = cl.read(corpus, token_pattern=pattern_without(stop_words()))
    settings = SETTINGS | {"dimension": dimension, "min_count": min_count} | ({"max_words": 0} if full else {})
    removed = sorted(set(size or SIZES))
    objectives = [displacement(name) for name in dict.fromkeys([*words, *OTHERS])]
    trainings = 1 + subsets + len(words) * len(removed)
    command.preflight(text, objectives, settings, steps=steps, trainings=trainings, scorings=2)
    model = cl.SkipGram(text, keep_words=[*words, *OTHERS], **settings)
    with cl.train(model, steps=steps, out=out) as run:
        command.remember(run, objectives)
        studied = study(run, labels, words, subsets=subsets, sizes=removed)
        for one in studied:
            run.store.log_metrics(one.metrics())
        run.store.save("scifi.json", {one.word: asdict(one) for one in studied})
        parts = page(studied)
        path = tables.write(
            out,
            "scifi",
            "Where words ended, and which sentences moved them there",
            NOTES,
            parts,
            command.command_line(),
        )
    tables.print_study(parts, path)


if __name__ == "__main__":
    command.run(scifi)
