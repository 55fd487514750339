"""``python -m studies.wnc``: tests on both sides of the Wiki Neutrality Corpus (paper Sec. 4.3, Tables 2, 3, 7).

What makes the tests large on the biased side and on the neutralised one, and which edits move them.

D_B and D_N are one corpus with other weights (``studies.versioned``): the same words, counts, initial
vectors and step sizes. So the two models differ by the edits alone, every version not trained on is a candidate, and
D_N is D_B with all edits applied.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import crossloss as cl
from crossloss.objectives import PermutationResult, Weat
from crossloss.text.versions import read_versions, versions_table
from crossloss.utils.display import effect, probability, value
from crossloss.utils.memory import peak_memory
from crossloss.utils.progress import track
from studies import command, sentences, tables
from studies.sentences import strongest
from studies.tables import Figure, Table, figure
from studies.versioned import VersionedCorpus, combine_versions

CONVENTIONS: Mapping[str, Mapping[str, Any]] = {
    "word2vec": {"negatives": 10.0, "exponent": 0.75},
    "paper": {"negatives": 1.0, "exponent": 1.0},
}
"""Ten negatives summed, noise to the power .75 (word2vec); and what the published code trains, whatever it draws."""
SIDES: Mapping[str, str] = {"before": "biased", "after": "neutral"}
NAMES = {"biased": "D_B", "neutral": "D_N"}
"""D_B is made of the earlier versions, D_N of the later ones."""
SETTINGS: Mapping[str, Any] = {"window": 10, "dimension": 100, "max_words": 10_000}
"""The paper's (App. H), at most 10,000 words beside the tests' own."""
APPLIED, EDITS_SHOWN, SENTENCES_SHOWN, PAIRS_SHOWN = 100, 10, 5, 3
SETS = {"top": "strongest either way", "nearer": "nearest to zero", "random": "at random", "all": "all (D_N)"}
TESTED = ("effect", "p_value", "p_value_two_sided")
Change = tuple[float, float]
"""Of a test, as predicted and as retrained."""
PAPER = {"biased": (0.48, 0.52, -0.43, 0.53), "neutral": (-0.05, 0.66, -0.82, 0.55)}
"""The paper's originals (Table 3): career, math, art, race."""


def enough_text(corpus: cl.Corpus, tests: Sequence[Weat]) -> None:
    """Refuse tests whose words the corpus lacks; UserError where fewer than two words of a set occur."""
    for test in tests:
        try:
            test.lookup(dict.fromkeys(corpus.types, 0))
        except cl.UserError as error:
            raise cl.UserError(f"{error} --background FILE adds the same text to both sides.") from error


