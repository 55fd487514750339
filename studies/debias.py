"""``python -m studies.debias``: the paper's Tables 3, 5, 6, 8 and Figs. 3, 4 on one corpus (paper Sec. 4.4, App. D).

Every correction of every test, one beside the other: what it does to its own test, to the others, to starts and words
it was not fitted to, and what it costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import crossloss as cl
from crossloss.models.skipgram.hard_debias import hard_debias
from crossloss.objectives import Weat
from crossloss.plans.evaluation import metrics_of
from crossloss.plans.flip import in_common, sentences
from crossloss.plans.sweep import PASSES
from crossloss.utils.display import duration, percent, spread, value
from crossloss.utils.progress import part, track
from studies import command, tables
from studies.tables import Figure, Table, figure

ROUNDS, VALUES, BASELINE = 4, 3, 16
"""About, for the estimate: rounds that a plan takes; trainings a start in each, and of the untouched run."""
DRAWS = 5
"""Times that the words of a test are halved."""
OVER = 1.7
"""Target of over-bias, in the direction that each test already has; an effect size lies between -2 and 2."""
MOST_STEPS = 50_000
"""Single-sample steps of an update: the paper's largest sets with its most passes are left out."""


@dataclass(frozen=True)
class Correction:
    """A correction of all tests at once: arguments of ``cl.plan``, and what it is judged by.

    ``several``: fitted to several starts, not to the run's own alone. ``halves``: fitted to halves of the words too.
    """

    settings: dict[str, Any]
    several: bool = False
    halves: bool = False

    @property
    def fitted(self) -> bool:
        """Whether it takes rounds of training and scoring."""
        return self.settings["method"] != "hard" and "share" not in self.settings


TOGETHER = {
    "swap": Correction({"method": "swap", "share": 0.5}, halves=True),
    "swap-copies": Correction({"method": "swap", "share": 1.0, "copies": True}, halves=True),
    "swap-fewest": Correction({"method": "swap"}, several=True, halves=True),
    "reweight": Correction({"method": "reweight"}, several=True, halves=True),
    "reweight-one-start": Correction({"method": "reweight"}),
    "wide": Correction({"method": "reweight", "tolerance": 0.0002}),
    "remove": Correction({"method": "remove"}, several=True),
    "remove-one-start": Correction({"method": "remove"}),
    "hard": Correction({"method": "hard"}),
    "hard+reweight": Correction({"method": "hard+reweight"}, several=True),
    "hard+swap-fewest": Correction({"method": "hard+swap"}, several=True),
}
"""Corrections of all tests at once, by the name of their rows; ``wide`` is for the direct bias of many words."""
WIDE, WIDE_WORDS = 0.5, 300
"""Part of the direct bias that the correction ``wide`` leaves, and how many words it is of."""
UPDATES = ("undo", "reinforce", "both")
TRANSFERRED = ("swap", "swap-copies", "swap-fewest", "reweight", "remove")
"""Corrections that are tried on gensim's Word2Vec."""
LEAST = 50
"""Occurrences from which a test word counts as frequent."""
PAPER: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "Table 3, biased side (D_B)": {
        "original": (0.48, 0.52, -0.43, 0.53),
        "hard": (0.008, 0.12, -0.04, 0.53),
        "the paper's update": (0.01, 0.10, 0.01, 0.02),
        "the paper's update after hard": (0.000, 0.009, -0.05, 0.07),
    },
    "Table 3, neutral side (D_N)": {
        "original": (-0.05, 0.66, -0.82, 0.55),
        "hard": (-0.29, 0.16, 0.09, 0.71),
        "the paper's update": (-0.01, -0.02, -0.11, -0.07),
        "the paper's update after hard": (-0.07, -0.01, -0.01, -0.03),
    },
    "Tables 5 and 6, over-biased": {"D_B": (0.94, 1.61, -1.63, -1.72), "D_N": (-0.69, 1.85, -1.58, -1.61)},
}
"""The paper's numbers: career, math, art, race."""
FIGURES = {
    "wordsim353": "WordSim-353",
    "simlex999": "SimLex-999",
    "held_out_loss": "held-out loss",
    "neighbours_kept": "neighbours kept",
}
"""Figures of an evaluation as readers know them."""
NOTES = (
    "What each correction does to each association test, to the starts and words it was not fitted to, and what it "
    "costs. Zero is no association. A test near zero says only that its own words are no longer associated in the way "
    "it measures; what else the vectors hold, it does not see.",
)


