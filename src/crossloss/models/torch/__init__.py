"""The field of any ``torch.nn.Module`` with a per-sample loss.

Belongs here: rows of data and the order of mini-batches, a module as a function of one flat theta, its gradient
and transposed Jacobian product, the random check for a detach.
Does not: update rules, recorded training loops (run/), or what is done with scores.
"""

from crossloss.models.torch.check import check_field
from crossloss.models.torch.field import TorchField
from crossloss.models.torch.influence import SampleInfluence
from crossloss.models.torch.view import ModelView

__all__ = ["ModelView", "SampleInfluence", "TorchField", "check_field"]
