"""Tail-patch: does one more step on the samples that an estimator names move the objective as it says?

After the training that is over, one more step of its Adam is taken with the gradient of one sample alone, beside the
same step with no gradient (Chang et al. 2024, "Scalable influence and fact tracing", of single examples). The measure
is the mean difference of the objective over the samples with the largest scores, less that over the smallest: positive
where the estimator's order is right.
"""

from typing import Any

import numpy as np
import torch

import crossloss as cl
from crossloss.models.torch.steps import RecordedOrder
from crossloss.optimisers.moments import adam_moments

COUNT = 10
"""Samples at either end."""


def moves(run: cl.Run, objectives: list[Any], samples: list[int]) -> np.ndarray:
    """What one more step on each sample alone adds to each objective, (m, objectives)."""
    t, state = next(run.trajectory.backwards(run.steps))
    moments = adam_moments(run.optimiser, state, t, range(run.steps))
    theta, p = state["theta"], len(state["theta"])
    w = torch.ones(run.field.samples, dtype=theta.dtype)
    still = _values(run, theta - moments.lr * moments.direction(torch.zeros(1, p), 0, p)[0], objectives)
    made = []
    for i in samples:
        g = run.field.ordered(RecordedOrder([[_last(run, i)]])).gradient(theta, w, 0)
        there = theta - moments.lr * moments.direction(g[None], 0, p)[0]
        made.append(_values(run, there, objectives) - still)
    return np.array(made)


def tail_patch(
    run: cl.Run, scores: dict[str, cl.Scores], objectives: list[Any], count: int = COUNT
) -> dict[str, float]:
    """The measure by "OBJECTIVE.ESTIMATOR", and that of the same number of random samples as "OBJECTIVE.random"."""
    ends = {
        f"{name}.{label}": np.argsort(-s.of(name), kind="stable")[np.r_[:count, -count:0]]
        for label, s in scores.items()
        for name in s.names
    }
    drawn = np.random.default_rng(0).permutation(run.field.samples)[: 2 * count]
    ends |= {f"{o.name}.random": drawn for o in objectives}
    every = sorted({int(i) for chosen in ends.values() for i in chosen})
    moved, place = moves(run, objectives, every), {i: row for row, i in enumerate(every)}
    column = {o.name: j for j, o in enumerate(objectives)}
    found = {}
    for key, chosen in ends.items():
        own = moved[[place[int(i)] for i in chosen], column[key.rsplit(".", 1)[0]]]
        found[key] = float(own[:count].mean() - own[count:].mean())
    return found


def _values(run: cl.Run, theta: torch.Tensor, objectives: list[Any]) -> np.ndarray:
    view = run.field.view(theta)
    with torch.no_grad():
        return np.array([float(o(view)) for o in objectives])


def _last(run: cl.Run, sample: int) -> Any:
    """The sample alone, as the loop saw it last."""
    for step in reversed(range(run.steps)):
        for part in run.field.order.parts(step):
            at = (part.rows == sample).nonzero().flatten()
            if len(at):
                return part.some(slice(int(at[0]), int(at[0]) + 1))
    raise ValueError(f"Sample {sample} was in no batch.")
