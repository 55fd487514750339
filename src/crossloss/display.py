"""Tables for notebooks: HTML with everything escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

LONGEST = 300


def html_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers to four significant digits, texts cut to 300 characters."""
    head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in headings)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><caption style='text-align:left'>{escape(title)}</caption><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"<td style='text-align:right'>{value:.4g}</td>"
    text = str(value).encode("utf-8", "replace").decode()
    return f"<td style='text-align:left'>{escape(text if len(text) <= LONGEST else text[: LONGEST - 1] + '…')}</td>"
