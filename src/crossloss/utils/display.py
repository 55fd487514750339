"""How results are shown: numbers as people read them, lines and tables, for terminals and notebooks alike."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean, stdev
from typing import Any, NamedTuple

LONGEST = 300


class Marked(NamedTuple):
    """A text with some characters (start, end) that are shown as removed or added."""

    text: str
    spans: Sequence[tuple[int, int]]
    added: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """A table that a result shows: numbers as floats or written by the functions of this file, texts as they are."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def html(self) -> str:
        """For notebooks: everything escaped, numbers to four significant digits, texts cut to 300 characters."""
        head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in self.headings)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        return f"<table><caption style='text-align:left'>{escape(self.title)}</caption><tr>{head}</tr>{body}</table>"


class Result:
    """What says itself what it is: a terminal prints its tables and then its lines, a notebook shows its tables."""

    def tables(self) -> list[Table]:
        """What it says in rows."""
        return []

    def summary(self) -> list[str]:
        """What it says in sentences, a line each."""
        return []

    def _repr_html_(self) -> str | None:
        return "".join(table.html() for table in self.tables()) or None


def shortened(text: str, longest: int) -> str:
    """Cut a text to its first characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"<td style='text-align:right'>{value:.4g}</td>"
    text = str(value).encode("utf-8", "replace").decode()
    return f"<td style='text-align:left'>{escape(shortened(text, LONGEST))}</td>"


def value(x: float) -> str:
    """Write an objective's value with two decimals, three where two would show nothing: 1.56, −0.006."""
    if not math.isfinite(x):
        return "not a number" if math.isnan(x) else ("∞" if x > 0 else "−∞")
    return signed(f"{x:.2f}" if abs(x) >= 0.0095 or x == 0 else f"{x:.3f}")


def effect(x: float) -> str:
    """Write an effect with its sign and four decimals, or two figures of a smaller one: +0.0042, −0.000013."""
    if not math.isfinite(x):
        return value(x)
    if abs(x) >= 0.00095 or x == 0:
        return signed(f"{x:+.4f}")
    return signed(("+" if x > 0 else "") + figures(x))


def probability(p: float | None) -> str:
    """Write a p-value with two figures and no exponent; a dash for None."""
    if p is None or math.isnan(p):
        return "–"
    return f"{p:.2f}" if p >= 0.1 else figures(p)


def count(n: int) -> str:
    """Write a count with thousands: 180,153."""
    return f"{n:,}"


def several(n: int, noun: str) -> str:
    """Write a count with its noun in the right number: 1 sentence, 2 sentences."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def percent(share: float) -> str:
    """Write a share with two figures: 10 %, 0.056 %."""
    shown = f"{100 * share:.0f}" if share >= 0.095 else figures(100 * share)
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown) + " %"


def duration(seconds: float) -> str:
    """Write seconds as people say them: 0.4 s, 21 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    small = f"{whole // 60} min {whole % 60:02d} s"
    return small if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def spread(values: Sequence[float]) -> str:
    """Write mean and standard deviation of retrainings, or the one value."""
    return value(fmean(values)) + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def figures(x: float) -> str:
    """Two figures without an exponent, nine decimals at most."""
    return f"{x:.{max(0, min(1 - math.floor(math.log10(abs(x))), 9))}f}" if x else "0"


def signed(number: str) -> str:
    """Write a number with a minus sign, and a zero without one."""
    return number.replace("-", "\u2212") if re.search("[1-9]", number) else number.lstrip("+-")


def agreement(x: float) -> str:
    """Write a correlation or a slope: 0.98, 0.998, 0.0031."""
    # 0.996 must not be read as 1, nor the small slope of a baseline as nothing; a large one has no unit of ours.
    if abs(x) >= 100:
        return signed(f"{x:,.0f}")
    if 0 < abs(x) < 0.095:
        return signed(figures(x))
    return signed(f"{x:.3f}" if 0.995 <= abs(x) < 1 else f"{x:.2f}")
