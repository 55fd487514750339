"""``python -m studies.wnc``: tests on both sides of the Wiki Neutrality Corpus (paper Sec. 4.3, Tables 2, 3, 7).

What makes the tests large on the biased side and on the neutralised one, and which edits move them.

D_B and D_N are one corpus with other weights (``studies.versioned``): the same words, counts, initial
vectors and step sizes. So the two models differ by the edits alone, every version not trained on is a candidate, and
D_N is D_B with all edits applied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import crossloss as cl
from crossloss.edits import Edit, score_sample_edits
from crossloss.memory import peak_memory
from crossloss.objectives import PermutationResult, Weat
from crossloss.progress import track
from crossloss.reading import near_duplicates
from crossloss.run.retrainer import Retrainer
from crossloss.text.versions import read_versions
from studies import command, tables
from studies.tables import Cell, Figure, Marked, Table, effect, figure, probability, value
from studies.versioned import Side, VersionedCorpus, combine_versions

CONVENTIONS: Mapping[str, Mapping[str, Any]] = {
    "word2vec": {"negatives": 10.0, "exponent": 0.75},
    "paper": {"negatives": 1.0, "exponent": 1.0},
}
"""Ten negatives summed, noise to the power .75 (word2vec); and what the published code trains, whatever it draws."""
SIDES: Mapping[Side, str] = {"before": "biased", "after": "neutral"}
NAMES = {"biased": "D_B", "neutral": "D_N"}
"""D_B is made of the earlier versions, D_N of the later ones."""
SETTINGS: Mapping[str, Any] = {"window": 10, "dimension": 100, "max_words": 10_000}
"""The paper's (App. H), at most 10,000 words beside the tests' own."""
APPLIED, EDITS_SHOWN, SENTENCES_SHOWN, PAIRS_SHOWN = 100, 10, 5, 3
SETS = {"top": "strongest either way", "nearer": "nearest to zero", "random": "at random", "all": "all (D_N)"}
PAPER = {"biased": (0.48, 0.52, -0.43, 0.53), "neutral": (-0.05, 0.66, -0.82, 0.55)}
"""The paper's originals (Table 3): career, math, art, race."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of the corpus (not of the background) and what removing it is predicted to do.

    ``rank`` is among all sentences of its side, the background's too; 1 is the strongest of its set. ``alike``
    near-duplicates of it are not shown.
    """

    text: str
    effect: float
    rank: int
    spans: list[tuple[int, int, float]]
    alike: int


@dataclass(frozen=True)
class Applied:
    """Edits applied together: how many, and the change of the test as predicted and as retrained."""

    edits: int
    predicted: float
    retrained: float


@dataclass(frozen=True)
class Convention:
    """What one convention of negatives gave, by (side,) test (and "A", which amplify its size most, or "M", mitigate).

    ``shared`` are sentences strong on both sides, (before, after, effect if removed on D_B, on D_N); ``overlap`` is how
    many of D_B's strongest are among D_N's, ``agreement`` the correlation of the edits' effects on either side.
    ``applied`` is by test and set: the edits strongest either way (top), those that bring the test nearest to zero
    (nearer), as many at random, the same for every test (random), and all of them (all), which is D_N.
    """

    measured: dict[tuple[str, str], PermutationResult]
    sentences: dict[tuple[str, str, str], list[Sentence]]
    shared: dict[str, list[tuple[str, str, float, float]]]
    overlap: dict[str, int]
    edits: dict[str, list[Edit]]
    applied: dict[tuple[str, str], Applied]
    agreement: dict[str, float]


@dataclass(frozen=True)
class WncStudy:
    """Names of the tests; sizes (pairs, same, background, words); edits of ``top`` (...); results by convention."""

    tests: list[str]
    sizes: dict[str, int]
    applied: int
    conventions: dict[str, Convention]

    def metrics(self) -> dict[str, float]:
        """Flat figures wnc.CONVENTION.SIDE.NAME.effect (.p_value, ...) and edits.NAME.top100.predicted (...).

        Predicted and retrained are changes of the test. Of the paper's convention: wnc.paper.edits.NAME. ...
        """
        figures: dict[str, float] = {f"wnc.{name}": size for name, size in self.sizes.items()}
        for label, convention in self.conventions.items():
            for (side, test), result in convention.measured.items():
                for name in ("effect", "p_value", "p_value_two_sided"):
                    figures[f"wnc.{label}.{side}.{test}.{name}"] = getattr(result, name)
            for test in self.tests:
                figures[f"wnc.{label}.{test}.overlap"] = convention.overlap[test]
                figures[f"wnc.{label}.{test}.agreement"] = convention.agreement[test]
            for (test, chosen), done in convention.applied.items():
                start = "" if label == "word2vec" else f"wnc.{label}."
                start += f"edits.{test}.{chosen}{'' if chosen == 'all' else self.applied}"
                figures |= {f"{start}.predicted": done.predicted, f"{start}.retrained": done.retrained}
        return figures


def enough_text(corpus: cl.Corpus, tests: Sequence[Weat]) -> None:
    """Refuse tests whose words the corpus lacks; UserError where fewer than two words of a set occur."""
    index = {word: i for i, word in enumerate(corpus.types)}
    for test in tests:
        try:
            test.lookup(index)
        except cl.UserError as error:
            raise cl.UserError(f"{error} --background FILE adds the same text to both sides.") from error


def study(run: cl.Run, both: VersionedCorpus, tests: Sequence[Weat], *, applied: int = APPLIED) -> WncStudy:
    """Train the other side and the other convention, score, and make edits, ``applied`` at once; a stopped one goes on.

    ``run`` is D_B in word2vec's convention, in a folder, trained on ``both``; the other three are folders in it.
    """
    conventions = {}
    for label, convention in CONVENTIONS.items():
        runs: dict[Side, cl.Run] = {}
        try:
            for side, name in SIDES.items():
                first = label == "word2vec"
                if first and side == "before":
                    runs[side] = run
                    continue
                runs[side] = cl.train(
                    run.model if first else run.model.changed(**convention),
                    run.given_optimiser, steps=run.steps, seed=run.seed, weights=both.weights(side),
                    out=run.store.path / (name if first else f"{label}-{name}"), memory=f"{run.memory}B",
                )  # fmt: skip
            conventions[label] = _convention(runs, both, tests, applied)
        finally:
            for opened in runs.values():
                if opened is not run:
                    opened.close()
    sizes = {
        "pairs": both.pairs,
        "same": both.own - 2 * both.pairs,
        "background": len(both.corpus) - both.own,
        "words": len(run.model.vocabulary.words),
    }
    return WncStudy([test.name for test in tests], sizes, applied, conventions)


def _convention(runs: Mapping[Side, cl.Run], both: VersionedCorpus, tests: Sequence[Weat], applied: int) -> Convention:
    measured, sentences = {}, {}
    scores = {side: cl.score(run, tests) for side, run in runs.items()}
    for side, run in runs.items():
        for test in tests:
            result = measured[SIDES[side], test.name] = cl.permutation_test(test, run.view)
            for name, sign in (("A", 1.0), ("M", -1.0)):
                of = _sentences(scores[side], both, test.name, sign * np.sign(result.effect))
                sentences[SIDES[side], test.name, name] = of
    edits = score_sample_edits(scores["before"], both.before, both.after)
    back = score_sample_edits(scores["after"], both.before, both.after)
    runs["before"].store.save("edits.parquet", edits.table())
    shared = {test.name: _shared(scores, both, test.name, applied) for test in tests}
    return Convention(
        measured=measured,
        sentences=sentences,
        shared={name: strong for name, (strong, _) in shared.items()},
        overlap={name: overlap for name, (_, overlap) in shared.items()},
        edits={t.name: [edits.edit(i, t) for i in edits.strongest(EDITS_SHOWN, t)] for t in tests},
        applied=_applied(runs, edits, tests, applied),
        agreement={t.name: _correlation(edits.of(t), back.of(t)) for t in tests},
    )


def _sentences(scores: cl.Scores, both: VersionedCorpus, test: str, sign: float) -> list[Sentence]:
    """Sentences of one side, without the background, with the largest score times ``sign``; near-duplicates as one."""
    size = np.where(scores.run.weights > 0, scores.of(test) * sign, -np.inf)
    order = np.argsort(-size, kind="stable")
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    own = order[(order < both.own) & (size[order] > 0)]
    effects, texts, sentences = scores.effects(test), both.corpus.texts, []
    for i, *alike in near_duplicates(scores, own, SENTENCES_SHOWN):
        spans = [(start, end, -part) for start, end, part in scores.explain(texts[i], test).spans]
        sentences.append(Sentence(texts[i], float(effects[i]), int(ranks[i]), spans, len(alike)))
    return sentences


def _shared(
    scores: Mapping[Side, cl.Scores], both: VersionedCorpus, test: str, applied: int
) -> tuple[list[tuple[str, str, float, float]], int]:
    """Sentences strong on both sides in one direction, and how many of the strongest of either side are the other's."""
    same, texts = np.arange(2 * both.pairs, both.own), both.corpus.texts
    old, new = np.concatenate([both.before, same]), np.concatenate([both.after, same])
    on_old, on_new = scores["before"].of(test)[old], scores["after"].of(test)[new]
    least = np.minimum(np.abs(on_old), np.abs(on_new)) * (on_old * on_new > 0)
    strong = [
        (texts[old[i]], texts[new[i]], -float(on_old[i]), -float(on_new[i]))
        for i in np.argsort(-least, kind="stable")[:SENTENCES_SHOWN]
        if least[i] > 0
    ]
    first, second = (set(np.argsort(-np.abs(on), kind="stable")[:applied].tolist()) for on in (on_old, on_new))
    return strong, len(first & second)


