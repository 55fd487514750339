"""What a run holds in memory, part by part, and how a budget is shared between states and directions.

The constants are bytes, counted from what the code holds at its fullest and compared with measured peaks
(docs/performance.md).
"""

from dataclasses import dataclass

from crossloss import distributed
from crossloss.core import UserError
from crossloss.run.training import spacing

INTERPRETER = 450_000_000
"""Python with torch, and gensim and matplotlib where they are used."""
SAMPLE, TOKEN = 600, 16
ELEMENT, PAIR, ORDERED_PAIR, DRAWN_PAIR = 14, 24, 12, 48
"""An ordered pair costs ``DRAWN_PAIR`` more where negatives are drawn: the sparse matrix and what a pass has of it."""


@dataclass(frozen=True)
class Needs:
    """Bytes of a run.

    Attributes
    ----------
    fixed : int
        Interpreter, corpus, counts and field.
    direction : int
        One objective in the backward pass and in its result.
    theta : int
        One set of parameters.
    """

    fixed: int
    direction: int
    theta: int

    def every(self, steps: int, budget: int) -> int:
        """Spacing s of the stored states: what the budget leaves beside one direction goes to them.

        Raises
        ------
        UserError
            It leaves too little.
        """
        left = budget - self.fixed - self.direction
        try:
            return spacing(steps, 2 * self.theta, self.theta, left)
        except UserError as error:
            raise UserError(
                f"This run needs more than --memory {budget / 1e9:.3g}GB ({self.fixed / 1e9:.1f} GB before any "
                f"training state): raise --memory, or lower --max-words, --dimension or --window."
            ) from error

    def at_once(self, directions: int, steps: int, budget: int) -> int:
        """Directions that fit beside the states, at least one."""
        every = self.every(steps, budget)
        left = budget - self.fixed - self.states(steps, every)
        return max(1, min(directions, left // self.direction))

    def states(self, steps: int, every: int) -> int:
        """Bytes of all stored states and one replayed stretch."""
        return (-(-steps // every) + 1) * 2 * self.theta + every * self.theta

    def peak(self, directions: int, steps: int, budget: int) -> int:
        """Bytes at the fullest of a run in a folder, where the states lie on disk."""
        every = self.every(steps, budget)
        return self.fixed + self.at_once(directions, steps, budget) * self.direction + (2 + every) * self.theta


def needs(
    *, samples: int, tokens: int, elements: int, pairs: int, parameters: int, width: int, drawn: bool = False
) -> Needs:
    """Needs of a skip-gram run, of one process where there are several.

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
    return Needs(
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
        theta=parameters * width,
    )