@dataclass
class DebiasStudy:
    """Effects of the run as it is; evaluations of corrections of all tests at once, then of each test's updates.

    Parts that were not asked for are empty.
    ``over`` is reweighted the wrong way round. ``walks``, by test: (passes, effects of all tests) of the update that is
    best for it, pass 0 the run as it is. ``flips``: how few sentences decide each test.
    """

    original: dict[str, float]
    evaluations: list[cl.Evaluation] = field(default_factory=list)
    over: cl.Evaluation | None = None
    walks: dict[str, list[tuple[int, dict[str, float]]]] = field(default_factory=dict)
    flips: list[str] = field(default_factory=list)

    @property
    def tests(self) -> list[str]:
        """Names of the tests."""
        return list(self.original)

    def best_update(self, test: str) -> cl.Evaluation:
        """Of undo, reinforce and both for a test, the one nearest to zero on the words it was not fitted to."""
        return min(
            (e for e in self.evaluations if e.chosen and test in e.targets),
            key=lambda e: abs(e.chosen["figures"][f"{test}.judged"]),
        )


def passes(tests: int, starts: int, seeds: int, rows: Sequence[str], others: bool = True) -> tuple[int, int]:
    """Trainings and scorings that the study takes, about: the rounds of its plans are not known before.

    ``rows`` of ``TOGETHER``; ``others``: updates, over-bias and flips too. The single-sample steps of the updates and
    the models of gensim come on top: a fifth, at 4,000 words.
    """
    chosen = [TOGETHER[name] for name in rows]
    fits = [starts if c.several else 1 for c in chosen if c.fitted for _ in range(1 + DRAWS * c.halves)]
    fits += [1] * others
    trainings = sum(j * ROUNDS * (VALUES + 1) if j > 1 else 2 * ROUNDS for j in fits)
    trainings += 2 * BASELINE * starts + seeds * (4 * len(chosen) + DRAWS * sum(c.halves for c in chosen))
    trainings += others * (seeds * len(UPDATES) * tests + 2 * 2 * tests * 6)
    return trainings, ROUNDS * sum(fits) + 1


def corrections(tests: int, rows: Sequence[str], others: bool = True) -> int:
    """Corrections that the study makes: of all tests at once, each test's updates, over-bias."""
    return len(rows) + others * (len(UPDATES) * tests + 1)


def wide(run: cl.Run, tests: Sequence[Weat], groups: Sequence[str]) -> cl.objectives.DirectBias:
    """The direct bias of ``WIDE_WORDS`` words that no test and no pair has, along the defining pairs."""
    pairs = [pair for group in groups for pair in hard_debias(group).definitional]
    taken = {word for test in tests for word in test.words} | {word for pair in pairs for word in pair}
    able = [word for word in run.model.vocabulary.words if word not in taken and len(word) > 2]
    drawn = np.random.default_rng(0).permutation(len(able))[:WIDE_WORDS]
    return cl.objectives.direct_bias([able[i] for i in np.sort(drawn)], pairs, c=2, name="direct-bias")


