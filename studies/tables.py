"""The one writer of all studies: tables and figures as HTML, CSV, SVG and on the terminal; how numbers are written."""

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from crossloss import files
from crossloss.extras import needed

console = Console()
FAINT, MUCH = 0.1, 0.5
"""Parts of the strongest word of a text below which a word stays plain, and above which its colour is strong."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PLAIN = {"mark": ("", ""), "del": ("[-", "-]"), "ins": ("{+", "+}")}
_STYLES = {"mark": "bold", "del": "red strike", "ins": "green underline"}


@dataclass(frozen=True)
class Marked:
    """A text with words marked, each with its part of the effect: orange raises, blue lowers.

    ``tag`` says which words: "mark" those that decide the effect, "del" those that an edit removes, "ins" adds.
    """

    text: str
    spans: Sequence[tuple[int, int, float]]
    tag: str = "mark"

    def pieces(self) -> list[tuple[str, float | None]]:
        """Stretches of the text, with the part of the effect where they are marked and None where not."""
        pieces: list[tuple[str, float | None]] = []
        at = 0
        for start, end, part in sorted(self.spans):
            if self.tag != "mark" or abs(part) > FAINT * self._strongest:
                pieces += [(self.text[at:start], None), (self.text[start:end], part)]
                at = end
        return [piece for piece in [*pieces, (self.text[at:], None)] if piece[0]]

    @property
    def _strongest(self) -> float:
        return max((abs(part) for *_, part in self.spans), default=0.0)

    def _tagged(self, text: str, part: float) -> str:
        colour = "" if not part else "raises" if part > 0 else "lowers"
        much = " much" if abs(part) > MUCH * self._strongest else ""
        return f'<{self.tag} class="{colour}{much}" title="{effect(part)}">{escape(text)}</{self.tag}>'

    def html(self) -> str:
        """The text with tags; a word without colour has no part in the effect."""
        shown = (escape(text) if part is None else self._tagged(text, part) for text, part in self.pieces())
        return f"<bdi>{''.join(shown)}</bdi>"

    def __str__(self) -> str:
        left, right = _PLAIN[self.tag]
        return "".join(text if part is None else f"{left}{text}{right}" for text, part in self.pieces())


Cell = str | Marked


@dataclass(frozen=True)
class Table:
    """Headings, rows and notes; ``printed``: on the terminal too."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: str = ""
    printed: bool = True

    def html(self) -> str:
        """The table under its title, its first column as headings of the rows; it scrolls by itself."""
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.headings)
        body = []
        for row in self.rows:
            first, *others = (cell.html() if isinstance(cell, Marked) else escape(cell) for cell in row)
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
        picture = re.sub(r"^.*?(?=<svg)", "", self.svg, flags=re.DOTALL)
        title, notes = escape(self.title), escape(self.notes)
        return (
            f'<h2>{title}</h2>\n<figure role="img" aria-label="{notes}">{picture}\n'
            f"<figcaption>{notes}</figcaption></figure>\n"
        )


