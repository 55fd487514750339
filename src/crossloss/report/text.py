"""Corpus text on its way to a page: characters that must not be shown, highlights, long texts cut."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Span = tuple[int, int, float]

LEVELS, LONGEST, CONTEXT = 4, 2000, 80
FAINT = 0.1
"""Part of the strongest word of its sentence below which a word stays plain."""

# C0 and C1 controls but tab and newline; lone surrogates; the two noncharacters that HTML forbids.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Piece:
    """A stretch of a text shown in one way: "" where ``left_out`` characters were cut; ``level`` is -4 to 4."""

    text: str
    contribution: float = 0.0
    level: int = 0
    left_out: int = 0


def clean(text: str) -> str:
    """Replace control characters and lone surrogates by U+FFFD, one for one; tab and newline stay."""
    return _HIDDEN.sub("\ufffd", text)


def highlight(text: str, spans: Iterable[Span] = (), longest: int = LONGEST) -> list[Piece]:
    """Split a text into pieces of equal contribution, which joined are the text but for what was left out.

    ``spans`` (start, end, contribution) may overlap and are clipped to the text. Of a longer text about ``longest``
    characters are shown, around the strongest spans.
    """
    inside = [
        (max(start, 0), min(end, len(text)), value)
        for start, end, value in spans
        if math.isfinite(value) and max(start, 0) < min(end, len(text))
    ]
    pieces: list[tuple[str, float, int]] = []
    at = 0
    for start, end in [*_windows(len(text), inside, longest), (len(text), len(text))]:
        if start > at:
            pieces.append(("", 0.0, start - at))
        at = end
        here = [s for s in inside if s[0] < end and s[1] > start]
        edges = {edge for s in here for edge in s[:2] if start < edge < end}
        for left, right in pairwise(sorted({start, end} | edges)):
            covering = math.fsum(value for a, b, value in here if a <= left and right <= b)
            pieces.append((text[left:right], covering, 0))
    strongest = max((abs(value) for _, value, _ in pieces), default=0.0)
    return [Piece(part, value, _level(value, strongest), left_out) for part, value, left_out in pieces]


def _level(value: float, strongest: float) -> int:
    if abs(value) <= FAINT * strongest:
        return 0
    return int(math.copysign(math.ceil(LEVELS * abs(value) / strongest), value))


def _windows(length: int, spans: Sequence[Span], longest: int) -> list[tuple[int, int]]:
    """Disjoint ascending stretches that are shown: all, or the surroundings of the strongest spans."""
    if length <= longest:
        return [(0, length)] if length else []
    budget, windows = longest, []
    for start, end, _ in sorted(spans, key=lambda s: (-abs(s[2]), s[0])):
        if budget <= 0:
            break
        left = max(start - CONTEXT, 0)
        right = min(end + CONTEXT, left + budget, length)
        windows.append((left, right))
        budget -= right - left
    merged: list[tuple[int, int]] = []
    for left, right in sorted(windows or [(0, longest)]):
        if merged and left <= merged[-1][1]:
            left, right = merged[-1][0], max(right, merged.pop()[1])
        merged.append((left, right))
    return merged
