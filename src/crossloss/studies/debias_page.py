"""The debias study on paper: tables and figures as HTML, CSV and SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossloss.plans.outcome import Outcome
from crossloss.report import words
from crossloss.studies.debias import TESTS, DebiasStudy
from crossloss.studies.pages import Table, svg, write_study

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
NAMES = {
    "wordsim353": "WordSim-353",
    "simlex999": "SimLex-999",
    "held_out_loss": "held-out loss",
    "neighbours_kept": "neighbours kept",
}
"""Figures of a cost as readers know them."""


def tables(study: DebiasStudy) -> list[Table]:
    """Every table of the page."""
    whole = [o for o in study.outcomes if not o.chosen]
    rows = [_row("original", study, study.original), *(_row(o.how, study, _after(o)) for o in whole)]
    ways = list(dict.fromkeys(o.how for o in study.outcomes if o.chosen))
    for way in ways:
        own = {next(iter(o.targets)): o for o in study.outcomes if o.how == way}
        rows.append(_row(f"{way}, one test at a time", study, {name: o.effects[name][1] for name, o in own.items()}))
    updates = [o for o in study.outcomes if o.chosen]
    found: list[Table] = [
        ("Effects from the run's own start (the paper's Table 3)", ["correction", *study.tests], rows),
        (
            "From starts that nothing was fitted to: mean and standard deviation",
            ["correction", *study.tests],
            [
                ["original", *(words.spread(whole[0].cost.row(t).before) for t in study.tests)],
                *([o.how, *(words.spread(o.cost.row(t).after) for t in study.tests)] for o in whole),
            ],
        ),
        (
            "Fitted to half of the words of each test, judged by the other half: effect before and after",
            ["correction", *study.tests],
            [
                [
                    o.how,
                    *(
                        f"{words.value(h[0])} to {words.value(h[1])}"
                        for h in (o.held_out_words[t] for t in study.tests)
                    ),
                ]
                for o in whole
                if o.held_out_words
            ],
        ),
        (
            "Chosen of the sweep (the paper's Table 8): samples in A and M, passes",
            ["correction", *study.tests],
            [[way, *(_chosen(study, way, test) for test in study.tests)] for way in ways],
        ),
        (
            f"Over-biased (the paper's Tables 5, 6): {study.over.how}, target size {words.value(_target(study.over))}",
            ["", *study.tests],
            [
                _row("original", study, study.original),
                _row("over-biased", study, _after(study.over)),
            ],
        ),
        (
            "What it costs, from starts that nothing was fitted to; n: within the noise of the starts",
            ["correction", *(NAMES.get(f, f) for f in _costs(study)), "weight moved", "time"],
            [_cost(_name(o), o, study) for o in [*whole, *updates, study.over]],
        ),
    ]
    found += [
        (
            f"gensim's Word2Vec on the corpus before and after {how}: mean and standard deviation",
            ["test", "before", "after", "carries over"],
            [[n, words.spread(t.before), words.spread(t.after), t.told] for n, t in moved.items()],
        )
        for how, moved in study.transferred.items()
    ]
    found.append(("How few sentences decide a test", ["found by retraining"], [[told] for told in study.robustness]))
    for group, (before, _) in next((o.purity for o in whole if o.purity), {}).items():
        after = [[o.how, words.percent(o.purity[group][1])] for o in whole if group in o.purity]
        title = f"Words most biased by {group} before, told apart by two clusters"
        found.append((title, ["correction", "right"], [["original", words.percent(before)], *after]))
    if study.tests == list(TESTS):
        found += [
            (f"The paper: {title}", ["", *study.tests], [[n, *map(words.value, v)] for n, v in numbers.items()])
            for title, numbers in PAPER.items()
        ]
    return [table for table in found if table[2]]


def _after(outcome: Outcome) -> dict[str, float]:
    return {name: after for name, (_, after) in outcome.effects.items()}


def _target(outcome: Outcome) -> float:
    return abs(next(iter(outcome.targets.values())))


def _name(outcome: Outcome) -> str:
    turned = any(outcome.targets.values())
    return f"over-biased ({outcome.how})" if turned else outcome.name


def _row(name: str, study: DebiasStudy, effects: dict[str, float]) -> list[str]:
    return [name, *(words.value(effects[test]) for test in study.tests)]


def _chosen(study: DebiasStudy, way: str, test: str) -> str:
    cell = next(o.chosen for o in study.outcomes if o.how == way and list(o.targets) == [test])
    a, m = (cell["size"] if way in (arm, "both") else 0 for arm in ("undo", "reinforce"))
    return f"{a}/{m}, {cell['passes']} passes"


def _costs(study: DebiasStudy) -> list[str]:
    return [row.figure for row in study.over.cost.rows if row.figure not in study.tests]


def _cost(name: str, outcome: Outcome, study: DebiasStudy) -> list[str]:
    shown = []
    for figure in _costs(study):
        row = outcome.cost.row(figure)
        shown.append(f"{np.mean(row.before):.3f} to {np.mean(row.after):.3f}{' n' if row.within_noise else ''}")
    return [name, *shown, words.percent(outcome.moved), words.duration(outcome.seconds)]


def passes_figure(study: DebiasStudy) -> str:
    """SVG of Figs. 3, 4: a panel for each test, in it every test's own correction against the number of passes."""

    def draw(axes: Sequence[Any]) -> None:
        for panel, measured in zip(axes, study.tests, strict=True):
            for number, corrected in enumerate(study.tests):
                best = study.best_update(corrected)
                walk = study.walk(best.how, corrected, best.chosen["size"], measured)
                passes, values = zip(*walk, strict=True)
                width = 2.4 if corrected == measured else 1.2
                panel.plot(
                    passes, values, "o-", color=f"C{number}", linewidth=width, markersize=4,
                    label=f"{best.how} {best.chosen['size']} for {corrected}",
                )  # fmt: skip
            panel.axhline(0, color="0.5", linewidth=1, linestyle="--")
            panel.set_xscale("symlog", linthresh=5)
            panel.set_title(measured, loc="left", fontsize=11)
            panel.set_xlabel("passes")
            panel.set_ylabel("effect size")
            panel.legend(fontsize=7, frameon=False)

    return svg(draw, panels=len(study.tests))


