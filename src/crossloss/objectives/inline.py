"""An objective as one word of a command line: TYPE:argument/argument, words of a set joined by commas."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crossloss.core import UserError
from crossloss.objectives.algebra import Composable
from crossloss.objectives.association import association, margin
from crossloss.objectives.displacement import displacement
from crossloss.objectives.likelihood import Likelihood, likelihood
from crossloss.objectives.mac import mac
from crossloss.objectives.one_sided import one_sided
from crossloss.objectives.projection import projection
from crossloss.objectives.ripa import ripa
from crossloss.objectives.separation import separation
from crossloss.objectives.similarity import similarity
from crossloss.text.encoding import decode


def _set(argument: str) -> tuple[str, ...]:
    return tuple(argument.split(","))


def _pairs(arguments: Sequence[str]) -> list[Any]:
    return [_set(argument) for argument in arguments]


WRITTEN: dict[str, tuple[str, int, int, Callable[..., Composable]]] = {
    "displacement": (
        "WORD or displacement:WORD/TOWARD,...",
        1,
        2,
        lambda w, t="": displacement(w, _set(t) if t else ()),
    ),
    "similarity": ("WORD/WORD", 2, 2, similarity),
    "margin": ("WORD/NEAR,.../FAR,...", 3, 3, lambda w, n, f: margin(w, _set(n), _set(f))),
    "association": ("WORD/A,.../B,...", 3, 3, lambda w, a, b: association(w, _set(a), _set(b))),
    "one-sided": ("X,.../Y,.../A,...", 3, 3, lambda x, y, a: one_sided(_set(x), _set(y), _set(a))),
    "separation": ("WORD,WORD,...", 1, 1, lambda words: separation(_set(words))),
    "projection": ("WORD,.../he,she/man,woman/...", 2, 99, lambda w, *pairs: projection(_set(w), _pairs(pairs))),
    "ripa": ("WORD,.../he,she/man,woman/...", 2, 99, lambda w, *pairs: ripa(_set(w), _pairs(pairs))),
    "mac": ("WORD,.../ATTRIBUTE,.../ATTRIBUTE,.../...", 2, 99, lambda w, *sets: mac(_set(w), _pairs(sets))),
}
"""How each is written, the least and the most arguments it takes, and what makes it of them."""

REFERRING = {"abs": "OBJECTIVE", "sum": "OBJECTIVE/OBJECTIVE/...", "difference": "OBJECTIVE/OBJECTIVE"}
"""Those made of other objectives, which have a name each."""

SYNTAX = {name: f"{name}:{row[0]}" for name, row in WRITTEN.items()} | {"likelihood": "likelihood:FILE.txt"}
SYNTAX |= {name: f"{name}:{shown}" for name, shown in REFERRING.items()}


def inline(written: str, find: Callable[[str], Composable]) -> Composable:
    """Read TYPE:arguments.

    Parameters
    ----------
    written : str
        Such as similarity:he/nurse, margin:dooku/vader,sidious/kirk, abs:weat6.
    find : callable
        Gives the objective of a name; sums, differences and sizes are of named ones.

    Raises
    ------
    UserError
        No such type, or arguments that it does not take.
    """
    kind, _, rest = written.partition(":")
    if kind not in SYNTAX:
        close = difflib.get_close_matches(kind, SYNTAX, n=1)
        hint = f"did you mean {SYNTAX[close[0]]}? " if close else ""
        raise UserError(f"There is no objective {kind!r} in {written!r}; {hint}there are: {', '.join(SYNTAX)}.")
    if kind == "likelihood":
        return text_file(Path(rest))
    if kind == "abs":
        return abs(find(rest))
    arguments = rest.split("/")
    fault = UserError(f"{written!r} is not how {kind} is written: give {SYNTAX[kind]}.")
    if not all(word.strip() for argument in arguments for word in _set(argument)):
        raise fault
    if kind in REFERRING:
        if len(arguments) < 2 or (kind == "difference" and len(arguments) > 2):
            raise fault
        first, *others = (find(argument) for argument in arguments)
        for other in others:
            first = first + other if kind == "sum" else first - other
        return first
    _, least, most, make = WRITTEN[kind]
    if not least <= len(arguments) <= most:
        raise fault
    return make(*arguments)


def text_file(path: Path, name: str = "") -> Likelihood:
    """Likelihood of a text file, a sentence a line.

    Raises
    ------
    UserError
        The file cannot be read, or holds no text.
    """
    try:
        lines = decode(path, path.read_bytes()).splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read as text ({error}): give a UTF-8 file, a sentence a line.") from error
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in path.stem)
    return likelihood(lines, name or f"likelihood-{stem}")
