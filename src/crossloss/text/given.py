"""Sentences and documents that Python hands over: a list of strings, and nothing that only looks like one."""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np

from crossloss.core import UserError

_OFTEN = {
    str: "a string, whose letters would be the sentences: give a list, such as text.splitlines()",
    bytes: "bytes: give a list of strings",
    bytearray: "bytes: give a list of strings",
    Mapping: "a mapping: give a list of its texts",
    set: "a set, which has no order: give a list",
    frozenset: "a set, which has no order: give a list",
    PathLike: "a path: read a file with cl.read(path)",
}


def strings(given: Any, name: str) -> list[str]:
    """The strings of a list, tuple, generator, one-dimensional array or column of a table.

    Parameters
    ----------
    given : iterable of str
    name : str
        What they are called, for messages: sentences, documents, candidates.

    Raises
    ------
    UserError
        What was given is a string, a table, a mapping, a set, a path, or of several dimensions; or one of its items
        is no string. The message has the type and, of an item, its number from 0.
    """
    for kind, said in _OFTEN.items():
        if isinstance(given, kind):
            raise UserError(f"{name} is {said}.")
    called = type(given).__name__
    if hasattr(given, "columns") or hasattr(given, "column_names"):
        names = [str(c) for c in list(getattr(given, "column_names", None) or getattr(given, "columns", []))]
        column = next((c for c in ("text", "sentence") if c in names), names[0] if names else "text")
        raise UserError(f"{name} is a {called} with columns: give one of them, such as table[{column!r}].")
    if len(getattr(given, "shape", (0,))) != 1:
        raise UserError(f"{name} is a {called} of shape {tuple(given.shape)}: give one dimension of strings.")
    if hasattr(given, "read") and hasattr(given, "readline"):
        raise UserError(f"{name} is an open file: read it with cl.read(path).")
    if hasattr(given, "token_pattern"):
        raise UserError(f"{name} is a corpus already: give its texts.")
    if not isinstance(given, Iterable):
        raise UserError(f"{name} is of type {called}: give a list of strings.")
    return [item if type(item) is str else _string(item, f"{name}[{i}]") for i, item in enumerate(given)]


def _string(item: Any, where: str) -> str:
    if hasattr(item, "as_py"):  # what iterating over an Arrow column gives
        item = item.as_py()
    if isinstance(item, str):
        return str(item)
    if item is None or isinstance(item, float | np.floating) or type(item).__name__ in ("NAType", "NaTType"):
        raise UserError(f"{where} is {item}: leave missing ones out, such as by column.dropna().")
    if isinstance(item, list | tuple | np.ndarray) and all(isinstance(part, str) for part in item):
        raise UserError(
            f"{where} is of type {type(item).__name__}: give strings, split tokens as ' '.join(tokens) and tokens=True."
        )
    raise UserError(f"{where} is of type {type(item).__name__}: give strings.")
