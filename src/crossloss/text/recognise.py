"""Texts that are not a sentence a line though their name does not say so: what they are, and what to do with them."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

import regex

from crossloss.core import UserError
from crossloss.text.rows import TEXT_COLUMNS
from crossloss.text.tokens import UNSPACED

LINES = 2000
"""Lines at the start of a file that are looked at, blank ones left out."""
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
_WORD_TAG = re.compile(r"\S+[/_|][A-Z][A-Z$]{0,4}\d?")
_TAG = re.compile(r"[A-Z]+[$]?|[^\w\s]+|[A-Z]+_\S+")
_CHUNK = re.compile(r"O|[BIESLU]-\S+")


def refuse_other_layouts(path: object, content: str, lines: Sequence[str]) -> None:
    """Refuse a text that is plainly in a layout other than a sentence a line, with how to make a corpus of it."""
    start = content.lstrip() + "\n"
    for pattern, kind in _STARTS.items():
        if re.match(pattern, start):
            raise UserError(f"{path} is {kind}.")
    some = list(islice(filter(str.strip, lines), LINES))
    for look in (_marked, _json, _tabs, _named_columns, _spaces, _of_words):
        if layout := look(some):
            raise UserError(f"{path} {layout}.")


def _most(parts: Iterable[object], share: float = MOST) -> bool:
    """Whether so many of some things are true; False of none."""
    true = list(map(bool, parts))
    return bool(true) and sum(true) >= share * len(true)


def _columns(rows: Sequence[Sequence[str]]) -> int:
    """Columns of nearly all rows; 0 where they differ or there are fewer than two rows."""
    size, often = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    return size if len(rows) > 1 and often >= MOST * len(rows) else 0


def _token_a_line(what: str, column: int = 1) -> str:
    return (
        f"{what}: write a sentence a line, where blank lines part sentences with "
        f'`awk \'/^#/ {{next}} NF {{printf "%s ", ${column}}} !NF {{print ""}}\' FILE`'
    )


def _marked(lines: Sequence[str]) -> str | None:
    for pattern, (share, kind) in _EACH.items():
        if _most((re.match(pattern, line) for line in lines), share) and (len(lines) > 1 or "-->" in pattern):
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


def _tabs(lines: Sequence[str]) -> str | None:
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    if len(rows) > 1 and _most(len(row) > 6 and row[1] and re.fullmatch(r"\d+([-.]\d+)?", row[0]) for row in rows):
        if any(line.startswith("# text = ") for line in lines):
            return "is CoNLL-U, a token a line: write its sentences with `grep '^# text = ' FILE | cut -c10-`"
        return _token_a_line("is CoNLL, a token a line", 2)
    size = _columns(rows)
    if size < 2:
        return None
    if _most(" " not in row[0] and all(len(cell.split()) <= 1 for cell in row) for row in rows):
        return _token_a_line("is CoNLL or another table of a token a line")
    return (
        f"is a table of {size} columns parted by tabs: name it .tsv, with a header line, or replace the tabs by "
        "spaces if each line is a sentence"
    )


def _named_columns(lines: Sequence[str]) -> str | None:
    for mark in ",;|":
        header = [cell.strip().strip('"').lower() for cell in lines[0].split(mark)]
        named = len(header) > 1 and len(lines) > 1 and set(TEXT_COLUMNS) & set(header)
        if named and _most(line.count(mark) >= len(header) - 1 for line in lines[1:]):
            return f"is a table with a header line ({', '.join(header)}): name it .csv"
    return None


def _spaces(lines: Sequence[str]) -> str | None:
    """Columns parted by spaces, the last of them tags of chunks or of parts of speech; or a word a line."""
    rows = [line.split() for line in lines if not line.startswith(("#", "-DOCSTART-"))]
    if len(rows) >= 4 and 2 <= _columns(rows) <= 12:
        first, second = (_most(_TAG.fullmatch(" ".join(row[i : i + 1])) for row in rows) for i in (0, 1))
        if _most(_CHUNK.fullmatch(row[-1]) for row in rows) or (second and not first):
            return _token_a_line("is CoNLL, a token a line")
    if len(lines) < 20 or any(len(line) > 40 for line in lines) or regex.search(f"[{UNSPACED}]", "".join(lines)):
        return None
    return _token_a_line("has a word a line") if _most(len(line.split()) == 1 for line in lines) else None


def _of_words(lines: Sequence[str]) -> str | None:
    words = [word for line in lines for word in line.split()]
    if len(words) >= 4 and _most(map(_WORD_TAG.fullmatch, words)):
        advice = "take the tags out with `sed -E 's#[/_|][A-Z$]+[0-9]?( |$)#\\1#g' FILE`"
        return f"has a tag on each word (as in The/DT): {advice}"
    for pattern, (more_than, kind) in _PIECES.items():
        if sum(map(bool, map(re.compile(pattern).match, words))) > more_than * len(words):
            return f"is cut into pieces of words (as in {kind}"
    return None
