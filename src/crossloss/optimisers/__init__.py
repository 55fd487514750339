"""Update rules, each with its exact adjoint; those named as in ``torch.optim`` take the same steps."""

from crossloss.optimisers.adam import Adam, AdamW
from crossloss.optimisers.clip import Clip, ClipValue
from crossloss.optimisers.groups import Groups, Still
from crossloss.optimisers.heavy_ball import HeavyBall
from crossloss.optimisers.manifest import RULES, described, from_dict, to_dict
from crossloss.optimisers.preconditioned import preconditioned
from crossloss.optimisers.rates import Rate, Rising, rate
from crossloss.optimisers.sgd import SGD

__all__ = [
    "RULES",
    "SGD",
    "Adam",
    "AdamW",
    "Clip",
    "ClipValue",
    "Groups",
    "HeavyBall",
    "Rate",
    "Rising",
    "Still",
    "described",
    "from_dict",
    "preconditioned",
    "rate",
    "to_dict",
]
