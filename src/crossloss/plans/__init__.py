"""Plans: what to train with next, made from scores, and judged.

Belongs here: making a plan, in one step or by rounds of retraining; what it costs and what it is worth.
Does not: how a model is trained (run), how well scores predict (validation).
"""

from crossloss.plans.evaluate import evaluate
from crossloss.plans.evaluation import Evaluation, HeldOutWords
from crossloss.plans.files import read_plan
from crossloss.plans.flip import SmallestFlip, smallest_flip
from crossloss.plans.make import METHODS, plan
from crossloss.plans.plan import Plan
from crossloss.plans.settings import PlanSettings, Round
from crossloss.plans.transfer import Transfer, transfer

__all__ = [
    "METHODS",
    "Evaluation",
    "HeldOutWords",
    "Plan",
    "PlanSettings",
    "Round",
    "SmallestFlip",
    "Transfer",
    "evaluate",
    "plan",
    "read_plan",
    "smallest_flip",
    "transfer",
]
