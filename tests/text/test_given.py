"""What Python hands over as sentences: lists of strings in any wrapping, and nothing that only looks like one."""

from collections import OrderedDict, UserDict, deque
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import crossloss as cl
from crossloss.core import UserError

SAID = ["she saw the fox", "he saw the owl"]


class Series:
    """A column of a table as pandas has it: one dimension, a shape, iterated over its values."""

    def __init__(self, values):
        self.values, self.shape = values, (len(values),)

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)


class NAType:
    """What pandas puts where a string is missing; it equals nothing."""

    def __repr__(self):
        return "<NA>"


class Table:
    """A data frame: iterated over the names of its columns."""

    columns, shape = ("label", "text"), (2, 2)

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize(
    "wrap",
    [list, tuple, iter, deque, np.array, lambda s: np.array(s, dtype=object), pa.array, Series,
     lambda s: (x for x in s), lambda s: dict.fromkeys(s).keys()]
)  # fmt: skip
def test_strings_in_any_wrapping(wrap):
    corpus = cl.from_sentences(wrap(SAID), wrap(["A", "B"]), candidates=wrap(SAID))
    assert corpus.texts == SAID * 2
    assert corpus.documents == ["A", "B", "", ""]
    assert {type(text) for text in corpus.texts} == {str}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("she saw\nhe saw", "is a string, whose letters would be the sentences"),
        (b"she saw", "is bytes"),
        (bytearray(b"a"), "is bytes"),
        ({"text": SAID}, "is a mapping"),
        (OrderedDict(a="b c"), "is a mapping"),
        (UserDict(a="b c"), "is a mapping"),
        (set(SAID), "a set, which has no order"),
        (frozenset(SAID), "a set, which has no order"),
        (Path("c.txt"), r"read a file with cl.read\(path\)"),
        (Table(), r"is a Table with columns: give one of them, such as table\['text'\]"),
        (pa.table({"body": SAID}), r"such as table\['body'\]"),
        (np.array([SAID]), r"of shape \(1, 2\)"),
        (np.array("she saw"), r"of shape \(\)"),
        (None, "is of type NoneType"),
        (3, "is of type int"),
        (cl.from_sentences(SAID), "is a corpus already"),
    ],
)
def test_what_is_no_list_of_strings(given, message):
    for call in (
        lambda: cl.from_sentences(given),
        lambda: cl.from_sentences(SAID, candidates=given),
        lambda: cl.from_sentences(SAID, given) if given is not None else cl.from_sentences(given),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_an_open_file_is_no_list(tmp_path):
    (tmp_path / "c.txt").write_text("a b\n")
    with (tmp_path / "c.txt").open() as file, pytest.raises(UserError, match="open file"):
        cl.from_sentences(file)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, r"sentences\[1\] is None: leave missing ones out"),
        (float("nan"), r"sentences\[1\] is nan: leave missing ones out"),
        (np.float64("nan"), r"sentences\[1\] is nan"),
        (NAType(), r"sentences\[1\] is <NA>: leave missing ones out"),
        (3, r"sentences\[1\] is of type int"),
        ((1, "she saw"), r"is of type tuple: give strings\.$"),
        (b"a b", r"sentences\[1\] is of type bytes"),
        (["she", "saw"], r"sentences\[1\] is of type list.*' '.join\(tokens\) and tokens=True"),
        (("she", "saw"), "of type tuple"),
        (np.array(["she"]), "of type ndarray"),
        ({"text": "she saw"}, "of type dict"),
    ],
)
def test_an_item_that_is_no_string_is_named(item, message):
    with pytest.raises(UserError, match=message):
        cl.from_sentences([SAID[0], item])
    with pytest.raises(UserError, match=message):
        cl.from_sentences(np.array([SAID[0], None], dtype=object)) if item is None else cl.from_sentences(
            [SAID[0], item]
        )


def test_a_null_of_arrow_is_missing():
    with pytest.raises(UserError, match=r"sentences\[1\] is None"):
        cl.from_sentences(pa.array(["a b", None]))
