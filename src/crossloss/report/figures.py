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
from crossloss.validation.validate import Compared

Curve = tuple[Sequence[int] | np.ndarray, Sequence[float] | np.ndarray, Sequence[tuple[int, float]]]
"""Counts of samples removed, ascending; the objective as predicted of each; (count, objective) as retrained."""

# Blue and vermillion of Okabe and Ito's palette, which colour-blind people tell apart; what they stand for differs in
# shape as well. Drawn in these colours, then handed to the page's style sheet, so that dark mode reaches the figures.
INK, MUTED, GRID, BLUE, ORANGE = "#1b1f24", "#59636e", "#d8dee4", "#0072b2", "#d55e00"
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line", BLUE: "blue", ORANGE: "orange"}

# Any: matplotlib's stubs list its settings key by key, otherwise in each version.
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
# matplotlib would write its own address and version otherwise.
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
# How lines end and meet.
LINES = "stroke-linejoin: round; stroke-linecap: butt"
_MOST_POINTS = 400
# A longer name would leave the axes no room.
_LONGEST_NAME = 40


def overview(values: Mapping[str, float], plans: Mapping[str, Plan], retrained: Mapping[str, float], label: str) -> str:
    """Draw each objective as a row: a ring where it is, a bar where its plan is predicted to bring it, a dot retrained.

    ``label`` is that of ``removal_curve``. Returns an ``<svg>`` element.
    """
    predicted = {name: plan.predictions[name] for name, plan in plans.items()}
    names = list(values)

    def draw(axes: Axes) -> None:
        for target in {plan.targets[name] for name, plan in plans.items()}:
            axes.axvline(target, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        for row, name in enumerate(names):
            ends = [by_name[name] for by_name in (values, predicted, retrained) if name in by_name]
            axes.plot((min(ends), max(ends)), (row, row), color=GRID, linewidth=3, zorder=1, solid_capstyle="round")
        ring: Any = {"color": MUTED, "markerfacecolor": "none", "markersize": 7, "linestyle": "none"}
        axes.plot(list(values.values()), range(len(names)), "o", label="now", **ring)
        for label, marker, size, colour, given in (
            ("predicted", "|", 15, BLUE, predicted),
            ("retrained", "o", 7, ORANGE, retrained),
        ):
            if given:
                rows = [names.index(name) for name in given]
                style: Any = {"markersize": size, "markeredgewidth": 2, "color": colour, "linestyle": "none"}
                axes.plot(list(given.values()), rows, marker, label=label, **style)
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
    """Draw f against the number of samples removed: predicted as a line, retrained as points.

    The curve is shown up to half as far again as the last retrained point or the first predicted crossing of the
    target, whichever is later; all of it where there is neither. ``name`` and ``noun`` stand at the axes, ``label`` is
    what a reader who cannot see the figure hears, ``key`` a prefix of ids. Returns an ``<svg>`` element.
    """
    counts, predicted, retrained = np.asarray(curve[0], float), np.asarray(curve[1], float), curve[2]
    shown = counts <= _reach(counts, predicted, [c for c, _ in retrained], target)
    counts, predicted = counts[shown], predicted[shown]
    if len(counts) > _MOST_POINTS:
        thin = np.unique(np.linspace(0, len(counts) - 1, _MOST_POINTS).astype(int))
        counts, predicted = counts[thin], predicted[thin]

    def draw(axes: Axes) -> None:
        axes.axhline(target, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate(
            "target", (0.995, target), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", color=MUTED, ha="right", va="bottom", fontsize=9.5,
        )  # fmt: skip
        axes.plot(counts, predicted, color=BLUE, linewidth=2, label="predicted")
        if retrained:
            at, value = zip(*retrained, strict=True)
            axes.plot(at, value, "o:", color=ORANGE, markersize=7, linewidth=1, label="retrained")
        axes.set_xlabel(f"{clean(noun)}s removed", parse_math=False)
        axes.set_ylabel(clean(name)[:_LONGEST_NAME], parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.02)
        axes.legend(loc="best")

    return _svg(draw, (4.6, 3.1), label, key)


def _reach(counts: np.ndarray, predicted: np.ndarray, retrained: Sequence[int], target: float) -> float:
    ends = list(retrained)
    if len(predicted) and predicted[0] != target:
        crossed = (predicted - target) * np.sign(predicted[0] - target) <= 0
        if crossed.any():
            ends.append(int(counts[crossed.argmax()]))
    return 1.5 * max(ends) if ends and max(ends) > 0 else float("inf")


def fidelity_panel(row: Compared, label: str, key: str = "fidelity") -> str:
    """Draw the change that one estimator predicted for each subset against the change retraining gave.

    ``label`` and ``key`` are those of :func:`removal_curve`. The unrolled estimator, whose prediction is in f's unit,
    gets the line on which they are equal. Returns an ``<svg>`` element.
    """

    def draw(axes: Axes) -> None:
        if row.estimator == "unrolled":
            both = [*row.predicted, *row.retrained]
            ends = (min(both), max(both))
            axes.plot(ends, ends, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), label="equal")
        axes.plot(row.predicted, row.retrained, "o", color=BLUE, markersize=5, alpha=0.8)
        axes.set_title(
            clean(row.estimator)[:_LONGEST_NAME], fontsize=11, fontweight="bold", loc="left", parse_math=False
        )
        axes.set_xlabel("predicted change")
        axes.set_ylabel("change after retraining")
        axes.locator_params(nbins=5)
        if row.estimator == "unrolled":
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
    # Inside HTML no namespaces are needed, and the rule for * would reach the whole page (style.css has it, for
    # figures only).
    drawn = re.sub(r' xmlns(:xlink)?="[^"]*"|<style.*?</style>', "", drawn).replace("xlink:href", "href")
    # A page holds many figures: names of groups nothing refers to go, the others become unique.
    used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', drawn))
    drawn = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in used else "", drawn)
    drawn = re.sub(r'(href="#|url\(#)', rf"\g<1>{key}-", drawn)
    for colour, name in _VARIABLES.items():
        drawn = drawn.replace(colour, f"var(--{name}, {colour})")
    head = f'<svg role="img" aria-label="{escape(clean(label))}"'
    return drawn.replace("<svg", head, 1)


def standalone(svg: str) -> str:
    """Make a figure of a page a file of its own: a ``data:`` address of the same drawing in the colours of paper."""
    alone = re.sub(r"var\(--\w+, (#\w+)\)", r"\1", svg).replace(" href=", " xlink:href=")
    alone = alone.replace("'DejaVu Sans'", "'DejaVu Sans', 'Liberation Sans', Arial, sans-serif")
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    alone = re.sub("<svg([^>]*)>", rf"<svg {spaces}\1><style>* {{ {LINES} }}</style>", alone, count=1)
    return "data:image/svg+xml;base64," + base64.b64encode(alone.encode()).decode()