def _applied(
    runs: Mapping[Side, cl.Run], edits: cl.Edits, tests: Sequence[Weat], count: int
) -> dict[tuple[str, str], Applied]:
    retrained, applied = Retrainer(runs["before"], tests), {}
    control = np.random.default_rng(0).permutation(len(edits))[:count]
    with track("retraining with edits") as progress:
        for number, test in enumerate(tests, 1):
            before = edits.scores.values[test.name]
            nearer = edits.strongest(count, test, sign=-int(np.sign(before)))
            for name, chosen in {"top": edits.strongest(count, test), "nearer": nearer, "random": control}.items():
                weights = edits.apply(chosen)
                change = retrained(weights)[test.name] - before
                applied[test.name, name] = Applied(len(chosen), edits.predicted(weights, test), change)
            change = float(test(runs["after"].view)) - before
            applied[test.name, "all"] = Applied(len(edits), float(edits.of(test).sum()), change)
            progress(number, len(tests))
    return applied


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; 0 where one of them is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def notes(study: WncStudy) -> list[str]:
    """What the page says before its first table."""
    return [
        "{pairs:,} sentences in two versions: D_B has the earlier (biased) ones, D_N the later (neutralised) ones. "
        "Both have {same:,} sentences of one version and {background:,} of a background, {words:,} words, and were "
        "trained alike: word2vec with ten negatives summed and noise to the power .75, paper with one and 1.".format(
            **study.sizes
        ),
        "The change of a test by an edit is what replacing one version by the other is predicted to do to it. The "
        "effect if removed is what leaving the sentence out is predicted to do. Words on orange raise the test by "
        "that, words on blue lower it; a changed word without colour is not in the vocabulary. Ranks count the "
        "background, which is not shown; alike: near-duplicates that stand for one. A test near zero says only that "
        "its own words are not associated in the way it measures.",
    ]


