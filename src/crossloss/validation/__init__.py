"""How well scores predict retraining, and how far values depend on the start.

Belongs here: choosing subsets, retraining without them, comparing, checking plans, whether a run is smooth. Does not:
making scores or plans.
"""

from crossloss.validation.metasmoothness import smoothness
from crossloss.validation.smoothness import Smoothness
from crossloss.validation.spread import Spread, over_starts
from crossloss.validation.validate import validate
from crossloss.validation.validation import Validation

__all__ = ["Smoothness", "Spread", "Validation", "over_starts", "smoothness", "validate"]
