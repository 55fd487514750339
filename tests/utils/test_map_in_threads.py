"""Work ahead in threads: results in order, few of them waiting, errors where they belong."""

import threading
import time

import pytest
import torch

from crossloss.utils.threads import map_in_threads


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)
    return request.param


def test_results_come_in_order_whichever_ends_first(threads):
    def slow(i):
        time.sleep(0.002 * (7 - i % 7))
        return i * i

    assert list(map_in_threads(slow, range(30))) == [i * i for i in range(30)]
    assert list(map_in_threads(slow, [])) == []


def test_no_more_wait_than_there_are_threads(threads):
    begun = []
    results = map_in_threads(begun.append, range(20))
    next(results)
    time.sleep(0.05)
    assert len(begun) <= threads + 1
    assert len(list(results)) == 19
    assert sorted(begun) == list(range(20))


def test_an_error_comes_where_its_result_would_and_ends_the_threads(threads):
    def odd(i):
        if i == 5:
            raise ValueError("five")
        return i

    found, before = [], threading.active_count()
    with pytest.raises(ValueError, match="five"):
        found.extend(map_in_threads(odd, range(100)))
    assert found == [0, 1, 2, 3, 4]
    assert threading.active_count() == before
