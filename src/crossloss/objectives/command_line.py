"""An objective as one word of a command line: TYPE:argument/argument, words of a set joined by commas."""

import difflib
from collections.abc import Sequence
from typing import Any

from crossloss.core import UserError

SYNTAX: dict[str, str] = {}
"""How each kind of objective is written on a command line, by what stands before its colon."""
_FORMS: dict[str, tuple[str, Sequence[str], dict[str, Any]]] = {}


def add_form(kind: str, type: str, syntax: str, fields: Sequence[str], **constant: Any) -> None:
    """Let an objective of a type be written as KIND:arguments, with ``constant`` for further fields.

    ``syntax`` is a pattern of arguments between slashes, which is also what a user is shown: ``WORD`` is one word,
    ``WORD,...`` is several, and what stands in parentheses may be left out. Without slash or comma it is the whole
    rest. ``fields`` has the field of each argument; the last has a list of the rest where there are more arguments.
    """
    _FORMS[kind] = syntax, fields, {"type": type, **constant}
    SYNTAX[kind] = f"{kind}:{syntax}"


def parse(written: str) -> dict[str, Any]:
    """Read KIND:arguments, such as margin:dooku/vader,sidious/kirk, as the dict that ``from_dict`` takes.

    UserError where there is no such kind, or it takes other arguments.
    """
    kind, _, rest = written.partition(":")
    if kind not in _FORMS:
        close = difflib.get_close_matches(kind, SYNTAX, n=1)
        hint = f"did you mean {SYNTAX[close[0]]}? " if close else ""
        raise UserError(f"There is no objective {kind!r} in {written!r}; {hint}there are: {', '.join(SYNTAX)}.")
    syntax, fields, constant = _FORMS[kind]
    if "/" not in syntax and "," not in syntax:
        return constant | {fields[0]: rest}
    needed = syntax.partition("(")[0].count("/") + 1
    shown = syntax.replace("(", "").replace(")", "").split("/")
    nested = len(shown) > len(fields)
    given = rest.split("/")
    most = len(given) if nested and "(" in syntax else len(shown)
    if not needed <= len(given) <= most or not all(word.strip() for part in given for word in part.split(",")):
        raise UserError(f"{written!r} is not how {kind} is written: give {SYNTAX[kind]}.")
    last = len(fields) - 1
    parts = [part.split(",") if "," in shown[min(i, last)] else part for i, part in enumerate(given)]
    return constant | dict(zip(fields, [*parts[:last], parts[last:]] if nested else parts, strict=False))