def study(
    run: cl.Run, both: VersionedCorpus, tests: Sequence[Weat], *, applied: int = APPLIED
) -> tuple[dict[str, float], list[Table | Figure]]:
    """Train the other side and the other convention, score, and make edits, ``applied`` at once; a stopped one goes on.

    ``run`` is D_B in word2vec's convention, in a folder, trained on ``both``; the other three are folders in it.
    Figures wnc.CONVENTION.SIDE.NAME.effect (.p_value, ...) and edits.NAME.top100.predicted (...), which are changes of
    the test (of the paper's convention: wnc.paper.edits.NAME. ...); tables and figures.
    """
    names = [test.name for test in tests]
    figures: dict[str, float] = {"wnc.pairs": both.pairs, "wnc.same": both.own - 2 * both.pairs}
    figures |= {"wnc.background": len(both.corpus) - both.own, "wnc.words": len(run.model.vocabulary.words)}
    measured, made, alike, details = [], [], [], []
    points: list[tuple[str, list[Change]]] = []
    for label, convention in CONVENTIONS.items():
        with ExitStack() as opened:
            runs: dict[str, cl.Run] = {"before": run}
            for side, name in SIDES.items():
                first = label == "word2vec"
                if first and side == "before":
                    continue
                other = cl.train(
                    run.model if first else run.model.changed(**convention),
                    run.given_optimiser, steps=run.steps, seed=run.seed, weights=both.weights(side),
                    out=run.store.path / (name if first else f"{label}-{name}"), memory=f"{run.memory}B",
                )  # fmt: skip
                runs[side] = opened.enter_context(other)
            scores = {side: cl.score(each, tests) for side, each in runs.items()}
            texts, m = both.corpus.texts, both.pairs
            edits, back = (cl.score_edits(of, texts[:m], texts[m : 2 * m]) for of in scores.values())
            edits.save()
            for side, name in SIDES.items():
                tested = {t.name: cl.permutation_test(t, runs[side].view) for t in tests}
                measured.append([f"{NAMES[name]}, {label} convention", *map(_tested, tested.values())])
                figures |= {f"wnc.{label}.{name}.{t}.{f}": getattr(r, f) for t, r in tested.items() for f in TESTED}
            shared = {t.name: _shared(scores, both, t.name, applied) for t in tests}
            agreement = {t.name: _correlation(edits.of(t), back.of(t)) for t in tests}
            for name in names:
                figures[f"wnc.{label}.{name}.overlap"] = shared[name][1]
                figures[f"wnc.{label}.{name}.agreement"] = agreement[name]
                details += _details(name, label, scores, edits, both, shared[name][0])
            overlaps = [str(overlap) for _, overlap in shared.values()]
            alike.append([f"of the {applied} strongest sentences the same, {label}", *overlaps])
            alike.append([f"edits' effects on either side, correlation, {label}", *map(value, agreement.values())])
            changes = _applied(runs, edits, tests, applied)
        for chosen, title in SETS.items():
            by_test = [changes[name, chosen] for name in names]
            made.append([f"{title}, {label} convention", *(f"{effect(a)}, {effect(b)}" for a, b in by_test)])
            for name, (predicted, retrained) in zip(names, by_test, strict=True):
                start = "" if label == "word2vec" else f"wnc.{label}."
                start += f"edits.{name}.{chosen}{'' if chosen == 'all' else applied}"
                figures |= {f"{start}.predicted": predicted, f"{start}.retrained": retrained}
        points += [(f"{name}, {label}", [changes[name, chosen] for chosen in SETS]) for name in names]
    if names == list(command.PAPER_TESTS):
        measured += [[f"{NAMES[side]}, the paper (Table 3)", *map(value, printed)] for side, printed in PAPER.items()]
    title = f"Change of each test when its edits are made on D_B ({applied}, or all): predicted, retrained"
    by_sets = "Changes of each test by sets of edits, as predicted and as retrained."
    return figures, [
        Table("Effect sizes, with one- and two-sided p of the permutation test", ["side", *names], measured),
        Table(title, ["edits", *names], made),
        figure("edits", "Edits made", by_sets, [points], _draw_edits),
        Table("How alike the two sides are", ["", *names], alike),
        *details,
    ]


def _tested(r: PermutationResult) -> str:
    return f"{value(r.effect)} (p {probability(r.p_value)}, {probability(r.p_value_two_sided)})"


def _shared(
    scores: Mapping[str, cl.Scores], both: VersionedCorpus, test: str, applied: int
) -> tuple[list[list[str]], int]:
    """Sentences strong on both sides in one direction, and how many of the strongest of either side are the other's."""
    same, texts = np.arange(2 * both.pairs, both.own), both.corpus.texts
    old, new = np.concatenate([both.before, same]), np.concatenate([both.after, same])
    on_old, on_new = scores["before"].of(test)[old], scores["after"].of(test)[new]
    least = np.minimum(np.abs(on_old), np.abs(on_new)) * (on_old * on_new > 0)
    strong = []
    for i in np.argsort(-least, kind="stable")[:SENTENCES_SHOWN]:
        if least[i] > 0:
            a, b = texts[old[i]], texts[new[i]]
            strong.append([effect(-on_old[i]), effect(-on_new[i]), a if a == b else f"{a} -> {b}"])
    first, second = (set(np.argsort(-np.abs(on), kind="stable")[:applied].tolist()) for on in (on_old, on_new))
    return strong, len(first & second)


