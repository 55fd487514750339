"""What commands print: lines and tables, with text of a corpus as text."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from crossloss import display
from crossloss.display import Marked, Table
from crossloss.plans import Transfer
from crossloss.run.run import Run, settings_of

console = Console()
errors = Console(stderr=True)
LONGEST = 2000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def safe_text(text: str, longest: int = LONGEST) -> Text:
    """Text for a terminal: no mark-up, no control or direction characters, cut to one paragraph."""
    shown = _CONTROL.sub("\ufffd", text)
    return Text(shown if len(shown) <= longest else shown[: longest - 1] + "…")


def print_line(*lines: str) -> None:
    """Print lines, which may name files, columns and sentences of others."""
    for line in lines:
        console.print(safe_text(line))


def print_error(text: str) -> None:
    """Print why something was not done, in one line."""
    sentence = " ".join(text.split())
    if sentence:
        errors.print(safe_text(f"Error: {sentence}"), style="red", soft_wrap=True)


def print_table(*tables: Table) -> None:
    """Print tables; columns of numbers are set right, rows of long texts are parted by lines."""
    for table in tables:
        cells = [[_cell(cell) for cell in row] for row in table.rows]
        long = any(len(cell) > 60 for row in cells for cell in row)
        shown = RichTable(title=safe_text(table.title), title_justify="left", show_lines=long)
        for number, heading in enumerate(table.headings):
            figures = all(not any(map(str.isalpha, row[number].plain)) for row in cells)
            shown.add_column(safe_text(heading), justify="right" if cells and figures else "left")
        for row in cells:
            shown.add_row(*row)
        console.print(shown)


def _cell(cell: Any) -> Text:
    text = safe_text(f"{cell:.4g}" if isinstance(cell, float) else str(cell))
    if isinstance(cell, Marked):
        for start, end in cell.spans:
            text.stylize("green underline" if cell.added else "red strike", start, end)
    return text


def print_run(run: Run) -> None:
    """Print what a run folder holds."""
    rows = {"command": run.store.manifest.get("command", ""), "samples": f"{int((run.weights > 0).sum()):,}"}
    rows |= {"words": f"{len(run.model.word_index):,}"} if run.model.word_index else {}
    rows |= settings_of(run) | run.store.metrics
    shown = [(name, f"{v:.6g}" if isinstance(v, float) else str(v)) for name, v in rows.items()]
    print_table(Table(str(run.store.path), ("what", "value"), shown))
    if note := run.store.manifest.get("note"):
        print_line(note)


def print_result(result: Any) -> None:
    """Print what a result shows of itself: its tables, then its lines, whichever it has."""
    print_table(*result.tables() if hasattr(result, "tables") else ())
    print_line(*result.summary() if hasattr(result, "summary") else ())


def print_transfer(run: Run, plan: str, transferred: Mapping[str, Transfer]) -> None:
    """Print, and log, whether a plan changes another trainer's model."""
    for name, t in transferred.items():
        run.store.log_metrics(t.metrics(f"transfer.{plan}.{name}"))
    rows = [(n, display.spread(t.before), display.spread(t.after), t.verdict) for n, t in transferred.items()]
    headings: Sequence[str] = ("test", "before", "after", "carries over")
    print_table(Table("gensim's Word2Vec on the corpus before and after", headings, rows))
