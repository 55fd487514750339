"""Averages of the parameters over the steps, as what the objectives see."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crossloss.core import Optimiser, State, UserError, result_of
from crossloss.optimisers.rates import Rate, rate, within


@dataclass(frozen=True, eq=False)
class Averaged:
    """The average of the parameters is the run's model: ``torch.optim.swa_utils.AveragedModel`` after each step.

    With ``decay`` an exponential moving average, average <- decay average + (1 - decay) theta; without it the equal
    one of stochastic weight averaging (Izmailov et al. 2018). The first update copies theta, as torch's does, and up to
    there the average is theta itself. Training goes on from theta; ``run.theta``, ``run.view``, losses and
    objectives are of the average, and so are all estimators but TracIn, which is of the steps of theta.

    Parameters
    ----------
    rule : SGD, AdamW, ClipNorm, ...
    decay : float in [0, 1) or function of the step, optional
        A function is taken as it is, from the initial parameters on: ``lambda step: 0.99`` is the average that begins
        as a copy of the initial model, and 1 leaves the average as it is.
    start : int
        The step, counted from 0, after which it is first updated.
    every : int
        It is updated after each so many steps: ``start=steps_of_an_epoch - 1, every=steps_of_an_epoch`` at the
        end of each epoch.

    Raises
    ------
    UserError
        Settings out of range; a rule that is averaged already.

    Examples
    --------
    >>> rule = cl.Averaged(cl.AdamW(lr=0.01), decay=0.9)
    >>> run = cl.train(cl.TorchField(model, loss, data), rule, steps=20)
    >>> last_half = cl.Averaged(cl.SGD(lr=0.1), start=10)
    """

    rule: Optimiser
    decay: Rate | None = None
    start: int = 0
    every: int = 1
    result: ClassVar[str] = "average"

    def __post_init__(self) -> None:
        if self.decay is not None and not within(self.decay, 0, 1):
            raise UserError("Averaged needs a decay in [0, 1), or none.")
        if self.start < 0 or self.every < 1:
            raise UserError("Averaged needs a start of at least 0 and every of at least 1.")
        if result_of(self.rule) != "theta":
            raise UserError("This rule is averaged already: Averaged stands once, outermost.")

    @property
    def needs(self) -> tuple[str, ...]:
        """The rule's."""
        return self.rule.needs

    def init(self, theta: Tensor) -> State:
        """As the rule starts; the average starts at ``theta``."""
        return self.rule.init(theta) | {"average": theta.clone()}

    def _share(self, t: int) -> float:
        """What of theta enters the average after step t."""
        updates, rest = divmod(t - self.start, self.every)
        if t < self.start:
            return 1.0
        if rest:
            return 0.0
        if self.decay is not None and (updates or callable(self.decay)):
            return 1 - rate(self.decay, t)
        return 1 / (updates + 1)

    def step(self, state: State, g: Tensor, t: int) -> State:
        """The rule's step, and the average after it."""
        after = self.rule.step({name: x for name, x in state.items() if name != "average"}, g, t)
        return after | {"average": torch.lerp(state["average"], after["theta"], self._share(t))}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """With c = average of ``bar``: theta's takes share c, then c <- (1 - share) c, then the rule's adjoint."""
        share, average = self._share(t), bar["average"]
        own = {name: x for name, x in bar.items() if name != "average"}
        own["theta"] = torch.add(bar["theta"], average, alpha=share)
        own, a = self.rule.adjoint(state, t, own)
        return own | {"average": average * (1 - share)}, a