def page(study: WncStudy) -> list[Table | Figure]:
    """Tables and figures."""
    conventions = study.conventions.items()

    def row(name: str, cell: Any) -> list[str]:
        return [name, *map(cell, study.tests)]

    def done(convention: Convention, chosen: str, test: str) -> str:
        applied = convention.applied[test, chosen]
        return f"{effect(applied.predicted)}, {effect(applied.retrained)}"

    def test_cell(r: PermutationResult) -> str:
        return f"{value(r.effect)} (p {probability(r.p_value)}, {probability(r.p_value_two_sided)})"

    measured = [
        row(f"{NAMES[side]}, {label} convention", lambda t, c=c, side=side: test_cell(c.measured[side, t]))
        for label, c in conventions
        for side in NAMES
    ]
    if study.tests == list(command.PAPER_TESTS):
        measured += [[f"{NAMES[side]}, the paper (Table 3)", *map(value, printed)] for side, printed in PAPER.items()]
    made = [
        row(f"{SETS[chosen]}, {label} convention", lambda t, c=c, chosen=chosen: done(c, chosen, t))
        for label, c in conventions
        for chosen in SETS
    ]
    alike = []
    for label, c in conventions:
        alike += [
            row(f"of the {study.applied} strongest sentences the same, {label}", lambda t, c=c: str(c.overlap[t])),
            row(f"edits' effects on either side, correlation, {label}", lambda t, c=c: value(c.agreement[t])),
        ]
    title = f"Change of each test when its edits are made on D_B ({study.applied}, or all): predicted, retrained"
    parts: list[Table | Figure] = [
        Table("Effect sizes, with one- and two-sided p of the permutation test", ["side", *study.tests], measured),
        _effects_figure(study),
        Table(title, ["edits", *study.tests], made),
        _edits_figure(study),
        Table("How alike the two sides are", ["", *study.tests], alike),
    ]
    for test in study.tests:
        for label, convention in conventions:
            parts += _details(test, label, convention)
    return parts