def figure(name: str, title: str, notes: str, panels: int, draw: Callable[[Sequence[Any]], None]) -> Figure:
    """Let ``draw`` fill that many axes of matplotlib, two a row; the same bytes for the same numbers."""
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    style: Any = {"svg.hashsalt": "crossloss", "svg.fonttype": "none", "axes.grid": True, "grid.color": "0.9"}
    buffer, columns = io.StringIO(), min(panels, 2)
    with rc_context(style):
        rows = -(-panels // columns)
        drawing = Drawing(figsize=(5.5 * columns, 4 * rows) if panels > 1 else (9, 5.5), layout="constrained")
        FigureCanvasSVG(drawing)
        axes = list(drawing.subplots(rows, columns, squeeze=False).ravel())
        draw(axes[:panels])
        for empty in axes[panels:]:
            empty.remove()
        drawing.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return Figure(name, title, notes, clean(buffer.getvalue()))


def diagonal(panel: Any, values: Sequence[float]) -> None:
    """A line where predicted is retrained."""
    ends = (min(values), max(values))
    panel.plot(ends, ends, color="0.5", linewidth=1, linestyle="--")


def require_matplotlib() -> None:
    """Refuse a study, before its work, that could not draw its figures."""
    with needed("report", "A study"):
        import matplotlib  # noqa: F401


def write(
    folder: Path, name: str, title: str, notes: Sequence[str], parts: Sequence[Table | Figure], command: str = ""
) -> Path:
    """Write study-NAME.html, .csv and -FIGURE.svg; the page's path. ``notes`` stand before the parts, in their order.

    Tables without rows are left out. ``command`` is what the page says it was made by.
    """
    parts = [part for part in parts if isinstance(part, Figure) or part.rows]
    lines = io.StringIO()
    rows = csv.writer(lines, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for part in parts:
        if isinstance(part, Figure):
            files.write_text(folder / f"study-{name}-{part.name}.svg", part.svg)
        else:
            rows.writerows([[part.title], part.headings, *(map(str, row) for row in part.rows)])
            lines.write("\n")
    files.write_text(folder / f"study-{name}.csv", clean(lines.getvalue()))
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
    path = folder / f"study-{name}.html"
    files.write_text(path, clean(page))
    return path


def print_study(parts: Sequence[Table | Figure], page: Path) -> None:
    """Print the tables that are for the terminal, and where the page is."""
    for part in parts:
        if isinstance(part, Table) and part.printed and part.rows:
            part.print()
    print_line(f"Page: {page}")


def print_line(text: str) -> None:
    """A sentence on the terminal, which may name files and words of others."""
    console.print(_literal(text), soft_wrap=True)


def clean(text: str) -> str:
    """Replace control characters and lone surrogates by U+FFFD, one for one; tab and newline stay."""
    return _CONTROL.sub("\ufffd", text)


def _literal(cell: Cell) -> RichText:
    pieces = cell.pieces() if isinstance(cell, Marked) else [(cell, None)]
    style = _STYLES[cell.tag] if isinstance(cell, Marked) else ""
    shown = RichText()
    for text, part in pieces:
        shown.append(_DIRECTION.sub("\ufffd", clean(text)), style="" if part is None else style)
    return shown


def value(x: float) -> str:
    """Two decimals, three where two would show nothing: 1.56, −0.006."""
    if not math.isfinite(x):
        return "not a number" if math.isnan(x) else ("∞" if x > 0 else "−∞")
    return _signed(f"{x:.2f}" if abs(x) >= 0.0095 or x == 0 else f"{x:.3f}")


def effect(x: float) -> str:
    """A change: its sign and four decimals, or two figures of a smaller one: +0.0042, −0.000013."""
    if not math.isfinite(x):
        return value(x)
    return _signed(f"{x:+.4f}" if abs(x) >= 0.00095 or x == 0 else ("+" if x > 0 else "") + _two_figures(x))


def probability(p: float) -> str:
    """A p-value in two figures, without an exponent."""
    return "–" if math.isnan(p) else f"{p:.2f}" if p >= 0.1 else _two_figures(p)


def percent(share: float) -> str:
    """A share in two figures: 10 %, 0.056 %."""
    shown = f"{100 * share:.0f}" if share >= 0.095 else _two_figures(100 * share)
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown) + " %"


def duration(seconds: float) -> str:
    """Seconds as people say them: 0.4 s, 21 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    small = f"{whole // 60} min {whole % 60:02d} s"
    return small if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation, or the one value."""
    return value(fmean(values)) + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def interval(x: float, low: float, high: float) -> str:
    """An estimate with its interval: 0.984 (0.951 to 0.995)."""
    return _signed(f"{x:.3f} ({low:.3f} to {high:.3f})")


def _two_figures(x: float) -> str:
    return f"{x:.{max(0, min(1 - math.floor(math.log10(abs(x))), 9))}f}" if x else "0"


def _signed(number: str) -> str:
    return number.replace("-", "−") if re.search("[1-9]", number) else number.lstrip("+-")
