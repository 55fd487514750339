"""Terms that several update rules have in common, each with its derivative where the adjoints need it."""

import torch
from torch import Tensor

from crossloss.core import State


def with_decay(g: Tensor, state: State, weight_decay: float) -> Tensor:
    """G = g + weight_decay theta."""
    return torch.add(g, state["theta"], alpha=weight_decay) if weight_decay else g


def over_root(x: Tensor, root: Tensor, d: Tensor) -> Tensor:
    """x/(r D^2), by which a step x/D with D = r + eps moves with r^2 (times -1/2); nothing where r = 0."""
    return (x / root).masked_fill_(root == 0, 0).div_(d).div_(d)
