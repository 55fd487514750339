"""Prose of the pages is read as text: lines that end on a screen, and cells of tables that are a phrase."""

import re

import pytest
from pages import PAGES, ROOT

WIDTH, CELL = 120, 300
PROSE = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"]
FENCE = re.compile(r" *(```|~~~)")


def too_long(text):
    """Numbers of the lines of prose beyond WIDTH, and of the rows of a table with a cell beyond CELL."""
    found, fenced, before = [], False, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = bool(FENCE.match(line))
        fenced ^= fence
        code = fenced or fence or (line.startswith("    ") and (not before.strip() or before.startswith(("    ", "#"))))
        if not code:
            row = line.lstrip().startswith("|")
            cells = re.split(r"(?<!\\)\|", line)
            if any(len(cell.strip()) > CELL for cell in cells) if row else len(line) > WIDTH:
                found.append(number)
        before = line
    return found


@pytest.mark.parametrize("page", PROSE, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_line_of_prose_is_too_long(page):
    assert not too_long(page.read_text(encoding="utf-8"))


def test_a_line_that_is_too_long_is_seen():
    long, row = "word " * 30, f"| a | {'word ' * 70} |"
    assert too_long(f"{long}\n\n- {long}\n\n{row}\n") == [1, 3, 5]
    assert too_long(f"```\n{long}\n```\n\n    {long}\n\n| {long}| {long}|\n") == []
