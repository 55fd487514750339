"""Torch's clipping is watched while someone listens, wherever it has a name, and is torch's own again after."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from crossloss.run import clipping

OWN = clipping.WATCHED
"""Torch's functions, in a dict: by a name of this module they would be replaced here too."""


@pytest.fixture
def module(monkeypatch):
    """A module that has one of them by another name, and something else."""
    made = ModuleType("a_loop")
    made.clip, made.other = OWN["clip_grad_norm_"], len
    monkeypatch.setitem(sys.modules, "a_loop", made)
    return made


def parameters():
    p = nn.Parameter(torch.zeros(4))
    p.grad = torch.full((4,), 3.0)
    return [p]


def test_it_is_heard_by_every_name_and_undone_with_the_last_listener(module):
    first, second = [], []
    listeners = [lambda *call: first.append(call), lambda *call: second.append(call)]
    assert nn.utils.clip_grad_norm_ is OWN["clip_grad_norm_"]
    clipping.listen(listeners[0])
    clipping.listen(listeners[1])
    assert module.clip is not OWN["clip_grad_norm_"]
    assert module.other is len
    given = parameters()
    norm = module.clip(iter(given), 1.0, norm_type=1.0)
    assert float(norm) == 12.0
    assert float(given[0].grad.abs().sum()) == pytest.approx(1.0, rel=1e-5)
    nn.utils.clip_grad_value_(given[0], clip_value=0.1)
    assert [(kind, limit, order) for kind, _, limit, order in first] == [
        ("clip_grad_norm_", 1.0, 1.0), ("clip_grad_value_", 0.1, 2.0)
    ]  # fmt: skip
    assert first[0][1] == given
    assert first == second
    clipping.stop(listeners[0])
    nn.utils.clip_grad_norm_(given, 5.0)
    assert (len(first), len(second)) == (2, 3)
    assert module.clip is not OWN["clip_grad_norm_"]
    clipping.stop(listeners[1])
    assert module.clip is OWN["clip_grad_norm_"]
    assert {name: getattr(nn.utils, name) for name in OWN} == OWN
    clipping.stop(listeners[1])  # gone already
    nn.utils.clip_grad_norm_(given, 5.0)
    assert len(second) == 3


def test_a_name_that_a_loop_gave_to_something_else_meanwhile_stays_so(module):
    def listener(*call):
        raise AssertionError

    clipping.listen(listener)
    module.clip = max
    clipping.stop(listener)
    assert module.clip is max
    assert not clipping._replaced
    clipping.listen(listener)
    assert module.clip is max
    clipping.stop(listener)
