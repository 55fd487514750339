"""A model's preconditioner, put into the heavy balls of a rule."""

from dataclasses import replace

from torch import Tensor

from crossloss.core import Optimiser
from crossloss.optimisers.averaged import Averaged
from crossloss.optimisers.clip import GradientTransformation
from crossloss.optimisers.groups import ParameterGroups
from crossloss.optimisers.heavy_ball import HeavyBall
from crossloss.optimisers.parts import take


def preconditioned(optimiser: Optimiser, scale: Tensor) -> Optimiser:
    """The rule with the number of every heavy ball, wherever it stands in it, times ``scale`` (p,)."""
    if isinstance(optimiser, HeavyBall) and not isinstance(optimiser.scale, Tensor):
        return replace(optimiser, scale=optimiser.scale * scale)
    if isinstance(optimiser, GradientTransformation | Averaged):
        return replace(optimiser, rule=preconditioned(optimiser.rule, scale))
    if isinstance(optimiser, ParameterGroups):
        return ParameterGroups([(where, preconditioned(rule, take(scale, where))) for where, rule in optimiser.parts])
    return optimiser
