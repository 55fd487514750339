"""The WNC study on paper: tables and figures as HTML, CSV and SVG, changed and decisive words marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossloss.objectives.permutation import PermutationResult
from crossloss.report import words
from crossloss.report.text import FAINT
from crossloss.studies.debias import TESTS
from crossloss.studies.pages import svg, write_study
from crossloss.studies.wnc import Convention, WncStudy

PAPER = {"biased": (0.48, 0.52, -0.43, 0.53), "neutral": (-0.05, 0.66, -0.82, 0.55)}
"""The paper's originals (Table 3): career, math, art, race."""
NAMES = {"biased": "D_B", "neutral": "D_N"}
SETS = {"top": "strongest either way", "nearer": "nearest to zero", "random": "at random", "all": "all (D_N)"}
PAIRS_SHOWN = 3


@dataclass(frozen=True)
class Marked:
    """A text with words marked: those that an edit removes or adds, or those that decide a sentence's effect.

    Attributes
    ----------
    text : str
    spans : list of (start, end, part of the effect)
    how : "removed", "added" or "decisive"
    """

    text: str
    spans: Sequence[tuple[int, int, float]]
    how: str = "decisive"

    def pieces(self) -> list[tuple[str, float | None]]:
        """Stretches of the text with the part of the effect where they are marked, None where not."""
        strongest = max((abs(value) for *_, value in self.spans), default=0.0)
        found: list[tuple[str, float | None]] = []
        at = 0
        for start, end, value in sorted(self.spans):
            if self.how == "decisive" and abs(value) <= FAINT * strongest:
                continue
            found += [(self.text[at:start], None), (self.text[start:end], value)]
            at = end
        return [piece for piece in [*found, (self.text[at:], None)] if piece[0]]

    def __str__(self) -> str:
        """The text with [-removed-] and {+added+} words."""
        left, right = {"removed": ("[-", "-]"), "added": ("{+", "+}")}.get(self.how, ("", ""))
        return "".join(text if value is None else f"{left}{text}{right}" for text, value in self.pieces())


Cell = str | tuple[Marked, ...]
Table = tuple[str, list[str], list[list[Cell]]]
"""Title, headings, rows."""


def plain(cell: Cell) -> str:
    """A cell as text, versions one after the other."""
    return cell if isinstance(cell, str) else " -> ".join(map(str, cell))


