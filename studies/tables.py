"""The one writer of all studies: a page of tables and figures, the tables as CSV too, and the figures as SVG."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

import crossloss as cl
from crossloss.utils.files import write_text

console = Console()
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Table:
    """Headings, rows and notes; ``printed``: on the terminal too."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: str = ""
    printed: bool = True

    def html(self) -> str:
        """The table under its title, its first column as headings of the rows; it scrolls by itself."""
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.headings)
        body = []
        for row in self.rows:
            first, *others = map(escape, row)
            body.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>')
        title, notes = escape(self.title), f"<p>{escape(self.notes)}</p>\n" if self.notes else ""
        return (
            f'<h2>{title}</h2>\n{notes}<div class="scroll" role="region" tabindex="0" aria-label="{title}">\n'
            f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table></div>\n"
        )

    def print(self) -> None:
        """On the terminal, texts as texts: no mark-up, no control or direction characters."""
        shown = RichTable(title=_literal(self.title), title_justify="left", show_lines=True)
        for heading in self.headings:
            shown.add_column(_literal(heading))
        for row in self.rows:
            shown.add_row(*map(_literal, row))
        console.print(shown)


@dataclass(frozen=True)
class Figure:
    """A picture: its name in file names, what it shows, and the SVG."""

    name: str
    title: str
    notes: str
    svg: str

    def html(self) -> str:
        """The picture under its title, inline."""
        title, notes, picture = escape(self.title), escape(self.notes), self.svg[self.svg.index("<svg") :]
        return (
            f'<h2>{title}</h2>\n<figure role="img" aria-label="{notes}">{picture}\n'
            f"<figcaption>{notes}</figcaption></figure>\n"
        )


def figure(name: str, title: str, notes: str, panels: Sequence[Any], draw: Callable[[Any, Any], None]) -> Figure:
    """A picture of a panel for each of ``panels``, two a row: ``draw(axes, panel)``. Same numbers, same bytes."""
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    style: Any = {"svg.hashsalt": "crossloss", "svg.fonttype": "none", "axes.grid": True, "grid.color": "0.9"}
    buffer, columns = io.StringIO(), min(len(panels), 2)
    rows = -(-len(panels) // columns)
    with rc_context(style | {"legend.frameon": False}):
        drawing = Drawing(figsize=(5.5 * columns, 4 * rows) if columns > 1 else (9, 5.5), layout="constrained")
        FigureCanvasSVG(drawing)
        for number, panel in enumerate(panels, 1):
            draw(drawing.add_subplot(rows, columns, number), panel)
        drawing.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return Figure(name, title, notes, clean(buffer.getvalue()))


def diagonal(axes: Any, values: Sequence[float]) -> None:
    """A line where predicted is retrained."""
    ends = (min(values), max(values))
    axes.plot(ends, ends, color="0.5", linewidth=1, linestyle="--")


def require_matplotlib() -> None:
    """Refuse a study, before its work, that could not draw its figures."""
    if find_spec("matplotlib") is None:
        raise cl.UserError('A study needs matplotlib: run `pip install "crossloss[report]"`.')


def write(
    folder: Path, name: str, title: str, notes: Sequence[str], parts: Sequence[Table | Figure], command: str = ""
) -> Path:
    """Write study-NAME.html, .csv and -FIGURE.svg, and print the tables; the page's path.

    ``notes`` stand before the parts, in their order; tables without rows are left out; ``command`` is what the page
    says it was made by.
    """
    parts = [part for part in parts if isinstance(part, Figure) or part.rows]
    tables = [part for part in parts if isinstance(part, Table)]
    lines, path = io.StringIO(), folder / f"study-{name}.html"
    rows = csv.writer(lines, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for table in tables:
        rows.writerows([[table.title], table.headings, *table.rows])
        lines.write("\n")
    write_text(folder / f"study-{name}.csv", clean(lines.getvalue()))
    for part in parts:
        if isinstance(part, Figure):
            write_text(folder / f"study-{name}-{part.name}.svg", part.svg)
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    made = f"<h2>How this was made</h2>\n<pre><code>{escape(command)}</code></pre>\n" if command else ""
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{"".join(f"<p>{escape(paragraph)}</p>" for paragraph in notes)}
</header>
<main>
{"".join(part.html() for part in parts)}{made}</main>
</body>
</html>
"""
    write_text(path, clean(page))
    for table in tables:
        if table.printed:
            table.print()
    print_line(f"Page: {path}")
    return path


def print_line(text: str) -> None:
    """A sentence on the terminal, which may name files and words of others."""
    console.print(_literal(text), soft_wrap=True)


def _literal(text: str) -> Text:
    return Text(_DIRECTION.sub("\ufffd", clean(text)))


def clean(text: str) -> str:
    """No control characters but tab and line feed, and nothing that XML or UTF-8 cannot hold."""
    return _CONTROL.sub("\ufffd", text)
