"""An objective as one word of a command line: TYPE:argument/argument, words of a set joined by commas."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from crossloss.core import UserError

SYNTAX: dict[str, str] = {}
"""How each kind of objective is written on a command line, by what stands before its colon."""


class _Form(NamedTuple):
    """What ``add_form`` was given."""

    type: str
    syntax: str
    fields: Sequence[str]
    constant: Mapping[str, Any]


_FORMS: dict[str, _Form] = {}


def add_form(kind: str, type: str, syntax: str, fields: Sequence[str], **constant: Any) -> None:
    """Let an objective be written as KIND:arguments.

    Parameters
    ----------
    kind : str
    type : str
        The ``type`` that it is written for.
    syntax : str
        A pattern of arguments between slashes, which is also what a user is shown: ``WORD`` is one word, ``WORD,...``
        is several, and what stands in brackets may be left out. Without slash or comma it is the whole rest.
    fields : sequence of str
        The field of each argument; where there are more arguments than fields, the last has a list of the rest.
    **constant
        Further entries of the dict.
    """
    _FORMS[kind] = _Form(type, syntax, fields, constant)
    SYNTAX[kind] = f"{kind}:{syntax}"


def parse(written: str) -> dict[str, Any]:
    """Read TYPE:arguments as the dict that ``from_dict`` takes.

    Parameters
    ----------
    written : str
        Such as similarity:he/nurse, margin:dooku/vader,sidious/kirk, abs:weat6.

    Raises
    ------
    UserError
        No such type, or other arguments than it takes.
    """
    kind, _, rest = written.partition(":")
    if kind not in _FORMS:
        close = difflib.get_close_matches(kind, SYNTAX, n=1)
        hint = f"did you mean {SYNTAX[close[0]]}? " if close else ""
        raise UserError(f"There is no objective {kind!r} in {written!r}; {hint}there are: {', '.join(SYNTAX)}.")
    type, syntax, fields, constant = _FORMS[kind]
    if "/" not in syntax and "," not in syntax:
        return {"type": type, fields[0]: rest, **constant}
    needed = syntax.partition("[")[0].count("/") + 1
    shown = syntax.replace("[", "").replace("]", "").split("/")
    listed = len(shown) > len(fields)
    given = rest.split("/")
    most = len(given) if listed and "[" in syntax else len(shown)
    if not needed <= len(given) <= most or not all(word.strip() for part in given for word in part.split(",")):
        raise UserError(f"{written!r} is not how {kind} is written: give {SYNTAX[kind]}.")
    last = len(fields) - 1
    parts = [part.split(",") if "," in shown[min(i, last)] else part for i, part in enumerate(given)]
    values = [*parts[:last], parts[last:]] if listed else parts
    return {"type": type, **dict(zip(fields, values, strict=False)), **constant}