def study(
    run: cl.Run,
    tests: Sequence[Weat],
    *,
    rows: Sequence[str] = tuple(TOGETHER),
    others: bool = True,
    starts: int = 4,
    seeds: int = 5,
    groups: Sequence[str] = ("gender",),
    most_steps: int = MOST_STEPS,
    least: int = LEAST,
    models: int = 5,
) -> DebiasStudy:
    """Correct every test in every way; all pieces are in the run's store, so that a stopped study goes on.

    Parameters
    ----------
    rows : sequence of str
        Of ``TOGETHER``; swaps need a run of a corpus with swapped versions.
    others : bool
        Each test's updates, over-bias, and how few sentences decide each test, too.
    starts : int
        Those that several starts are; a variant has one.
    seeds : int
        Starts that judge all, which nothing is fitted to.
    groups : sequence of str
        Word sets of hard debias.
    least : int
        Test words that occur less are left out when flips are sought once more, unless a set would keep fewer than two.
    models : int
        Of gensim's Word2Vec, before and after each of ``TRANSFERRED``, where there is gensim.

    Raises
    ------
    UserError
        A test that cannot be corrected, before the work.
    """
    if starts < 2:
        raise cl.UserError("The study compares fitting to one start with several: give at least two starts.")
    unknown = [name for name in rows if name not in TOGETHER]
    if unknown:
        raise cl.UserError(f"There is no correction {unknown[0]!r}; there are: {', '.join(TOGETHER)}.")
    for test in tests:
        test.halves(run.model.word_index)  # refuses
    scores, names = cl.score(run, tests), [test.name for test in tests]
    cl.plan(scores, dict.fromkeys(names, 0.0), method="hard", groups=groups)  # refuses, before the long work
    result = DebiasStudy(scores.values, flips=_flips(run, scores, tests, least) if others else [])
    plans: dict[str, cl.Plan] = {}
    gensim = models if find_spec("gensim") is not None else 0

    def correct(label: str, scores: cl.Scores, targets: dict[str, float], halves: int = 0, **how: Any) -> cl.Evaluation:
        total = corrections(len(tests), rows, others)
        with part(f"{len(result.evaluations) + 1} of {total}, {label or how['method']}"):
            plan = cl.plan(scores, targets, groups=groups, **how)
            measured = [*tests, *(o for o in scores.objectives if o.name not in names)]
            models = gensim if label in TRANSFERRED else 0
            evaluation = cl.evaluate(plan, run, measured, seeds=seeds, halves=halves, gensim=models)
        if label:
            evaluation = replace(evaluation, method=label)
        plans[evaluation.name] = plan
        return evaluation

    def add(evaluation: cl.Evaluation) -> None:
        result.evaluations.append(evaluation)
        run.store.save(f"plan-{evaluation.name}.parquet", plans[evaluation.name].to_table())
        evaluation.save(run)
        run.store.log_metrics(metrics_of([e for e in result.evaluations if e.method == evaluation.method]))

    for label in rows:
        correction = TOGETHER[label]
        of, targets = scores, dict.fromkeys(names, 0.0)
        if label == "wide":
            broad = wide(run, tests, groups)
            of = cl.score(run, [broad])
            targets = {broad.name: WIDE * of.values[broad.name]}
        draws = DRAWS if correction.halves else 0
        add(correct(label, of, targets, draws, starts=starts if correction.several else 1, **correction.settings))
    if not others:
        return result
    for method in UPDATES:
        for name in names:
            add(correct("", scores, {name: 0.0}, method=method, most_steps=most_steps))
    for name in names:
        result.walks[name] = _walk(run, tests, plans[result.best_update(name).name])
    over = {name: OVER * (float(np.sign(now)) or 1.0) for name, now in result.original.items()}
    result.over = correct("over-biased", scores, over, method="reweight")
    run.store.log_metrics({f"debias.over-bias.{name}.effect": now for name, (_, now) in result.over.effects.items()})
    return result


def _flips(run: cl.Run, scores: cl.Scores, tests: Sequence[Weat], least: int) -> list[str]:
    """The fewest sentences that decide each test, and its significance; once more with its frequent words only."""
    counts = run.model.vocabulary.occurrences
    sets = [words for test in tests for words in (test.X, test.Y, test.A, test.B)]
    able = all(sum(counts.get(word, 0) >= least for word in words) > 1 for words in sets)
    renamed = f"(words of {least} occurrences or more)"
    frequent = [replace(t.frequent(counts, least), name=f"{t.name} {renamed}") for t in tests] if able else []
    flips = []
    for of, which, more in (
        (scores, tests, ""),
        (cl.score(run, frequent) if frequent else None, frequent, ".frequent"),
    ):
        for test in which:
            start = f"robustness.{test.name.removesuffix(f' {renamed}')}{more}"
            for verdict, key in (("zero", start), ("insignificant", f"{start}.significance")):
                flip = cl.smallest_flip(of, test, verdict)
                flips.append(" ".join(sentences(flip, in_common(run, flip.removed))))
                if flip.found:
                    figures = {"smallest_set": len(flip.removed), "share": flip.share, "retrained": flip.after}
                    run.store.log_metrics({f"{key}.{name}": float(figure) for name, figure in figures.items()})
    return flips


def _walk(run: cl.Run, tests: Sequence[Weat], plan: cl.Plan) -> list[tuple[int, dict[str, float]]]:
    """Every test after so many passes of a plan's update; pass 0 is the run as it is."""
    tried = sorted({cell.passes for cell in plan.sweep if not cell.failed and cell.size == _size(plan)} & set(PASSES))

    def walk() -> list[dict[str, float]]:
        with track("walking the update") as progress:
            reached = []
            for number, count in enumerate(tried, 1):
                theta = replace(plan.update, passes=count).apply(run, run.theta)
                reached.append(run.at(theta).values(tests))
                progress(number, len(tried))
        return reached

    known = [run.fingerprint(test) for test in tests]
    reached = run.store.get_or_make("walk", known, plan.method, plan.targets, tried, make=walk)
    return [(0, run.values(tests)), *zip(tried, reached, strict=True)]


def _size(plan: cl.Plan) -> int:
    """Samples in a set of the update, as they were asked for."""
    size = max(len(plan.update.undone), len(plan.update.reinforced))
    return min(cell.size for cell in plan.sweep if cell.size >= size)


