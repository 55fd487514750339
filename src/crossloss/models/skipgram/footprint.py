"""What a skip-gram run holds in memory, part by part.

The constants are bytes, counted from what the code holds at its fullest and compared with measured peaks
(docs/performance.md).
"""

from crossloss import distributed
from crossloss.memory import Footprint

INTERPRETER = 450_000_000
"""Python with torch, and gensim and matplotlib where they are used."""
SAMPLE, TOKEN = 600, 16
ELEMENT, PAIR, ORDERED_PAIR, DRAWN_PAIR = 14, 24, 12, 48
"""An ordered pair costs ``DRAWN_PAIR`` more where negatives are drawn: the sparse matrix and what a pass has of it."""


def footprint(
    *, samples: int, tokens: int, elements: int, pairs: int, parameters: int, width: int, drawn: bool = False
) -> Footprint:
    """Memory of a skip-gram run, of one process where there are several.

    Parameters
    ----------
    samples, tokens : int
        Of the corpus.
    elements, pairs : int
        Elements of the counts that are held, not mapped from a file, and columns.
    parameters, width : int
        p, and bytes of a number.
    drawn : bool
        Whether negatives are drawn.
    """
    ordered = 2 * pairs // distributed.count()
    return Footprint(
        fixed=INTERPRETER
        + samples * SAMPLE
        + tokens * TOKEN
        + elements * ELEMENT
        + pairs * PAIR
        + ordered * (ORDERED_PAIR + DRAWN_PAIR * drawn)
        + 6 * parameters * width,
        # Its sums, the larger of what a pass and what the result needs beside them, and the scores.
        direction=ordered * width
        + max(ordered * width + 10 * parameters * width, 20 * pairs)
        + 8 * pairs
        + 32 * samples,
        state=2 * parameters * width,
        replayed=parameters * width,
        theta=parameters * width,
    )
