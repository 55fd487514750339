"""What commands print: lines and tables, with text of a corpus as text."""

import re
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from crossloss.run.origin import settings_of
from crossloss.run.run import Run
from crossloss.utils.display import Marked, Result, Table, shortened

console = Console()
errors = Console(stderr=True)
LONGEST = 2000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def safe_text(text: str) -> Text:
    """Text for a terminal: no mark-up, no control or direction characters, cut to one paragraph."""
    return Text(shortened(_CONTROL.sub("\ufffd", text), LONGEST))


def print_line(*lines: str) -> None:
    """Print lines, which may name files, columns and sentences of others."""
    for line in lines:
        console.print(safe_text(line))


def print_error(text: str) -> None:
    """Print why something was not done, in one line."""
    if sentence := " ".join(text.split()):
        errors.print(safe_text(f"Error: {sentence}"), style="red", soft_wrap=True)


def print_warning(text: str) -> None:
    """Print what the library warns of; of several processes one does."""
    if not console.quiet:
        errors.print(safe_text(f"Note: {text}"), soft_wrap=True)


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


def print_result(result: Result) -> None:
    """Print what a result says of itself: its tables, then its lines."""
    print_table(*result.tables())
    print_line(*result.summary())


def print_run(run: Run) -> None:
    """Print what a run folder holds."""
    rows = {"command": run.store.manifest.get("command", ""), "samples": f"{int((run.weights > 0).sum()):,}"}
    rows |= {"words": f"{len(run.model.word_index):,}"} if run.model.word_index else {}
    rows |= settings_of(run.origin) | run.store.metrics
    shown = [(name, f"{v:.6g}" if isinstance(v, float) else str(v)) for name, v in rows.items()]
    print_table(Table(str(run.store.path), ("what", "value"), shown))
    print_line(*filter(None, [run.store.manifest.get("note")]))