def page(study: DebiasStudy) -> list[Table | Figure]:
    """Tables and figures."""
    whole, updates = ([e for e in study.evaluations if bool(e.chosen) == own] for own in (False, True))

    def row(name: str, cell: Any) -> list[str]:
        return [name, *map(cell, study.tests)]

    def after(e: cl.Evaluation) -> list[str]:
        return row(e.method, lambda test: value(e.effects[test][1]))

    def over_starts(e: cl.Evaluation) -> list[str]:
        return row(e.method, lambda test: f"{spread(e.row(test).before)} to {spread(e.row(test).after)}")

    def other_half(e: cl.Evaluation) -> list[str]:
        return row(
            e.method, lambda t: " to ".join(spread(x) for x in (e.held_out_words[t].before, e.held_out_words[t].after))
        )

    def own(method: str, cell: Any) -> list[str]:
        by_test = {next(iter(e.targets)): e for e in updates if e.method == method}
        return row(method, lambda test: cell(by_test[test], test))

    def chosen(e: cl.Evaluation, test: str) -> str:
        size = e.chosen["size"]
        a, m = (size if e.method in (method, "both") else 0 for method in ("undo", "reinforce"))
        return f"{a}/{m}, {e.chosen['passes']} passes"

    original = row("original", lambda test: value(study.original[test]))
    one = [own(method, lambda e, test: value(e.effects[test][1])) for method in UPDATES if updates]
    one = [[f"{name}, one test at a time", *cells] for name, *cells in one]
    measured = [*study.evaluations, *([study.over] if study.over else [])]
    costs = [r.figure for r in measured[0].rows if r.figure not in measured[0].effects]
    purity = [
        [e.method, group, percent(before), percent(now)] for e in whole for group, (before, now) in e.purity.items()
    ]
    heads = ["correction", *study.tests]
    parts: list[Table | Figure] = [
        Table("Effects from the run's own start (the paper's Table 3)", heads, [original, *map(after, whole), *one]),
        Table("From starts that nothing was fitted to", heads, [over_starts(e) for e in whole], "Before to after."),
        Table(
            f"Fitted to half of the words of each test, judged by the other half ({DRAWS} draws): before and after",
            heads, [other_half(e) for e in whole if set(study.tests) <= set(e.held_out_words)],
            "Mean over starts that nothing was fitted to, ± sd between draws. A swap of a share is fitted to nothing.",
        ),
        Table(
            "What it costs, from starts that nothing was fitted to",
            ["correction", *(FIGURES.get(name, name) for name in costs), "weight changed", "time"],
            [_cost(e.name, e, costs) for e in measured],
            "n: within the noise of the starts.",
        ),
    ]  # fmt: skip
    parts += [
        Table(
            f"gensim's Word2Vec on the corpus before and after {e.method}",
            ["test", "before", "after", "carries over"],
            [[name, spread(t.before), spread(t.after), t.verdict] for name, t in e.transfer.items()],
        )
        for e in whole if e.transfer
    ]  # fmt: skip
    parts.append(
        Table(
            "The words most biased before, told apart by two clusters",
            ["correction", "group", "right before", "after"], purity,
        )
    )  # fmt: skip
    if study.over is None:
        return [*parts, _quality_figure(study, costs)]
    turned = f"Over-biased (the paper's Tables 5, 6): reweighted, target size {value(OVER)}"
    sizes = "Chosen of the sweep (the paper's Table 8): samples in A and M, passes"
    parts += [
        Table(sizes, heads, [own(method, chosen) for method in UPDATES]),
        Table(turned, ["", *study.tests], [original, ["over-biased", *after(study.over)[1:]]]),
        Table("How few sentences decide a test", ["by retraining"], [[flip] for flip in study.flips]),
    ]
    if study.tests == list(command.PAPER_TESTS):
        parts += [
            Table(f"The paper: {title}", ["", *study.tests], [[name, *map(value, row)] for name, row in rows.items()])
            for title, rows in PAPER.items()
        ]
    return [*parts, _passes_figure(study), _quality_figure(study, costs)]


def _cost(name: str, e: cl.Evaluation, figures: Sequence[str]) -> list[str]:
    shown = []
    for row in map(e.row, figures):
        shown.append(f"{np.mean(row.before):.3f} to {np.mean(row.after):.3f}{' n' if row.within_noise else ''}")
    return [name, *shown, percent(e.changed_share), duration(e.seconds)]


