"""Figures as inline SVG: drawn without pyplot's global state, the same bytes for the same numbers."""

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crossloss.plans.plan import Plan
from crossloss.report.text import clean
from crossloss.validation.validation import Compared

Curve = tuple[Sequence[int] | np.ndarray, Sequence[float] | np.ndarray, Sequence[tuple[int, float]]]
"""Counts of samples removed, ascending; the objective as predicted of each; (count, objective) as retrained."""

# Blue and vermillion of Okabe and Ito's palette, by the names of the style sheet, so that dark mode reaches figures.
INK, MUTED, GRID, BLUE, ORANGE = "#1b1f24", "#59636e", "#d8dee4", "#0072b2", "#d55e00"
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line", BLUE: "blue", ORANGE: "orange"}
# Any: matplotlib's stubs list its settings otherwise in each version.
_STYLE: Any = {
    "svg.hashsalt": "crossloss",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_DASHED: Any = {"color": MUTED, "linewidth": 1.2, "linestyle": (0, (4, 3))}
# A longer name would leave the axes no room.
_LONGEST_NAME = 40


def overview(values: Mapping[str, float], plans: Mapping[str, Plan], retrained: Mapping[str, float], label: str) -> str:
    """An ``<svg>`` of each objective: a ring where it is, a bar where its plan should bring it, a dot retrained."""
    predicted = {name: plan.predictions[name] for name, plan in plans.items()}
    names = list(values)

    def draw(axes: Axes) -> None:
        for target in {plan.targets[name] for name, plan in plans.items()}:
            axes.axvline(target, **_DASHED)
        for row, name in enumerate(names):
            ends = [by_name[name] for by_name in (values, predicted, retrained) if name in by_name]
            axes.plot((min(ends), max(ends)), (row, row), color=GRID, linewidth=3, zorder=1, solid_capstyle="round")
        bold = {"markeredgewidth": 2}
        for label, marker, size, colour, given, style in (
            ("now", "o", 7, MUTED, values, {"markerfacecolor": "none"}),
            ("predicted", "|", 15, BLUE, predicted, bold),
            ("retrained", "o", 7, ORANGE, retrained, bold),
        ):
            if given:
                marks: Any = {"marker": marker, "markersize": size, "color": colour, "linestyle": "none"} | style
                axes.plot(list(given.values()), [names.index(name) for name in given], label=label, **marks)
        axes.set_yticks(range(len(names)), [clean(name)[:24] for name in names], parse_math=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("score")
        axes.margins(x=0.06)
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=3, handletextpad=0.3, columnspacing=1.4)

    return _svg(draw, (4.6, 1.1 + 0.34 * len(names)), label, "overview")


def removal_curve(
    curve: Curve, target: float, name: str, label: str, key: str = "curve", noun: str = "sentence"
) -> str:
    """An ``<svg>`` of f against the number of samples removed: predicted as a line, retrained as points.

    It ends half as far again as the last retrained point or the first predicted crossing of the target, whichever is
    later. ``name`` and ``noun`` stand at the axes, ``label`` is read out, ``key`` is a prefix of ids.
    """
    counts, predicted, retrained = np.asarray(curve[0], float), np.asarray(curve[1], float), curve[2]
    ends = [float(count) for count, _ in retrained]
    if len(predicted) and predicted[0] != target:
        ends += list(counts[(predicted - target) * np.sign(predicted[0] - target) <= 0][:1])
    shown = counts <= (1.5 * max(ends, default=0.0) or float("inf"))

    def draw(axes: Axes) -> None:
        axes.axhline(target, **_DASHED)
        axes.annotate(
            "target", (0.995, target), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", color=MUTED, ha="right", va="bottom", fontsize=9.5,
        )  # fmt: skip
        axes.plot(counts[shown], predicted[shown], color=BLUE, linewidth=2, label="predicted")
        if retrained:
            axes.plot(*zip(*retrained, strict=True), "o:", color=ORANGE, markersize=7, linewidth=1, label="retrained")
        axes.set_xlabel(f"{clean(noun)}s removed", parse_math=False)
        axes.set_ylabel(clean(name)[:_LONGEST_NAME], parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.02)
        axes.legend(loc="best")

    return _svg(draw, (4.6, 3.1), label, key)


def fidelity_panel(row: Compared, label: str, key: str = "fidelity") -> str:
    """An ``<svg>`` of the change that one estimator predicted for each subset against the change retraining gave.

    The unrolled estimator, whose prediction is in f's unit, gets the line on which they are equal.
    """

    def draw(axes: Axes) -> None:
        exact = row.estimator == "unrolled"
        if exact:
            both = [*row.predicted, *row.retrained]
            axes.plot((min(both), max(both)), (min(both), max(both)), label="equal", **_DASHED)
        axes.plot(row.predicted, row.retrained, "o", color=BLUE, markersize=5, alpha=0.8)
        title: Any = {"fontsize": 11, "fontweight": "bold", "loc": "left", "parse_math": False}
        axes.set_title(clean(row.estimator)[:_LONGEST_NAME], **title)
        axes.set_xlabel("predicted change")
        axes.set_ylabel("change after retraining")
        axes.locator_params(nbins=5)
        if exact:
            axes.legend(loc="best", fontsize=9.5, handlelength=1.8)

    return _svg(draw, (3.3, 3.0), label, key)


def _svg(draw: Callable[[Axes], None], inches: tuple[float, float], label: str, key: str) -> str:
    buffer = io.StringIO()
    with rc_context(_STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :].strip()
    # Inside HTML no namespaces are needed, and the rule for * would reach the whole page.
    drawn = re.sub(r' xmlns(:xlink)?="[^"]*"|<style.*?</style>', "", drawn).replace("xlink:href", "href")
    # A page holds many figures: names of groups nothing refers to go, the others become unique.
    used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', drawn))
    drawn = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in used else "", drawn)
    drawn = re.sub(r'(href="#|url\(#)', rf"\g<1>{key}-", drawn)
    for colour, name in _VARIABLES.items():
        drawn = drawn.replace(colour, f"var(--{name}, {colour})")
    return drawn.replace("<svg", f'<svg role="img" aria-label="{escape(clean(label))}"', 1)


def standalone(svg: str) -> str:
    """Make a figure of a page a file of its own: a ``data:`` address of the same drawing in the colours of paper."""
    alone = re.sub(r"var\(--\w+, (#\w+)\)", r"\1", svg).replace(" href=", " xlink:href=")
    alone = alone.replace("'DejaVu Sans'", "'DejaVu Sans', 'Liberation Sans', Arial, sans-serif")
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    lines = "<style>* { stroke-linejoin: round; stroke-linecap: butt }</style>"
    alone = re.sub("<svg([^>]*)>", rf"<svg {spaces}\1>{lines}", alone, count=1)
    return "data:image/svg+xml;base64," + base64.b64encode(alone.encode()).decode()