def _details(test: str, label: str, convention: Convention) -> list[Table]:
    edits: list[list[Cell]] = [
        [
            effect(e.effect), Marked(e.before, e.removed, "del"), Marked(e.after, e.added, "ins"),
            "; ".join(f"{a} - {b} {effect(part)}" for a, b, part in e.pairs[:PAIRS_SHOWN]),
        ]
        for e in convention.edits[test]
    ]  # fmt: skip
    sentences: list[list[Cell]] = [
        [NAMES[side], kind, effect(s.effect), f"{s.rank:,}", str(s.alike or ""), Marked(s.text, s.spans)]
        for side in NAMES
        for kind in "AM"
        for s in convention.sentences[side, test, kind]
    ]
    shared = [
        [effect(on_old), effect(on_new), old if old == new else f"{old} -> {new}"]
        for old, new, on_old, on_new in convention.shared[test]
    ]
    start, heads = f"{test}, {label}: ", ["side", "set", "effect if removed", "rank", "alike", "sentence"]
    return [
        Table(
            f"{start}the strongest edits",
            ["change of the test", "from", "to", "word pairs that change it most"],
            edits,
            printed=False,
        ),
        Table(f"{start}sentences that amplify its size (A) and that mitigate it (M)", heads, sentences, printed=False),
        Table(f"{start}sentences strong in both", ["effect if removed, D_B", "D_N", "sentence"], shared, printed=False),
    ]


