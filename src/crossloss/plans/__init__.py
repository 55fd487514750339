"""Plans: tables of (sample, weight) that say what to train with next.

Belongs here: making a plan from scores, one-step or fitted by retraining; what a plan costs and what it is worth.
Does not: how a model is trained (run), how well scores predict (fidelity).

Functions that are named like their module are in it: ``plans.reweight.reweight``, ``sweep``, ``transfer``, ``update``.
"""

from crossloss.plans.cost import Cost, Yardstick
from crossloss.plans.debias import WAYS, Corrected, correct
from crossloss.plans.fit import Fit
from crossloss.plans.outcome import Outcome, judge
from crossloss.plans.rare import UsedUp, used_up
from crossloss.plans.remove import Plan, plan, remove_until
from crossloss.plans.robustness import Decisive, decisive
from crossloss.plans.starts import Starts, unseen
from crossloss.plans.transfer import Transferred
from crossloss.plans.update import Update

__all__ = [
    "WAYS",
    "Corrected",
    "Cost",
    "Decisive",
    "Fit",
    "Outcome",
    "Plan",
    "Starts",
    "Transferred",
    "Update",
    "UsedUp",
    "Yardstick",
    "correct",
    "decisive",
    "judge",
    "plan",
    "remove_until",
    "unseen",
    "used_up",
]