def _applied(
    runs: Mapping[str, cl.Run], edits: cl.Edits, tests: Sequence[Weat], count: int
) -> dict[tuple[str, str], Change]:
    """Changes by test and set of edits: D_B is trained again with each set; all of them are D_N, which is there."""
    run, applied = runs["before"], {}
    known, everything = [run.fingerprint(test) for test in tests], runs["after"].values(tests)
    control = np.random.default_rng(0).permutation(len(edits))[:count]

    def retrained(weights: np.ndarray) -> dict[str, float]:
        return run.store.get_or_make("retrains/edits", known, weights, make=lambda: run.retrain(weights).values(tests))

    with track("retraining with edits") as progress:
        for number, test in enumerate(tests, 1):
            before = edits.scores.values[test.name]
            nearer = edits.strongest(count, test, sign=-int(np.sign(before)))
            for name, chosen in {"top": edits.strongest(count, test), "nearer": nearer, "random": control}.items():
                weights = edits.apply(chosen)
                applied[test.name, name] = edits.predicted(weights, test), retrained(weights)[test.name] - before
            applied[test.name, "all"] = float(edits.of(test).sum()), everything[test.name] - before
            progress(number, len(tests))
    return applied


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; 0 where one of them is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def _details(
    test: str,
    label: str,
    scores: Mapping[str, cl.Scores],
    edits: cl.Edits,
    both: VersionedCorpus,
    shared: list[list[str]],
) -> list[Table]:
    """The strongest edits and sentences of a test; the background is ranked and not shown."""
    strong = []
    for e in (edits.edit(number, test) for number in edits.strongest(EDITS_SHOWN, test)):
        pairs = "; ".join(f"{a} - {b} {effect(part)}" for a, b, part in e.pairs[:PAIRS_SHOWN])
        strong.append([effect(e.effect), _marked(e.before, e.removed, "[-]"), _marked(e.after, e.added, "{+}"), pairs])
    shown = [
        [NAMES[SIDES[side]], kind, *row]
        for side, of in scores.items()
        for kind, sign in (("A", 1), ("M", -1))
        for row in strongest(of, test, sign * np.sign(of.values[test]), SENTENCES_SHOWN, both.own).values()
    ]
    amplify = "sentences that amplify its size (A) and that mitigate it (M)"
    edit = ("change of the test", "from", "to", "word pairs that change it most")
    return [
        Table(f"{test}, {label}: the strongest edits", edit, strong, printed=False),
        Table(f"{test}, {label}: {amplify}", ("side", "set", *sentences.HEADINGS), shown, printed=False),
        Table(f"{test}, {label}: sentences strong in both", ("removed, D_B", "D_N", "sentence"), shared, printed=False),
    ]


def _marked(text: str, spans: Sequence[tuple[int, int, float]], mark: str) -> str:
    """A text whose spans stand in [-...-] (they go) or {+...+} (they come)."""
    left, between, right = mark
    for start, end, _ in sorted(spans, reverse=True):
        text = f"{text[:start]}{left}{between}{text[start:end]}{between}{right}{text[end:]}"
    return text


def _draw_edits(axes: Any, points: Sequence[tuple[str, Sequence[Change]]]) -> None:
    tables.diagonal(axes, [0.0, *(x for _, changes in points for change in changes for x in change)])
    tests = len(points) // len(CONVENTIONS)
    for number, (name, changes) in enumerate(points):
        shape, colour = "os"[number // tests], f"C{number % tests}"
        axes.plot(*zip(*changes, strict=True), shape, color=colour, markersize=6, alpha=0.8, label=name)
    axes.set(xlabel="predicted change", ylabel="change after retraining")
    axes.legend(fontsize=8)


def notes(figures: Mapping[str, float]) -> list[str]:
    """What the page says before its first table."""
    pairs, same, background, words = (
        f"{figures[f'wnc.{name}']:,}" for name in ("pairs", "same", "background", "words")
    )
    return [
        f"{pairs} sentences in two versions: D_B has the earlier (biased) ones, D_N the later (neutralised) ones. "
        f"Both have {same} sentences of one version and {background} of a background, {words} words, and were trained "
        "alike: word2vec with ten negatives summed and noise to the power .75, paper with one and 1.",
        "The change of a test by an edit is what replacing one version by the other is predicted to do to it. The "
        "effect if removed is what leaving the sentence out is predicted to do. Ranks count the background, which is "
        "not shown; near-duplicates stand as one. A test near zero says only that its own words are not associated in "
        "the way it measures.",
    ]


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
    tests, versions = command.tests(objective), read_versions(corpus)
    with track("reading") as progress:
        both = combine_versions(versions, cl.read(background, progress=progress) if background else None)
    files = versions_table([versions])
    Table(files.title, files.headings, files.rows).print()
    enough_text(both.corpus, tests)
    settings = {**SETTINGS, **CONVENTIONS["word2vec"]}
    settings |= {"min_count": min_count, "max_words": max_words, "dimension": dimension}
    model = cl.SkipGram(both.corpus, keep_words=command.words(tests), **settings)
    trainings, scorings = len(CONVENTIONS) * (len(SIDES) + 2 * len(tests) + 1), len(CONVENTIONS) * len(SIDES)
    command.preflight(model, tests, steps=steps, trainings=trainings, scorings=scorings)
    with cl.train(model, steps=steps, weights=both.weights("before"), out=out) as run:
        command.remember(run, tests)
        figures, parts = study(run, both, tests)
        run.store.log_metrics(figures | {"peak_memory_bytes": peak_memory()})
        title = "WNC study: biased and neutralised sentences"
        tables.write(out, "wnc", title, notes(figures), parts, command.command_line())


if __name__ == "__main__":
    command.run(wnc)
