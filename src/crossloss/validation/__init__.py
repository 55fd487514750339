"""How well scores predict retraining, and how far values depend on the start.

Belongs here: choosing subsets, retraining without them, comparing, checking plans. Does not: making scores or plans.
"""

from crossloss.validation.spread import Spread, over_starts
from crossloss.validation.validate import Validation, validate

__all__ = ["Spread", "Validation", "over_starts", "validate"]