def _effects_figure(study: WncStudy) -> Figure:
    rows: list[tuple[str, Sequence[float]]] = []
    for number, test in enumerate(study.tests):
        for label, convention in study.conventions.items():
            name = f"{test}, {label} convention" if label == "word2vec" else f"{label} convention"
            rows.append((name, [convention.measured[side, test].effect for side in NAMES]))
        if study.tests == list(command.PAPER_TESTS):
            rows.append(("printed in the paper", [PAPER[side][number] for side in NAMES]))

    def fill(axes: Sequence[Any]) -> None:
        (panel,) = axes
        for at, (_, values) in enumerate(rows):
            panel.plot(values, [at, at], color="0.7", linewidth=1.5, zorder=1)
            for side, x, colour in zip(NAMES, values, ("C0", "C1"), strict=True):
                panel.plot(x, at, "o", color=colour, label=NAMES[side] if at == 0 else None)
        panel.axvline(0, color="0.5", linewidth=1, linestyle="--")
        panel.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=9, parse_math=False)
        panel.invert_yaxis()
        panel.set_xlabel("effect size")
        panel.legend(frameon=False)

    return figure("effects", "Effect sizes", "Each test on both sides and under both conventions.", 1, fill)


def _edits_figure(study: WncStudy) -> Figure:
    def fill(axes: Sequence[Any]) -> None:
        (panel,) = axes
        ends = [0.0]
        for label, shape in zip(study.conventions, "os", strict=True):
            for number, test in enumerate(study.tests):
                done = [study.conventions[label].applied[test, chosen] for chosen in SETS]
                x, y = [d.predicted for d in done], [d.retrained for d in done]
                ends += x + y
                panel.plot(x, y, shape, color=f"C{number}", markersize=6, alpha=0.8, label=f"{test}, {label}")
        tables.diagonal(panel, ends)
        panel.set_xlabel("predicted change")
        panel.set_ylabel("change after retraining")
        panel.legend(fontsize=8, frameon=False)

    notes = "Changes of each test by sets of edits, as predicted and as retrained."
    return figure("edits", "Edits made", notes, 1, fill)


def wnc(
    corpus: Annotated[Path, typer.Option(help="WNC: a folder, or a file of pairs of versions.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    background: Annotated[
        str | None, typer.Option(help="A corpus, added to both sides where WNC's words are too few.")
    ] = None,
    objective: Annotated[list[str] | None, typer.Option(help="Association tests; default: the paper's four.")] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Leave out words that occur less often.")] = 5,
    max_words: Annotated[
        int, typer.Option(min=0, help="Most frequent words kept, beside the tests' words; 0: all.")
    ] = SETTINGS["max_words"],
    dimension: Annotated[int, typer.Option(min=1, help="Length of a word vector.")] = SETTINGS["dimension"],
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 50,
) -> None:
    """Biased and neutralised sentences trained alike: tests, sentences, edits (Tables 2, 7); a stopped one goes on."""
    tests, versions = command.tests(objective or ()), read_versions(corpus)
    with track("reading") as progress:
        both = combine_versions(versions, cl.read(background, progress=progress) if background else None)
    numbers = [versions.rows, len(versions.before), len(versions.same), len(versions.malformed)]
    Table(
        "Files", ["file", "layout", "rows", "pairs", "of one version", "malformed"],
        [[versions.source, versions.layout, *(f"{number:,}" for number in numbers)]],
    ).print()  # fmt: skip
    enough_text(both.corpus, tests)
    settings = {**SETTINGS, **CONVENTIONS["word2vec"]}
    settings |= {"min_count": min_count, "max_words": max_words, "dimension": dimension}
    trainings, scorings = len(CONVENTIONS) * (len(SIDES) + 2 * len(tests) + 1), len(CONVENTIONS) * len(SIDES)
    command.preflight(both.corpus, tests, settings, steps=steps, trainings=trainings, scorings=scorings)
    model = cl.SkipGram(both.corpus, keep_words=[word for test in tests for word in test.words], **settings)
    with cl.train(model, steps=steps, weights=both.weights("before"), out=out) as run:
        command.remember(run, tests)
        results = study(run, both, tests)
        run.store.log_metrics(results.metrics() | {"peak_memory_bytes": peak_memory()})
        title, parts = "WNC study: biased and neutralised sentences", page(results)
        path = tables.write(out, "wnc", title, notes(results), parts, command.command_line())
    tables.print_study(parts, path)


if __name__ == "__main__":
    command.run(wnc)
