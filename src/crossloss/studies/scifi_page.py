"""The sci-fi study on paper: tables and figures as HTML, CSV and SVG, decisive words marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossloss.report import words
from crossloss.report.text import highlight
from crossloss.studies.pages import Table, svg, write_study
from crossloss.studies.scifi import NEAREST, Neighbour, Sentence, WordStudy, inside
from crossloss.validation.validate import Compared

PAPER = {
    "dooku": ("exploits", "confrontation", "fighters"),
    "kirk": ("janeway", "beams", "flirting"),
    "doctor": ("donna", "rory", "gallifrey"),
}
"""Neighbours that the paper names (Sec. 4.2)."""


def tables(study: Sequence[WordStudy]) -> list[Table]:
    """Every table of the page, as text."""
    found: list[Table] = [
        (
            f"Nearest {NEAREST} words; * those that occur at a higher rate in the word's own universe than outside",
            ["word", "occurs", "universe", "precision", "chance", "neighbours", "the paper's"],
            [
                [
                    s.word,
                    f"{s.count:,}",
                    s.universe,
                    words.value(s.precision),
                    words.value(s.chance),
                    listed(s.neighbours),
                    ", ".join(PAPER.get(s.word, ())),
                ]
                for s in study
            ],
        ),
        (
            "Displacement of a word: predicted against retrained changes over random subsets (95 % intervals)",
            ["word", "displacement", "left out", "estimator", "Pearson", "Spearman (LDS)", "slope"],
            [[s.word, words.value(s.value), *_fidelity(row)] for s in study for row in s.fidelity],
        ),
        (
            "Retrained without the sentences that moved a word most",
            ["word", "sentences", "displacement", "predicted", "retrained", "still near", "precision", "neighbours"],
            [
                [
                    s.word,
                    str(r.size),
                    words.value(s.value),
                    words.value(r.predicted),
                    words.value(r.retrained),
                    f"{len({n.word for n in s.neighbours} & {n.word for n in r.neighbours})} of {NEAREST}",
                    words.value(inside(r.neighbours)),
                    listed(r.neighbours),
                ]
                for s in study
                for r in s.removals
            ],
        ),
    ]
    for s in study:
        for title, sentences in sides(s):
            rows = [
                [words.effect(t.effect), t.universe, t.document, shown(t), decisive(t)]
                for t in sentences
            ]  # fmt: skip
            found.append((title, ["effect if removed", "universe", "document", "sentence", "word pairs"], rows))
    return [table for table in found if table[2]]


def sides(s: WordStudy) -> list[tuple[str, list[Sentence]]]:
    """The two halves of Table 1 for a word."""
    return [
        (f"Sentences that moved {s.word} to where it is", s.amplifiers),
        (f"Sentences that would push {s.word} back to where it began", s.mitigators),
    ]


def listed(neighbours: Sequence[Neighbour]) -> str:
    """Neighbours with a star behind those inside."""
    return ", ".join(f"{n.word}{'*' if n.inside else ''}" for n in neighbours)


def shown(sentence: Sentence) -> str:
    """A sentence and how many are nearly the same."""
    if not sentence.alike:
        return sentence.text
    more, together = words.several(sentence.alike, "near-duplicate"), words.effect(sentence.together)
    return f"{sentence.text} (and {more}; together {together})"


def decisive(sentence: Sentence) -> str:
    """Its strongest word pairs."""
    return "; ".join(f"{a} - {b} {words.effect(value)}" for a, b, value in sentence.pairs)


def _fidelity(row: Compared) -> list[str]:
    f = row.fidelity
    return [
        f"{f.subsets} x {words.percent(row.share)}",
        row.estimator,
        words.interval(f.pearson, f.pearson_low, f.pearson_high),
        words.interval(f.spearman, f.spearman_low, f.spearman_high),
        words.interval(f.slope, f.slope_low, f.slope_high),
    ]


def fidelity_figure(study: Sequence[WordStudy]) -> str:
    """SVG, a panel for each word: the change that was predicted for each subset against that found."""

    def draw(axes: Sequence[Any]) -> None:
        for panel, s in zip(axes, study, strict=True):
            row = next(row for row in s.fidelity if row.estimator == "unrolled")
            both = [*row.predicted, *row.found]
            ends = (min(both), max(both))
            panel.plot(ends, ends, color="0.5", linewidth=1, linestyle="--")
            panel.plot(row.predicted, row.found, "o", color="C0", markersize=4)
            panel.set_title(f"{s.word}: r = {row.fidelity.pearson:.3f}", loc="left", fontsize=11, parse_math=False)
            panel.locator_params(axis="x", nbins=5)
            panel.set_xlabel("predicted change of displacement")
            panel.set_ylabel("after retraining")

    return svg(draw, panels=len(study))


def removal_figure(study: Sequence[WordStudy]) -> str:
    """SVG, a panel for each word explained: displacement against sentences removed, predicted and retrained."""
    explained = [s for s in study if s.removals]

    def draw(axes: Sequence[Any]) -> None:
        for panel, s in zip(axes, explained, strict=True):
            at = [0, *(r.size for r in s.removals)]
            panel.plot(at, [s.value, *(r.predicted for r in s.removals)], "o-", color="C0", label="predicted")
            panel.plot(at, [s.value, *(r.retrained for r in s.removals)], "o-", color="C1", label="retrained")
            panel.set_title(s.word, loc="left", fontsize=11, parse_math=False)
            panel.set_xlabel("strongest sentences removed")
            panel.set_ylabel("displacement")
            panel.legend(frameon=False)

    return svg(draw, panels=len(explained))


def write(study: Sequence[WordStudy], folder: Path, command: str) -> Path:
    """Write study-scifi.html, .csv, and -fidelity.svg and -removed.svg into a folder; returns the page's path.

    Raises
    ------
    UserError
        The extra ``report`` is not installed.
    """
    drawn = {"fidelity": fidelity_figure(study)}
    if any(s.removals for s in study):
        drawn["removed"] = removal_figure(study)
    found = tables(study)
    return write_study(
        folder, "scifi", drawn, found,
        tables=[table for table in found if "sentence" not in table[1]],
        study=[(s, [side for side in sides(s) if side[1]]) for s in study if s.amplifiers or s.mitigators],
        highlight=highlight,
        command=command,
    )  # fmt: skip