def plain_tables(tables: Sequence[Table]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Tables as text."""
    return [(title, headings, [[plain(cell) for cell in row] for row in rows]) for title, headings, rows in tables]


def summary(study: WncStudy) -> list[Table]:
    """The association tests on both sides, and what applying edits did."""
    measured: list[list[Cell]] = [
        [f"{NAMES[side]}, {label} convention", *(_measured(convention.measured[side, test]) for test in study.tests)]
        for label, convention in study.conventions.items()
        for side in NAMES
    ]
    if study.tests == list(TESTS):
        measured += [[f"{NAMES[s]}, the paper (Table 3)", *map(words.value, v)] for s, v in PAPER.items()]
    done: list[list[Cell]] = [
        [f"{SETS[chosen]}, {label} convention", *(_done(convention, test, chosen) for test in study.tests)]
        for label, convention in study.conventions.items()
        for chosen in SETS
    ]
    alike: list[list[Cell]] = []
    for label, convention in study.conventions.items():
        same = [str(convention.overlap[test]) for test in study.tests]
        alike.append([f"of the {study.applied} strongest sentences the same, {label}", *same])
        agreement = [words.value(convention.agreement[test]) for test in study.tests]
        alike.append([f"edits' effects as predicted on either side, correlation, {label}", *agreement])
    return [
        ("Effect sizes, with one- and two-sided p of the permutation test", ["side", *study.tests], measured),
        (
            f"Change of each test when its edits are made on D_B ({study.applied}, or all): predicted, retrained",
            ["edits", *study.tests],
            done,
        ),
        ("How alike the two sides are", ["", *study.tests], alike),
    ]


def tables(study: WncStudy) -> list[Table]:
    """Every table of the page."""
    found = summary(study)
    for test in study.tests:
        for label, convention in study.conventions.items():
            found += [
                (
                    f"{test}, {label}: the strongest edits",
                    ["change of the test", "from", "to", "word pairs that change it most"],
                    [
                        [
                            words.effect(edit.effect),
                            (Marked(edit.before, edit.removed, "removed"),),
                            (Marked(edit.after, edit.added, "added"),),
                            "; ".join(f"{a} - {b} {words.effect(v)}" for a, b, v in edit.pairs[:PAIRS_SHOWN]),
                        ]
                        for edit in convention.edits[test]
                    ],
                ),
                (
                    f"{test}, {label}: sentences that amplify its size (A) and that mitigate it (M)",
                    ["side", "set", "effect if removed", "rank", "alike", "sentence"],
                    [
                        [
                            NAMES[side],
                            kind,
                            words.effect(s.effect),
                            f"{s.rank:,}",
                            str(s.alike or ""),
                            (Marked(s.text, s.spans),),
                        ]
                        for side in NAMES
                        for kind in "AM"
                        for s in convention.sentences[side, test, kind]
                    ],
                ),
                (
                    f"{test}, {label}: sentences strong in both",
                    ["effect if removed, D_B", "D_N", "sentence"],
                    [
                        [*map(words.effect, s.effects), s.before if s.before == s.after else f"{s.before} -> {s.after}"]
                        for s in convention.shared[test]
                    ],
                ),
            ]
    return [table for table in found if table[2]]


def _measured(result: PermutationResult) -> str:
    p, both = words.probability(result.p_value), words.probability(result.p_value_two_sided)
    return f"{words.value(result.effect)} (p {p}, {both})"


def _done(convention: Convention, test: str, chosen: str) -> str:
    done = convention.applied[test, chosen]
    return f"{words.effect(done.predicted)}, {words.effect(done.retrained)}"


def effects_figure(study: WncStudy) -> str:
    """SVG: the effect of each test on D_B and D_N, in both conventions and in the paper."""
    rows: list[tuple[str, Sequence[float]]] = []
    for number, test in enumerate(study.tests):
        for label, convention in study.conventions.items():
            name = f"{test}, {label} convention" if label == "word2vec" else f"{label} convention"
            rows.append((name, [convention.measured[side, test].effect for side in NAMES]))
        if study.tests == list(TESTS):
            rows.append(("printed in the paper", [PAPER[side][number] for side in NAMES]))

    def draw(axes: Sequence[Any]) -> None:
        (panel,) = axes
        for at, (_, values) in enumerate(rows):
            panel.plot(values, [at, at], color="0.7", linewidth=1.5, zorder=1)
            for side, value, colour in zip(NAMES, values, ("C0", "C1"), strict=True):
                panel.plot(value, at, "o", color=colour, label=NAMES[side] if at == 0 else None)
        panel.axvline(0, color="0.5", linewidth=1, linestyle="--")
        panel.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=9, parse_math=False)
        panel.invert_yaxis()
        panel.set_xlabel("effect size")
        panel.legend(frameon=False)

    return svg(draw, panels=1)


def edits_figure(study: WncStudy) -> str:
    """SVG: the change that applying edits was predicted to make against the change retraining gave."""

    def draw(axes: Sequence[Any]) -> None:
        (panel,) = axes
        ends = [0.0]
        for label, shape in zip(study.conventions, "os", strict=True):
            for number, test in enumerate(study.tests):
                done = [study.conventions[label].applied[test, chosen] for chosen in SETS]
                x, y = [d.predicted for d in done], [d.retrained for d in done]
                ends += x + y
                panel.plot(x, y, shape, color=f"C{number}", markersize=6, alpha=0.8, label=f"{test}, {label}")
        panel.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.5", linewidth=1, linestyle="--")
        panel.set_xlabel("predicted change")
        panel.set_ylabel("change after retraining")
        panel.legend(fontsize=8, frameon=False)

    return svg(draw, panels=1)


def write(study: WncStudy, folder: Path, command: str = "") -> Path:
    """Write study-wnc.html, .csv, and -effects.svg and -edits.svg into a folder; returns the page's path.

    Raises
    ------
    UserError
        The extra ``report`` is not installed.
    """
    drawn = {"effects": effects_figure(study), "edits": edits_figure(study)}
    found = tables(study)
    return write_study(folder, "wnc", drawn, plain_tables(found), command, study=study, tables=found)
