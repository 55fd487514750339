"""Tiles against the plane written out: every ordered pair once, in its tile, with the pair it came from."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossloss.models.skipgram.kernels import TILE_CPU
from crossloss.models.skipgram.tiles import Tiling, _evened


@st.composite
def planes(draw):
    size = draw(st.integers(1, 12))
    every = [(a, b) for a in range(size) for b in range(a, size)]
    pairs = sorted(draw(st.sets(st.sampled_from(every))))
    return np.array(pairs, dtype=np.int32).reshape(-1, 2), size


@given(planes(), st.integers(1, 14), st.integers(1, 14))
def test_every_ordered_pair_lies_once_in_its_tile(plane, height, width):
    pairs, size = plane
    tiling = Tiling(pairs, size, largest=(height, width), exactly=True)
    ordered = sorted({(a, b) for a, b in pairs.tolist()} | {(b, a) for a, b in pairs.tolist()})
    found = []
    for tile in tiling:
        columns = tile.columns.stop - tile.columns.start
        assert tiling.rows[tile.row] == tile.rows
        assert tiling.columns[tile.column] == tile.columns
        places = tile.local.tolist()
        assert places == sorted(places)
        assert tile.local.dtype == torch.int32
        inside = [(tile.rows.start + at // columns, tile.columns.start + at % columns) for at in places]
        assert all(row < tile.rows.stop for row, _ in inside)
        sources = tiling.source[tile.pairs].tolist()
        assert [tuple(sorted(pair)) for pair in inside] == [tuple(pairs[i].tolist()) for i in sources]
        found += inside
    assert sorted(found) == ordered
    assert len(tiling) == len(ordered)
    for strips, longest in ((tiling.rows, height), (tiling.columns, width)):
        assert [i for strip in strips for i in range(strip.start, strip.stop)] == list(range(size))
        assert all(strip.stop - strip.start == min(longest, size) for strip in strips[:-1])
    values = torch.arange(1.0, len(tiling) + 1)
    folded = [float(values[tiling.source == i].sum()) for i in range(len(pairs))]
    assert tiling.fold(values).tolist() == folded


@given(st.integers(1, 5_000), st.integers(1, 4))
def test_tiles_are_even_and_each_thread_has_as_many_strips(size, threads):
    largest = (40, 100)
    height, width = _evened(size, largest, threads)
    strips, across = -(-size // height), -(-size // width)
    assert height <= largest[0]
    assert width <= largest[1]
    assert across == -(-size // largest[1]), "no more than need be"
    planned = threads * -(-size // (threads * largest[0]))
    assert strips <= planned < size / largest[0] + threads
    assert planned * (height - 1) < size, "no lower than need be"
    assert across * (width - 1) < size


@given(st.integers(1, 50_000), st.integers(1, 64))
def test_rows_of_large_tiles_begin_at_multiples_of_sixteen_elements(size, threads):
    largest = (512, 1000)
    for side, even, most in zip(_evened(size, largest, threads), _least(size, largest, threads), largest, strict=True):
        assert even <= side <= min(even + 15, most)
        assert side % 16 == 0 or side == most or side < 256


def _least(size, largest, threads):
    strips = threads * -(-size // (threads * largest[0]))
    return -(-size // strips), -(-size // -(-size // largest[1]))


def test_shape_and_strips_of_the_threads():
    pairs, size = np.array([[0, 1]], dtype=np.int32), 2_000
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        tiling = Tiling(pairs, size, largest=TILE_CPU)
        assert tiling.threads == 2
        assert tiling.shape == _evened(size, TILE_CPU, 2)
        assert [[tile.row for tile in share] for share in tiling.shares(tiling.tiles)] == [[0, 0, 2, 2], [1, 1, 3, 3]]
        least = Tiling(pairs, 2, largest=(2, 2), exactly=True)
        assert [[tile.row for tile in share] for share in least.shares(least.tiles)] == [[0]]
        assert least.shares([]) == [[]]
    finally:
        torch.set_num_threads(before)
