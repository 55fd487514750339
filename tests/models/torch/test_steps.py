"""The batches of steps: pieces of one, and the order of a loop that is over."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossloss.core import UserError
from crossloss.models.torch.steps import Part, RecordedOrder, in_float64


def part(rows, data=None):
    return Part(torch.tensor(rows), data)


@given(st.integers(1, 30), st.integers(1, 12))
def test_pieces_are_the_whole_in_order_and_even(count, size):
    whole = part(list(range(10, 10 + count)), {"x": torch.arange(count) * 2})
    pieces = whole.split(size)
    assert torch.cat([piece.rows for piece in pieces]).tolist() == whole.rows.tolist()
    assert torch.cat([piece.data["x"] for piece in pieces]).tolist() == whole.data["x"].tolist()
    lengths = [len(piece.rows) for piece in pieces]
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    assert len(pieces) == -(-count // size)
    if len(pieces) == 1:
        assert pieces[0].piece_of is None
    else:
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        assert [piece.piece_of for piece in pieces] == [(a, n, count) for a, n in zip(starts, lengths, strict=True)]


def test_a_piece_of_a_piece_keeps_its_place_in_the_whole():
    whole = part([5, 6, 7, 8, 9, 4])
    assert whole.piece(slice(0, 6)) is whole
    later = whole.piece(slice(2, 6))
    inner = later.piece(slice(1, 3))
    assert (inner.rows.tolist(), inner.piece_of) == ([8, 9], (3, 2, 6))
    some = part([1, 2, 3], torch.tensor([[1, 2], [3, 4], [5, 6]])).some(slice(1, 3))
    assert (some.rows.tolist(), some.data.tolist(), some.piece_of) == ([2, 3], [[3, 4], [5, 6]], None)
    assert part([1, 2]).some(slice(0, 1)).data is None


def test_a_recorded_order():
    order = RecordedOrder([[part([0, 1])], [part([2]), part([3, 4])], [part([0])]])
    assert not order.holds_data
    assert order(1).tolist() == [2, 3, 4]
    assert [len(p.rows) for p in order.parts(1)] == [1, 2]
    # Rows seen after each step: 2, 5, 6.
    assert [order.epoch(n) for n in (1, 2, 3, 5, 6, 7, 100)] == [1, 1, 2, 2, 3, 3, 3]
    with pytest.raises(UserError, match="3 steps were recorded and step 3 is one more"):
        order.parts(3)


def test_recorded_data_are_of_their_rows():
    data = {"x": torch.ones(2), "n": torch.ones(2, dtype=torch.int64)}
    order = RecordedOrder([[part([0, 1], data)], [part([2])]])
    assert order.holds_data
    for wrong in ({"x": torch.ones(3)}, {"x": torch.ones(2), "y": torch.ones(1)}):
        with pytest.raises(UserError, match="The data of the batch of step 1 are not of its 2 rows"):
            RecordedOrder([[part([0, 1], data)], [part([2, 3], wrong)]])
    double = order.double()
    assert double.parts(0)[0].data["x"].dtype == torch.float64
    assert double.parts(0)[0].data["n"].dtype == torch.int64
    assert double.parts(1)[0].data is None
    assert in_float64(torch.ones(1)).dtype == torch.float64
