"""One self-contained HTML page for a run.

Belongs here: figures as inline SVG, the page template, its style and its script. Does not: computing anything it shows.
"""

from crossloss.report.data import (
    Curve,
    Explained,
    FidelityRow,
    ObjectiveReport,
    PlanReport,
    Quality,
    Report,
    WordSet,
)
from crossloss.report.page import render

__all__ = [
    "Curve",
    "Explained",
    "FidelityRow",
    "ObjectiveReport",
    "PlanReport",
    "Quality",
    "Report",
    "WordSet",
    "render",
]
