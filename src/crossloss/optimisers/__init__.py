"""Update rules, each with its exact adjoint; those named as in ``torch.optim`` take the same steps."""

from crossloss.optimisers.adagrad import Adagrad
from crossloss.optimisers.adam import Adam, AdamW
from crossloss.optimisers.averaged import Averaged
from crossloss.optimisers.clip import ClipNorm, ClipValue
from crossloss.optimisers.groups import Frozen, ParameterGroups
from crossloss.optimisers.heavy_ball import HeavyBall
from crossloss.optimisers.manifest import RULES, described, from_dict, to_dict
from crossloss.optimisers.muon import Muon
from crossloss.optimisers.nadam import NAdam
from crossloss.optimisers.preconditioned import preconditioned
from crossloss.optimisers.rates import MomentumWarmup, Rate, rate
from crossloss.optimisers.rmsprop import RMSprop
from crossloss.optimisers.sgd import SGD

__all__ = [
    "RULES",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Averaged",
    "ClipNorm",
    "ClipValue",
    "Frozen",
    "HeavyBall",
    "MomentumWarmup",
    "Muon",
    "NAdam",
    "ParameterGroups",
    "RMSprop",
    "Rate",
    "described",
    "from_dict",
    "preconditioned",
    "rate",
    "to_dict",
]
