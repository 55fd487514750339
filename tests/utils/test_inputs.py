"""Row numbers and weights from Python: read as they are meant, or one sentence."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from crossloss.core import UserError
from crossloss.utils.inputs import not_negative, read_only, row_numbers, weight_numbers

ROWS = {
    "list": [3, 0, 3],
    "tuple": (3, 0, 3),
    "array": np.array([3, 0, 3], dtype=np.uint8),
    "tensor": torch.tensor([3, 0, 3], dtype=torch.int32),
    "arrow": pa.array([3, 0, 3]),
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_any_kind_are_numbers(kind):
    found = row_numbers(ROWS[kind], 4, "rows")
    assert found.tolist() == [3, 0, 3]
    assert found.dtype == np.int64


def test_rows_are_a_copy():
    given = np.array([1, 2])
    found = row_numbers(given, 4, "rows")
    given[:] = 0
    assert found.tolist() == [1, 2]
    assert row_numbers([], 4, "rows").tolist() == []
    assert row_numbers(range(1, 3), 4, "rows").tolist() == [1, 2]


NOT_ROWS = {
    "mask": (np.array([True, False, True, False]), "boolean mask"),
    "mask of torch": (torch.tensor([True, False]), "boolean mask"),
    "mask in a list": ([True, False, True], "boolean mask"),
    "half a mask": ([2, True], "boolean mask"),
    "fractions": ([0.0, 1.0], "holds fractions"),
    "fractions of torch": (torch.tensor([1.0]), "holds fractions"),
    "negative": ([0, -1], "names row -1"),
    "beyond": ([0, 4], "names row 4, which is not there: rows are 0 to 3"),
    "a number": (2, "the single value 2"),
    "nested": ([[0, 1], [2, 3]], r"of the shape \(2, 2\)"),
    "ragged": ([[0, 1], [2]], "no flat list"),
    "text": ("012", "is a str"),
    "texts": (["0", "1"], "holds texts"),
    "nothing": (None, "is a NoneType"),
    "a dict": ({0: 1}, "is a dict"),
    "a missing one": ([0, None], "holds objects"),
}


@pytest.mark.parametrize("case", NOT_ROWS)
def test_what_are_no_rows_is_one_sentence(case):
    given, message = NOT_ROWS[case]
    with pytest.raises(UserError, match=message) as caught:
        row_numbers(given, 4, "The batch")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [[1, 0, 2], np.array([1, 0, 2], dtype=np.float16), torch.tensor([1.0, 0, 2])])
def test_weights_of_any_numbers(given):
    found = weight_numbers(given, 3, "the field")
    assert found.tolist() == [1, 0, 2]
    assert found.dtype == np.float64
    found[0] = 7
    assert float(given[0]) == 1


class Plan:
    weights = np.ones(3)


NOT_WEIGHTS = {
    "mask": (np.array([True, False, True]), "boolean mask"),
    "short": ([1.0], "for 1 samples and the field has 3 samples"),
    "a column": (np.ones((3, 1)), r"shape \(3, 1\)"),
    "one number": (1.0, "single value 1.0"),
    "nan": ([1, float("nan"), 1], "weight of sample 1 is not finite"),
    "infinite": ([1, 1, float("inf")], "weight of sample 2"),
    "complex": ([1j, 1, 1], "complex"),
    "texts": (["1", "2", "3"], "texts"),
    "a plan": (Plan(), r"pass its \.weights"),
    "a text": ("111", "is a str"),
}


@pytest.mark.parametrize("case", NOT_WEIGHTS)
def test_what_are_no_weights_is_one_sentence(case):
    given, message = NOT_WEIGHTS[case]
    with pytest.raises(UserError, match=message):
        weight_numbers(given, 3, "the field")


def test_nobody_trains_with_negative_weights_or_none():
    with pytest.raises(UserError, match="weight of sample 1 is -2"):
        not_negative(np.array([1.0, -2.0]))
    with pytest.raises(UserError, match="nothing to train on"):
        not_negative(np.zeros(2))
    assert not_negative(np.array([0.0, 1.0])).tolist() == [0, 1]


def test_read_only_does_not_reach_the_original():
    original = np.arange(3.0)
    shown = read_only(original)
    with pytest.raises(ValueError, match="read-only"):
        shown[0] = 1
    original[0] = 5
    assert shown[0] == 5
