"""``python -m studies.scifi``: which sentences moved a word to where it is (paper Sec. 4.2, Table 1).

Beside the paper's tables: whether a word's neighbours are of its own universe, what retraining without its strongest
sentences does to its displacement (Eq. 9) and its neighbours, and how well scores predict retraining.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

import crossloss as cl
from crossloss.objectives import displacement
from crossloss.text.tokens import pattern_without, stop_words
from crossloss.utils.display import value
from studies import command, sentences, tables
from studies.sentences import ranked, strongest
from studies.tables import Figure, Table, figure

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
STEPS = 50
"""As ``cl.train`` has it. Fewer are predicted better, as one word's vector bends (docs/trust.md), and learn less."""
NEAREST, SHOWN = 10, 5
SIZES = (10, 50, 100)
NOTES = (
    "The displacement of a word is how far training moved it from where it started: the mean over dimensions of the "
    "squared difference. Leaving out a sentence changes it by the effect if removed, as predicted by the derivative of "
    "the training run.",
)
PRECISION = f"precision_at_{NEAREST}"


def universes(model: cl.SkipGram, labels: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Where the words of a model occur, by a label of every sample, its universe.

    Names of the u universes; which of them each word's rate is highest in, (V,) int64; and whether a word occurs at a
    higher rate in a universe than in the rest of the corpus, (u, V) bool.
    """
    names, inverse = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    rows = np.array([model.word_index.get(word, -1) for word in model.corpus.types])[model.corpus.tokens]
    universe = np.repeat(inverse, np.diff(model.corpus.indptr))
    counts = np.zeros((len(names), len(model.word_index)))
    np.add.at(counts, (universe[rows >= 0], rows[rows >= 0]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    rates, rest = counts / np.maximum(totals, 1), counts.sum(axis=0) - counts
    return [str(name) for name in names], rates.argmax(axis=0), rates > rest / np.maximum(totals.sum() - totals, 1)


def nearest(view: Any, word: str) -> list[str]:
    """The words of the largest cosine to a word, the nearest first."""
    unit = torch.nn.functional.normalize(view.vectors, dim=1)
    cosines = (unit @ unit[view.index[word]]).cpu().numpy()
    cosines[view.index[word]] = -np.inf
    return [view.words[i] for i in np.argsort(-cosines, kind="stable")[:NEAREST]]


def study(
    run: cl.Run,
    labels: Sequence[str],
    words: Sequence[str] = WORDS,
    others: Sequence[str] = OTHERS,
    *,
    subsets: int = 30,
    sizes: Sequence[int] = SIZES,
) -> tuple[dict[str, float], list[Table | Figure]]:
    """Figures scifi.WORD.fidelity.pearson, .precision_at_10, .removed_50.predicted (...), and the page's tables.

    ``words`` are explained, and retrained without so many (``sizes``) of their strongest sentences; ``others`` are
    measured. ``labels`` are the universe of each sample. One set of retrainings without ``subsets`` random tenths of
    the sentences serves all.
    """
    model, index = run.model, run.model.word_index
    objectives = {word: displacement(word) for word in dict.fromkeys([*words, *others])}
    names, own, higher = universes(model, labels)
    scores = cl.score(run, list(objectives.values()))
    fidelity = cl.validate(run, scores.objectives, subsets=subsets, plans={}, strongest=0).fidelity
    figures: dict[str, float] = {}
    near, agreement, removed, explained = [], [], [], []
    unrolled: list[tuple[str, Any]] = []
    curves: list[tuple[str, list[tuple[int, float, float]]]] = []
    for word, objective in objectives.items():
        now, start, mine = scores.values[objective.name], f"scifi.{word}", higher[own[index[word]]]
        neighbours, chance = nearest(run.view, word), float(np.delete(mine, index[word]).mean())

        def inside(of: Sequence[str], mine: np.ndarray = mine) -> tuple[float, str]:
            """Share of some words that are of this word's universe, and the words, those with a star."""
            within = [bool(mine[index[other]]) for other in of]
            return float(np.mean(within)), ", ".join(o + "*" * w for o, w in zip(of, within, strict=True))

        precision, listed = inside(neighbours)
        figures |= {f"{start}.displacement": now, f"{start}.{PRECISION}": precision}
        figures[f"{start}.{PRECISION}.chance"] = chance
        occurs, numbers = f"{model.vocabulary.occurrences[word]:,}", map(value, (now, precision, chance))
        near.append([word, occurs, names[own[index[word]]], *numbers, listed, PAPER.get(word, "")])
        for row in fidelity[objective.name]:
            f, which = asdict(row.fidelity), "" if row.estimator == "unrolled" else f".{row.estimator}"
            figures |= {f"{start}.fidelity{which}.{name}": float(figure) for name, figure in f.items()}
            three = (f"{f[n]:.3f} ({f[f'{n}_low']:.3f} to {f[f'{n}_high']:.3f})" for n in AGREEMENT)
            agreement.append([word, row.estimator, *three])
            if not which:
                unrolled.append((word, row))
        if word not in words:
            continue
        curve = [(0, now, now)]
        for size in sizes:
            strong = ranked(scores, objective.name, 1)[:size]
            if len(strong) < size:
                break
            without = _without(run, word, strong)
            predicted, retrained = now + scores.group(strong, objective.name), without["value"]
            curve.append((size, predicted, retrained))
            share, listed = inside(without["nearest"])
            result = {"predicted": predicted, "retrained": retrained, PRECISION: share}
            figures |= {f"{start}.removed_{size}.{name}": figure for name, figure in result.items()}
            still = f"{len(set(neighbours) & set(without['nearest']))} of {NEAREST}"
            numbers = map(value, (now, predicted, retrained))
            removed.append([word, str(size), *numbers, still, value(share), listed])
        curves.append((word, curve))
        for title, sign in ((f"moved {word} to where it is", 1), (f"would push {word} back to where it began", -1)):
            rows = [[labels[i], *row] for i, row in strongest(scores, objective.name, sign, SHOWN).items()]
            headings = ("universe", *sentences.HEADINGS)
            explained.append(Table(f"Sentences that {title} (the paper's Table 1)", headings, rows))
    of_subsets = "Predicted changes of each word's displacement against those of retraining without random subsets."
    of_removals = "Displacement after leaving out the strongest sentences, as predicted and as retrained."
    return figures, [
        Table(f"Nearest {NEAREST} words", NEAR, near, "* occurs at a higher rate in the word's universe than outside."),
        Table("Predicted against retrained changes of displacement", FIDELITY, agreement, "With 95 % intervals."),
        figure("fidelity", "Predicted against retrained", of_subsets, unrolled, _draw_fidelity),
        Table("Retrained without the sentences that moved a word most", REMOVED, removed),
        figure("removed", "Without the strongest sentences", of_removals, curves, _draw_curve),
        *explained,
    ]


AGREEMENT = ("pearson", "spearman", "slope")
NEAR = ("word", "occurs", "universe", "displacement", "precision", "chance", "neighbours", "the paper's")
FIDELITY = ("word", "estimator", "Pearson", "Spearman (LDS)", "slope")
REMOVED = ("word", "sentences", "displacement", "predicted", "retrained", "still near", "precision", "neighbours")


def _without(run: cl.Run, word: str, samples: np.ndarray) -> dict[str, Any]:
    """The displacement of a word and the words near it after retraining without some samples."""
    weights = run.weights
    weights[samples] = 0.0

    def make() -> dict[str, Any]:
        view = run.retrain(weights).view
        return {"value": float(displacement(word)(view)), "nearest": nearest(view, word)}

    return run.store.get_or_make(f"retrains/near-{word}-{len(samples)}", weights, make=make)


def _draw_fidelity(axes: Any, panel: tuple[str, Any]) -> None:
    word, row = panel
    tables.diagonal(axes, [*row.predicted, *row.retrained])
    axes.plot(row.predicted, row.retrained, "o", color="C0", markersize=4)
    axes.set_title(f"{word}: r = {row.fidelity.pearson:.3f}", loc="left", fontsize=11, parse_math=False)
    axes.locator_params(axis="x", nbins=5)
    axes.set(xlabel="predicted change of displacement", ylabel="after retraining")


def _draw_curve(axes: Any, panel: tuple[str, list[tuple[int, float, float]]]) -> None:
    word, curve = panel
    sizes, predicted, retrained = zip(*curve, strict=True)
    axes.plot(sizes, predicted, "o-", color="C0", label="predicted")
    axes.plot(sizes, retrained, "o-", color="C1", label="retrained")
    axes.set_title(word, loc="left", fontsize=11, parse_math=False)
    axes.set(xlabel="strongest sentences removed", ylabel="displacement")
    axes.legend()


def scifi(
    corpus: Annotated[Path, typer.Option(help="A tsv or csv with the columns universe, document and sentence.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    word: Annotated[list[str] | None, typer.Option("--word", help="Further words to explain.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Keep all words of the corpus, not the 10,000 first.")] = False,
    subsets: Annotated[int, typer.Option(min=3, help="Random subsets to retrain without.")] = 30,
    steps: Annotated[int, typer.Option(min=1, help="Training steps; fewer are predicted better, learn less.")] = STEPS,
    dimension: Annotated[int, typer.Option(min=1, help="Length of a word vector.")] = SETTINGS["dimension"],
    min_count: Annotated[int, typer.Option(min=1, help="Leave out words that occur less.")] = SETTINGS["min_count"],
    size: Annotated[
        list[int] | None, typer.Option(min=1, help="Strongest sentences to retrain without; default: 10, 50 and 100.")
    ] = None,
) -> None:
    """What moved Dooku, Kirk, the Doctor and other words to where they are (Table 1); a stopped study goes on."""
    words = list(dict.fromkeys([*WORDS, *command.words([displacement(name) for name in word or ()])]))
    labels = cl.read(corpus, document="universe").documents
    text = cl.read(corpus, token_pattern=pattern_without(stop_words()))
    settings = SETTINGS | {"dimension": dimension, "min_count": min_count} | ({"max_words": 0} if full else {})
    sizes = sorted(set(size or SIZES))
    objectives = [displacement(name) for name in dict.fromkeys([*words, *OTHERS])]
    model = cl.SkipGram(text, keep_words=command.words(objectives), **settings)
    trainings = 1 + subsets + len(words) * len(sizes)
    command.preflight(model, objectives, steps=steps, trainings=trainings, scorings=2)
    with cl.train(model, steps=steps, out=out) as run:
        command.remember(run, objectives)
        figures, parts = study(run, labels, words, subsets=subsets, sizes=sizes)
        run.store.log_metrics(figures)
        title = "Where words ended, and which sentences moved them there"
        tables.write(out, "scifi", title, NOTES, parts, command.command_line())


if __name__ == "__main__":
    command.run(scifi)