def quality_figure(study: DebiasStudy) -> str:
    """SVG: mean size of the corrected effects against WordSim-353 (or the loss), with the time each took."""

    def draw(axes: Sequence[Any]) -> None:
        figure = "wordsim353" if "wordsim353" in _costs(study) else "loss"
        (panel,) = axes
        first = study.outcomes[0].cost
        points = [("original", study.tests, [first.row(t).before for t in study.tests], first.row(figure).before, 0.0)]
        for o in study.outcomes:
            named = list(o.targets)
            points.append((o.name, named, [o.cost.row(t).after for t in named], o.cost.row(figure).after, o.seconds))
        for name, _, effects, cost, seconds in points:
            x, y = float(np.mean(np.abs(effects))), float(np.mean(cost))
            panel.plot(x, y, "o", color="C0" if "-paper" not in name else "C1", markersize=5)
            panel.annotate(f"{name}, {words.duration(seconds)}", (x, y), (4, 3), textcoords="offset points", fontsize=7)
        panel.set_xlabel("mean size of the effects it corrects, starts not fitted to")
        panel.set_ylabel(NAMES.get(figure, figure))

    return svg(draw, panels=1)


def write(study: DebiasStudy, folder: Path, command: str = "") -> Path:
    """Write study-debias.html, .csv, and -passes.svg and -quality.svg into a folder; returns the page's path.

    Raises
    ------
    UserError
        The extra ``report`` is not installed.
    """
    drawn = {"passes": passes_figure(study), "quality": quality_figure(study)}
    found = tables(study)
    return write_study(folder, "debias", drawn, found, command, tables=found)
