"""Which parameters have nothing but rounding noise for a gradient, and are left out of a comparison."""

import torch
from torch import nn

from crossloss.models.torch.view import Layout
from crossloss.run.departure import OnlyNoise, departure

EPS = torch.finfo(torch.float32).eps


def test_noise_is_noise_at_every_step():
    sizes = [100, 100, 4, 4]
    always = [[1.0, 2.0, 1e-8, 0.0], [0.5, 2.0, 3e-8, 0.0]]
    assert OnlyNoise(always, sizes, EPS).until(9) == {2}, "a gradient of 0 moves nothing and is compared"
    assert OnlyNoise([*always, [1.0, 1.0, 1e-3, 0.0]], sizes, EPS).until(9) == set(), "it had one once"
    assert OnlyNoise([[1.0, float("nan"), 1e-8, 0.0]], sizes, EPS).until(9) == {2}, "no gradient is no noise"


def test_what_is_left_out_is_not_compared():
    layout = Layout(nn.Linear(3, 2))
    recorded = layout.initial
    moved = recorded.clone()
    moved[-1] += 1.0  # of the bias
    assert departure(layout, moved, recorded).name == "bias"
    assert departure(layout, moved, recorded, {1}).relative == 0.0
    moved[0] += 0.5
    assert departure(layout, moved, recorded, {1}).name == "weight"
