"""Texts that are not a sentence a line though their name does not say so: what they are, and what to do with them."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence

import regex

from crossloss.core import UserError
from crossloss.text.rows import TEXT_COLUMNS
from crossloss.text.tokens import UNSPACED

LINES = 2000
"""Lines at the start of a file that are looked at."""
MOST = 0.9
"""Part of the lines that must be of a kind."""
_TIMES = "keep their text, without numbers and times, a sentence a line"
_TIME = r"(?:\d+:)?\d{1,2}:\d\d[.,]\d{1,3}"
_STARTS = {
    r"(?i)<!doctype html|<html\b": "HTML: save its text",
    r"<\?xml": "XML: save its text",
    r"\{\\rtf": "RTF: save it as plain text",
    r"\\documentclass|\\begin\{document\}": "TeX: take its text out with `detex`",
    r"WEBVTT|(?i:\[script info\])": f"subtitles: {_TIMES}",
    r"<[A-Za-z/!][^<>\n]*>[ \t]*\n": "text with mark-up: take the lines of tags out with `grep -v '^<.*>$'`",
}
_EACH = {
    rf"{_TIME}(?: --> {_TIME}|,{_TIME}\s*$)": (0.1, f"subtitles: {_TIMES}"),
    r"\{\d+\}\{\d+\}": (MOST, f"subtitles: {_TIMES}"),
    r"Dialogue: ": (0.5, f"subtitles: {_TIMES}"),
    r"<s>.*</s>\s*$": (MOST, "sentences between <s> and </s>: keep their text, between the marks"),
    r"\[\d{1,2}:\d\d(?:[.:]\d+)*\]": (MOST, f"lines with times: {_TIMES}"),
}
"""What a line starts with, in how many of the lines, and what such a text is."""
_PIECES = {
    r".*@@$": (0.01, r"un@@ able): join them with `sed -E 's/@@( |$)//g' FILE`"),
    r"##.": (0.01, "un ##able): join them with `sed 's/ ##//g' FILE`"),
    "\u2581": (0.1, "\u2581un able): join them with `sed 's/ //g; s/\u2581/ /g' FILE`"),
}
"""The same of words that a tokeniser cut."""
_TAG = re.compile(r"[A-Z]+[$]?|[^\w\s]+|[A-Z]+_\S+")
_TAGS = ((slice(0, 1), _TAG), (slice(1, 2), _TAG), (slice(-1, None), re.compile(r"O|[BIESLU]-\S+")))
"""Where in a row tags of parts of speech and of chunks may stand."""


def refuse_other_layouts(path: object, content: str, lines: Sequence[str]) -> None:
    """Refuse a text that is plainly in a layout other than a sentence a line, with how to make a corpus of it."""
    start = content.lstrip() + "\n"
    for pattern, kind in _STARTS.items():
        if re.match(pattern, start):
            raise UserError(f"{path} is {kind}.")
    some = [line for line in lines[:LINES] if line.strip()]
    for look in (_marked, _json, _conllu, _tabs, _named_columns, _columns, _single_words, _of_words):
        if layout := look(some):
            raise UserError(f"{path} {layout}.")


def _share(parts: Sequence[str], is_such: Callable[[str], object]) -> float:
    return sum(bool(is_such(part)) for part in parts) / max(1, len(parts))


def _common_size(rows: Sequence[Sequence[str]]) -> int:
    """Columns of nearly all rows; 0 where they differ or there are fewer than two rows."""
    size, often = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    return size if len(rows) > 1 and often >= MOST * len(rows) else 0


def _token_a_line(what: str, column: int) -> str:
    return (
        f"{what}: write a sentence a line, where blank lines part sentences with "
        f'`awk \'/^#/ {{next}} NF {{printf "%s ", ${column}}} !NF {{print ""}}\' FILE`'
    )


def _marked(lines: Sequence[str]) -> str | None:
    for pattern, (least, kind) in _EACH.items():
        if _share(lines, re.compile(pattern).match) >= least and (len(lines) > 1 or "-->" in pattern):
            return f"is {kind}"
    return None


def _json(lines: Sequence[str]) -> str | None:
    if not lines[0].lstrip().startswith(("{", "[")):
        return None
    for text, kind in ((lines[0], "JSON lines: name it .jsonl"), ("\n".join(lines), "JSON: give one object a line")):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            return f"is {kind}"
    return None


def _conllu(lines: Sequence[str]) -> str | None:
    rows = [line for line in lines if not line.startswith("#")]
    if len(rows) < 2 or _share(rows, re.compile(r"\d+(?:[-.]\d+)?\t[^\t]+(?:\t[^\t]*){5,}$").match) < MOST:
        return None
    if any(line.startswith("# text = ") for line in lines):
        return "is CoNLL-U, a token a line: write its sentences with `grep '^# text = ' FILE | cut -c10-`"
    return _token_a_line("is CoNLL, a token a line", 2)


def _tabs(lines: Sequence[str]) -> str | None:
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    size = _common_size(rows)
    if size < 2:
        return None
    if sum(" " not in row[0] and all(len(cell.split()) <= 1 for cell in row) for row in rows) >= MOST * len(rows):
        return _token_a_line("is CoNLL or another table of a token a line", 1)
    return (
        f"is a table of {size} columns parted by tabs: name it .tsv, with a header line, or replace the tabs by "
        "spaces if each line is a sentence"
    )


def _named_columns(lines: Sequence[str]) -> str | None:
    for mark in ",;|":
        header = [cell.strip().strip('"').lower() for cell in lines[0].split(mark)]
        if len(header) > 1 and len(lines) > 1 and set(TEXT_COLUMNS) & set(header):
            if sum(line.count(mark) >= len(header) - 1 for line in lines[1:]) >= MOST * len(lines[1:]):
                return f"is a table with a header line ({', '.join(header)}): name it .csv"
    return None


def _columns(lines: Sequence[str]) -> str | None:
    """Columns parted by spaces, the last of them tags of chunks or of parts of speech."""
    rows = [line.split() for line in lines if not line.startswith(("#", "-DOCSTART-"))]
    if len(rows) < 4 or not 2 <= _common_size(rows) <= 12:
        return None
    first, second, last = (_share([" ".join(row[at]) for row in rows], kind.fullmatch) >= MOST for at, kind in _TAGS)
    return _token_a_line("is CoNLL, a token a line", 1) if last or (second and not first) else None


def _single_words(lines: Sequence[str]) -> str | None:
    if len(lines) < 20 or any(len(line) > 40 for line in lines) or regex.search(f"[{UNSPACED}]", "".join(lines)):
        return None
    return _token_a_line("has a word a line", 1) if _share(lines, lambda line: len(line.split()) == 1) >= MOST else None


def _of_words(lines: Sequence[str]) -> str | None:
    words = [word for line in lines for word in line.split()]
    if len(words) >= 4 and _share(words, re.compile(r"\S+[/_|][A-Z][A-Z$]{0,4}\d?").fullmatch) >= MOST:
        advice = "take the tags out with `sed -E 's#[/_|][A-Z$]+[0-9]?( |$)#\\1#g' FILE`"
        return f"has a tag on each word (as in The/DT): {advice}"
    for pattern, (more_than, kind) in _PIECES.items():
        if _share(words, re.compile(pattern).match) > more_than:
            return f"is cut into pieces of words (as in {kind}"
    return None