def _passes_figure(study: DebiasStudy) -> Figure:
    def fill(panel: Any, measured: str) -> None:
        for number, (corrected, walk) in enumerate(study.walks.items()):
            best = study.best_update(corrected)
            panel.plot(
                [count for count, _ in walk], [effects[measured] for _, effects in walk], "o-", color=f"C{number}",
                linewidth=2.4 if corrected == measured else 1.2, markersize=4,
                label=f"{best.method} {best.chosen['size']} for {corrected}",
            )  # fmt: skip
        panel.axhline(0, color="0.5", linewidth=1, linestyle="--")
        panel.set_xscale("symlog", linthresh=5)
        panel.set_title(measured, loc="left", fontsize=11, parse_math=False)
        panel.set_xlabel("passes")
        panel.set_ylabel("effect size")
        panel.legend(fontsize=7, frameon=False)

    title = "What each update does to the other tests (the paper's Figs. 3 and 4)"
    notes = (
        "A panel for each test: its effect against the passes of the update chosen for itself (thick) and for each "
        "other test."
    )
    return figure("passes", title, notes, study.tests, fill)


def _quality_figure(study: DebiasStudy, costs: Sequence[str]) -> Figure:
    quality = "wordsim353" if "wordsim353" in costs else "loss"
    first = study.evaluations[0]
    points = [("original", [first.row(test).before for test in study.tests], first.row(quality).before, 0.0)]
    for e in study.evaluations:
        shown = [test for test in study.tests if test in e.targets] or study.tests
        points.append((e.name, [e.row(test).after for test in shown], e.row(quality).after, e.seconds))

    def fill(panel: Any, points: Sequence[Any]) -> None:
        for name, effects, cost, seconds in points:
            at = float(np.mean(np.abs(effects))), float(np.mean(cost))
            panel.plot(*at, "o", color="C0", markersize=5)
            note = f"{name}, {duration(seconds)}"
            panel.annotate(note, at, (4, 3), textcoords="offset points", fontsize=7, parse_math=False)
        panel.set_xlabel("mean size of the effects it corrects, starts not fitted to")
        panel.set_ylabel(FIGURES.get(quality, quality))

    notes = (
        "Mean size of the effects a correction is for, against quality, from starts it was not fitted to; beside each "
        "the time it took."
    )
    return figure("quality", "Effect against quality", notes, [points], fill)


def debias(
    corpus: Annotated[str, typer.Option(help="As in `crossloss run`.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    objective: Annotated[list[str] | None, typer.Option(help="Tests to correct; default: the paper's four.")] = None,
    correction: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only these corrections of all tests at once: {', '.join(TOGETHER)}; default: all, and more."
        ),
    ] = None,
    swap: Annotated[list[str] | None, typer.Option(help="Pairs to exchange; default: gender, names.")] = None,
    starts: Annotated[int, typer.Option(min=2, help="Starts to fit to, beside the variant with one.")] = 4,
    seeds: Annotated[int, typer.Option(min=2, help="Further starts that judge.")] = 5,
    min_count: Annotated[int, typer.Option(min=1, help="Leave out words that occur less often.")] = 100,
    dimension: Annotated[int, typer.Option(min=1, help="Length of a word vector.")] = 50,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 50,
    models: Annotated[int, typer.Option(min=1, help="Models of gensim's Word2Vec, before and after.")] = 5,
    most_steps: Annotated[int, typer.Option(min=25, help="Longest update, in steps on one sentence.")] = MOST_STEPS,
) -> None:
    """Every correction of every test beside the others (Tables 3, 5, 6, 8, Figs. 3, 4); a stopped study goes on."""
    tests, rows, others = command.tests(objective or ()), tuple(correction or TOGETHER), not correction
    with track("reading") as progress:
        text = cl.with_swaps(cl.read(corpus, progress=progress), swap or ("gender", "names"))
    model = cl.SkipGram(text, keep_words=command.words(tests), min_count=min_count, dimension=dimension)
    trainings, scorings = passes(len(tests), starts, seeds, rows, others)
    command.preflight(model, tests, steps=steps, trainings=trainings, scorings=scorings)
    for test in tests:
        test.halves(dict.fromkeys(text.types, 0))  # refuses; the words of the tests are all kept
    with cl.train(model, steps=steps, out=out) as run:
        command.remember(run, tests)
        result = study(
            run, tests, rows=rows, others=others, starts=starts, seeds=seeds, most_steps=most_steps, models=models
        )
        title = "Debias study: what each correction does, and what it costs"
        tables.write(out, "debias", title, NOTES, page(result), command.command_line())


if __name__ == "__main__":
    command.run(debias)
