"""Parts of an association test: halves of its words, and its frequent words only."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from crossloss.core import UserError
from crossloss.objectives.weat import SIDES, Weat


def halves(weat: Weat, index: Mapping[str, int], seed: int = 0) -> tuple[Weat, Weat]:
    """Split the present words of each set in two at random: NAME.fitted and NAME.judged.

    What is fitted to the one and judged by the other cannot have been got by moving just the fitted words. Of an odd
    number of words the fitted half has one more.

    Parameters
    ----------
    index : mapping
        Words that are present.
    seed : int

    Raises
    ------
    UserError
        A set has fewer than four words present.
    """
    generator = np.random.default_rng(seed)
    parts: tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]] = ({}, {})
    for side, label in zip(SIDES, weat.labels, strict=True):
        present = [word for word in getattr(weat, side) if word in index]
        if len(present) < 4:
            raise UserError(f"{weat.name}: {side} ({label}) has {len(present)} words present; halves need four.")
        order = generator.permutation(len(present))
        middle = (len(present) + 1) // 2
        for part, chosen in zip(parts, (order[:middle], order[middle:]), strict=True):
            part[side] = tuple(present[i] for i in sorted(chosen))
    first, second = parts
    return _with(weat, f"{weat.name}.fitted", first), _with(weat, f"{weat.name}.judged", second)


def frequent(weat: Weat, counts: Mapping[str, int], least: int) -> Weat:
    """The test with only the words that occur ``least`` times or more, under the same name.

    Raises
    ------
    UserError
        Fewer than two words of a set are left.
    """
    sides = {side: tuple(w for w in getattr(weat, side) if counts.get(w, 0) >= least) for side in SIDES}
    for side, label in zip(SIDES, weat.labels, strict=True):
        if len(sides[side]) < 2:
            raise UserError(
                f"{weat.name}: fewer than two words of {side} ({label}) occur {least} times: ask for fewer."
            )
    return _with(weat, weat.name, sides)


def _with(weat: Weat, name: str, sides: Mapping[str, tuple[str, ...]]) -> Weat:
    return replace(weat, name=name, X=sides["X"], Y=sides["Y"], A=sides["A"], B=sides["B"])
