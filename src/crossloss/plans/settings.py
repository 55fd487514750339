"""How a plan is made, and the rounds that it took."""

from dataclasses import dataclass

from crossloss.plans.sweep import PASSES, SIZES

HARD = "hard"
FITTED = ("remove", "reweight", "swap")
"""Methods that change sample weights, by rounds of retraining and scoring."""


@dataclass(frozen=True)
class Round:
    """One round of a plan: ``size`` samples out, what was predicted of each objective, and what retraining gave."""

    size: int
    predicted: dict[str, float]
    retrained: dict[str, float]


@dataclass(frozen=True)
class PlanSettings:
    """How a plan is made: the parameters of ``cl.plan``."""

    method: str = "remove"
    starts: int = 1
    tolerance: float | None = None
    rounds: int = 12
    bound: float = 2.0
    groups: tuple[str, ...] = ("gender",)
    sizes: tuple[int, ...] = SIZES
    passes: tuple[int, ...] = PASSES
    most_steps: int | None = None
    share: float | None = None
    budget: int | None = None
    copies: bool = False

    @property
    def way(self) -> str:
        """The method without hard debias before it."""
        return self.method.rpartition("+")[2]

    @property
    def hard(self) -> tuple[str, ...]:
        """Word sets of hard debias, where it is part of the method."""
        return self.groups if HARD in self.method.split("+") else ()

    @property
    def label(self) -> str:
        """The method as tables name it: swap is a share at random, swap-fewest by score; with -one-start of one."""
        if self.way not in FITTED or self.share is not None:
            return self.method
        return self.method + "-fewest" * (self.way == "swap") + "-one-start" * (self.starts == 1)
