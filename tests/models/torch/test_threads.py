"""Passes of small torch models take one thread, with the same results; large ones take all; either leaves all after."""

import pytest
import torch

import crossloss as cl
from crossloss.models import threads

SAMPLES = 6


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def field(seen, fail=False, **more):
    def loss(outputs, batch, *frozen):
        seen.append(torch.get_num_threads())
        if fail:
            raise ZeroDivisionError
        return (outputs[:, 0] - batch["y"]) ** 2 + sum(part.sum(1) for part in frozen)

    generator = torch.Generator().manual_seed(0)
    data = {"x": torch.randn(SAMPLES, 3, generator=generator), "y": torch.randn(SAMPLES, generator=generator)}
    torch.manual_seed(0)
    return cl.TorchField(
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)), loss, data, **more
    )


def passes(field):
    theta, w = field.initial, torch.ones(SAMPLES, dtype=torch.float64)
    here, into, by_weight = field.at(theta, w, 0), field.accumulator(2), field.accumulator(2)
    a = torch.linspace(-1, 1, 2 * len(theta)).reshape(2, -1)
    back = here.pullback(a, into)
    here.weight_gradient(a, by_weight)
    return field.gradient(theta, w, 0), torch.tensor(field.loss(theta, w)), back, into.samples(), by_weight.samples()


FROZEN = {"frozen": lambda view, w: (w[:, None] * next(iter(view.values())).sum()).float()}


@pytest.mark.parametrize("mini", [{}, {"batch_size": 4}, FROZEN])
def test_a_small_pass_is_in_one_thread_and_gives_the_same(two_threads, monkeypatch, mini):
    seen = []
    small = passes(field(seen, **mini))
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
    monkeypatch.setattr(threads, "SMALL", 0)
    seen.clear()
    large = passes(field(seen, **mini))
    assert set(seen) == {2}
    assert all(torch.equal(a, b) for a, b in zip(small, large, strict=True))


def test_what_is_small_is_parameters_times_the_samples_of_a_pass(two_threads, monkeypatch):
    seen = []
    whole, part = field(seen), field(seen, batch_size=2)
    p = len(whole.initial)
    monkeypatch.setattr(threads, "SMALL", 4 * p)
    w = torch.ones(SAMPLES, dtype=torch.float64)
    whole.gradient(whole.initial, w, 0)
    part.gradient(part.initial, w, 0)
    part.loss(part.initial, w)  # of all samples
    assert seen == [2, 1, 2]


def test_threads_are_as_they_were_after_an_error(two_threads):
    seen = []
    failing = field(seen, fail=True)
    with pytest.raises(ZeroDivisionError):
        failing.gradient(failing.initial, torch.ones(SAMPLES, dtype=torch.float64), 0)
    assert (seen, torch.get_num_threads()) == ([1], 2)


def test_other_devices_keep_their_threads(two_threads):
    with threads.one_core_where_small(1, torch.device("cuda")):
        assert torch.get_num_threads() == 2
    with threads.one_core_where_small(1, torch.device("cpu")):
        assert torch.get_num_threads() == 1
