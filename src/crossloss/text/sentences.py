"""Paragraphs to sentences, by one simple rule."""

import re
from collections.abc import Iterator

_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|ca|cf|c|fl|No|Vol|pp|p|ed|eds|trans|approx|al|Gen|Col|Lt|Capt|Sgt"
    r"|Rev|Hon|Gov|Sen|Rep|Pres|Ph|Inc|Ltd|Co|Corp|Mt|Ft|b|d|r|Jan|Feb|Mar|Apr|Aug|Sept|Sep|Oct|Nov|Dec|e\.g|i\.e"
    r"|viz)|\b[A-Z](?:\.[A-Z])*)\.$"
)
ENGLISH = re.compile(r"(?<=[.!?])([\"')\]]*)\s+(?=[\"'(\[]*[A-Z0-9])")
"""The rule of the embedded corpus, which must stay as it is."""
ANY = re.compile(r"(?<=[.!?…؟।])([\"')\]”’»]*)\s+(?=[\"'(\[“‘«¿¡]*([^\W_]))|(?<=[。！？])([\"')\]”’»」』]*)\s*(?=\S)")
"""The same for any script: a letter that is not lower-case, or a digit; behind 。！？ nothing need follow."""


def sentences(text: str, mark: re.Pattern[str] = ANY) -> Iterator[str]:
    """Split paragraphs (one a line) into sentences.

    A sentence ends at . ! ? … (and । ؟) with any closing quotes, where white space and a capital letter or a digit
    follow and no abbreviation or initial stands before; and at 。！？.
    """
    for paragraph in text.split("\n"):
        start = 0
        for end in mark.finditer(paragraph):
            closing, letter, wide = (*end.groups(default=""), "", "")[:3]
            before = paragraph[start : end.start()]
            if not letter.islower() and not _ABBREVIATION.search(before):
                yield " ".join((before + closing + wide).split())
                start = end.end()
        if rest := " ".join(paragraph[start:].split()):
            yield rest
