"""What the pages of studies share: figures as SVG, tables as CSV, a template filled, all written beside each other."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crossloss import files
from crossloss.extras import needed
from crossloss.report import words
from crossloss.report.text import clean

Table = tuple[str, list[str], list[list[str]]]
"""Title, headings, rows."""


def svg(draw: Callable[[Sequence[Any]], None], panels: int) -> str:
    """Draw without pyplot's global state; the same bytes for the same numbers."""
    with needed("report", "A study"):
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    style: Any = {"svg.hashsalt": "crossloss", "svg.fonttype": "none", "axes.grid": True, "grid.color": "0.9"}
    buffer, columns = io.StringIO(), min(panels, 2)
    with rc_context(style):
        rows = -(-panels // columns)
        figure = Figure(figsize=(5.5 * columns, 4 * rows) if panels > 1 else (9, 5.5), layout="constrained")
        FigureCanvasSVG(figure)
        axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
        draw(axes[:panels])
        for empty in axes[panels:]:
            empty.remove()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return buffer.getvalue()


def write_study(
    folder: Path, name: str, drawn: Mapping[str, str], csv: Sequence[Table], command: str = "", **shown: Any
) -> Path:
    """Write study-NAME.html, study-NAME.csv and study-NAME-FIGURE.svg into a folder; returns the page's path.

    Parameters
    ----------
    name : str
        Of the study and of its template, NAME.html.j2.
    drawn : mapping
        Figures, SVG by name; the page gets them as ``figures``.
    csv : sequence of Table
    command : str
        What the page says it was made by.
    shown
        What else the template shows.

    Raises
    ------
    UserError
        The extra ``report`` is not installed.
    """
    with needed("report", "A study"):
        import jinja2
    pictures = {figure: clean(picture) for figure, picture in drawn.items()}
    for figure, picture in pictures.items():
        files.write_text(folder / f"study-{name}-{figure}.svg", picture)
    lines = []
    for title, headings, rows in csv:
        lines += [_csv_row([title]), *(_csv_row(row) for row in [headings, *rows]), ""]
    files.write_text(folder / f"study-{name}.csv", clean("\n".join(lines)))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crossloss", "studies"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"effect": words.effect, "several": words.several}
    inline = {figure: re.sub(r"^.*?(?=<svg)", "", picture, flags=re.DOTALL) for figure, picture in pictures.items()}
    page = environment.get_template(f"{name}.html.j2").render(figures=inline, command=command, **shown)
    path = folder / f"study-{name}.html"
    files.write_text(path, clean(page))
    return path


def _csv_row(row: Sequence[str]) -> str:
    """A line of CSV, every cell quoted."""
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in row)
