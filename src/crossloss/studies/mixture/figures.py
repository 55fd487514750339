"""The paper's Figs. 2 and 5, as SVG."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import pearsonr

from crossloss.studies.mixture.data import Points
from crossloss.studies.mixture.estimators import PUBLISHED
from crossloss.studies.mixture.model import CROSS, LOSSES
from crossloss.studies.pages import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STRONGEST = 10
COLOURS = {"cross": ("#0072b2", "#d55e00"), "matched": ("#c0392b", "#7b3294")}
"""Of points and line, as in the paper: blue and orange, red and purple."""
CLASSES = ("#0072b2", "#009e73", "#8c6d31")
AMPLIFIES, MITIGATES = "#d55e00", "#56b4e9"


def strongest(example: dict[str, Any], points: Points) -> str:
    """Fig. 2: the ten strongest amplifiers and mitigators of one held-out point, by retraining and by score.

    An amplifier lowers -log q_y when it is left out.
    """

    def draw(axes: Sequence["Axes"]) -> None:
        for panel, kind, title in zip(axes, ("found", "unrolled"), ("by retraining", "by score"), strict=True):
            x = points.x.numpy()
            for c, colour in enumerate(CLASSES):
                rows = (points.y == c).numpy()
                panel.plot(x[rows, 0], x[rows, 1], "s", color=colour, alpha=0.35, markersize=5, label=f"class {c}")
            order = np.argsort(example[CROSS][kind])
            for rows, marker, colour, name in (
                (order[:STRONGEST], "^", AMPLIFIES, "amplifies its loss"),
                (order[-STRONGEST:], "v", MITIGATES, "mitigates it"),
            ):
                panel.plot(
                    x[rows, 0], x[rows, 1], marker, color=colour, markersize=9, markeredgecolor="black",
                    markeredgewidth=0.6, label=name,
                )  # fmt: skip
            panel.plot(*example["x"], "*", color="black", markersize=14, label="held-out point")
            panel.set_title(title, loc="left")
            panel.set_aspect("equal")
        axes[0].legend(fontsize=8, loc="upper left")

    return svg(draw, panels=2)


def correlations(example: dict[str, Any]) -> str:
    """Fig. 5: predicted against found effects on one held-out point, both losses, with lines of best fit."""

    def draw(axes: Sequence["Axes"]) -> None:
        for panel, estimator in zip(axes, ("unrolled", PUBLISHED), strict=True):
            for loss in LOSSES:
                found, predicted = np.asarray(example[loss]["found"]), np.asarray(example[loss][estimator])
                r, p = pearsonr(found, predicted)
                points, line = COLOURS[loss]
                panel.plot(found, predicted, "+", color=points, markersize=6)
                ends = np.array([found.min(), found.max()])
                slope, offset = np.polyfit(found, predicted, 1)
                panel.plot(ends, slope * ends + offset, color=line, label=f"{loss}: r = {r:.3f}, p = {p:.1e}")
            panel.set_title(estimator, loc="left")
            panel.set_xlabel("change of its loss by retraining without the sample")
            panel.set_ylabel("predicted")
            panel.legend(fontsize=8)

    return svg(draw, panels=2)
