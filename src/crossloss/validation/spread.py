"""How far a figure depends on where the vectors started: its values over several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossloss.core import UserError
from crossloss.objectives import as_objective
from crossloss.run.retrainer import Retrainer
from crossloss.run.run import Run
from crossloss.utils.display import Table, several, spread
from crossloss.utils.progress import track
from crossloss.utils.statistics import deviation

STARTS = 5


@dataclass(frozen=True, repr=False)
class Spread:
    """One figure of models that differ in their seed alone.

    Attributes
    ----------
    values : tuple of float
        In the figure's own unit; of the run itself first.

    Examples
    --------
    >>> spread = cl.over_starts(run, [weat], starts=3)["weat7"]
    >>> print(f"{spread.mean:.2f} +- {spread.sd:.2f}", spread.values)
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the starts."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Standard deviation between the starts (n - 1); 0 of one."""
        return deviation(self.values)

    @property
    def exceeds_value(self) -> bool:
        """Whether the starts differ by more than the value of the run or their mean: then not even its sign is sure."""
        return self.sd > min(abs(self.values[0]), abs(self.mean))

    def sentence(self, name: str) -> str:
        """How far the figure of this name depends on where the parameters started."""
        text = f"From {several(len(self.values), 'start')} {name} is {spread(self.values)}."
        if self.exceeds_value:
            text += " The starts differ by more than its size: not even its sign is a property of the data."
        return text

    def __repr__(self) -> str:
        return f"Spread({spread(self.values)} over {several(len(self.values), 'start')})"

    def _repr_html_(self) -> str:
        return Table("Over starts", ("mean", "sd", "starts"), [(self.mean, self.sd, len(self.values))]).html()

    def metrics(self, start: str) -> dict[str, float]:
        """Flat figures START.starts.mean, .count, and of several .sd."""
        sd = {f"{start}.starts.sd": self.sd} if len(self.values) > 1 else {}
        return {f"{start}.starts.mean": self.mean, f"{start}.starts.count": float(len(self.values))} | sd


def over_starts(run: Run, objectives: Sequence[Any], starts: int = STARTS) -> dict[str, Spread]:
    """Objectives, ``wordsim353`` and ``simlex999`` of a run and of the same run from other seeds.

    Trains ``starts - 1`` times; in a run folder nothing is trained twice.

    Parameters
    ----------
    run : Run
    objectives : sequence
        Objectives, or functions of ``run.view``.
    starts : int
        At least 1, the run's own; the others are the seeds that follow it.

    Returns
    -------
    dict of str to Spread
        By name of the objective; a benchmark is absent where it cannot be measured.

    Raises
    ------
    UserError
        Fewer than one start, or an objective that a start gives no value.

    Examples
    --------
    >>> spread = cl.over_starts(run, [weat], starts=3)["weat7"]
    >>> print(f"{spread.mean:.2f} +- {spread.sd:.2f}")
    """
    if starts < 1:
        raise UserError("Give at least one start: the run's own.")
    retrainer, rows = Retrainer(run, [as_objective(o) for o in objectives]), []
    with track("training from other starts") as progress:
        for done in range(starts):
            progress(done, starts)
            rows.append(retrainer(seed=run.seeds(1, done)[0]))
        progress(starts, starts)
    names = [name for name in rows[0] if all(name in row for row in rows)]
    spreads = {name: Spread(tuple(row[name] for row in rows)) for name in names}
    run.results.spreads |= spreads
    return spreads
