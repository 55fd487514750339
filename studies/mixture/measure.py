"""One seed of the study: train, retrain without every sample, score, compare."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import crossloss as cl
from crossloss.statistics import pearson, slope
from studies.mixture import model as models
from studies.mixture.estimators import CONSTANT, PUBLISHED, TANGENT, estimators, tangents, unrolled_p_constant

OPTIMISERS = {"sgd": cl.SGD(0.1), "adam-1e-8": cl.Adam(0.01, eps=1e-8), "adam-1e-3": cl.Adam(0.01, eps=1e-3)}
SHORT = ("unrolled", "gradient-dot", PUBLISHED)
"""Estimators of the ablation."""
ENOUGH, CLOSE = 0.99, 0.8
"""Share of held-out points with r above ``CLOSE`` below which a seed is looked into."""
TENTH = 0.1
Advance = Callable[[float], None]
"""Called with the share of a seed that is done."""


@dataclass(frozen=True)
class Setup:
    """What is trained: ``each`` points of every Gaussian, ``steps`` full-batch steps."""

    activation: str = "gelu"
    optimiser: str = "sgd"
    steps: int = 200
    each: int = 50


BASE = Setup()
ABLATION = {
    "relu": Setup(activation="relu"),
    "tanh": Setup(activation="tanh"),
    "adam-1e-8": Setup(optimiser="adam-1e-8"),
    "adam-1e-3": Setup(optimiser="adam-1e-3"),
}


def agreement(predicted: np.ndarray, retrained: np.ndarray) -> dict[str, list[float]]:
    """Pearson r of predicted and retrained effects (k, n), and the slope of these on those, of each objective.

    Where one of them does not vary, nothing was predicted: r and slope are 0.
    """
    varied = (np.ptp(predicted, axis=1) > 0) & (np.ptp(retrained, axis=1) > 0)
    r, slopes = np.zeros(len(retrained)), np.zeros(len(retrained))
    r[varied] = pearson(predicted[varied], retrained[varied])
    slopes[varied] = slope(predicted[varied], retrained[varied])
    return {"r": r.round(6).tolist(), "slope": [float(f"{s:.6g}") for s in slopes]}


def measure(seed: int, setup: Setup, *, full: bool = True, advance: Advance = lambda share: None) -> dict[str, Any]:
    """Both losses of one seed: what was trained, and each estimator's r and slope at every held-out point.

    ``full``: every estimator, the tangent predictions and an example for the figures, the held-out point that the
    clustering gets most wrong; else the estimators of the ablation.
    """
    points, held = models.draw(seed, setup.each)
    result: dict[str, Any] = {"seed": seed, "setup": asdict(setup), "classes": held.y.tolist(), "losses": {}}
    effects: dict[str, dict[str, np.ndarray]] = {}
    for number, loss in enumerate(models.LOSSES):
        run = cl.train(
            models.field(points, loss, models.initial(points, setup.activation, seed)),
            OPTIMISERS[setup.optimiser],
            steps=setup.steps,
        )
        result["losses"][loss], effects[loss] = _measure(
            run, points, held, full, lambda share, number=number: advance((number + share) / len(models.LOSSES))
        )
    if full:
        point = int(np.std(effects[models.CROSS]["retrained"], axis=1).argmax())
        result["example"] = {"point": point, "x": held.x[point].tolist(), "class": int(held.y[point])} | {
            loss: {name: [float(f"{effect:.6g}") for effect in rows[point]] for name, rows in of.items()}
            for loss, of in effects.items()
        }
    return result


def _measure(
    run: cl.Run, points: models.Points, held: models.Points, full: bool, advance: Advance
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Figures of one loss; and the effects (k, n) by estimator, "retrained" for what retraining gave."""
    wanted, begun = models.objectives(held), time.perf_counter()
    effects = {"retrained": _changes(run, held, models.leave_one_out(len(points.x)))}
    retrain_seconds = round(time.perf_counter() - begun, 3)
    model = run.field.module
    ways: dict[str, Callable[[], Tensor]] = {
        name: lambda make=make: -make()(run.trajectory, wanted).samples()
        for name, make in estimators(points, model).items()
        if full or name in SHORT
    }
    if full:
        ways[TANGENT] = lambda: _tangent_changes(run, held)
        if run.field.frozen is not None:
            ways[CONSTANT] = lambda: -unrolled_p_constant(run, wanted)
    scored: dict[str, Any] = {}
    for number, (name, way) in enumerate(ways.items(), 1):
        advance(number / (len(ways) + 1))
        begun = time.perf_counter()
        try:
            effects[name] = way().numpy()
            scored[name] = agreement(effects[name], effects["retrained"])
        except cl.UserError as refusal:
            scored[name] = {"refused": str(refusal)}
        scored[name]["seconds"] = round(time.perf_counter() - begun, 3)
    result: dict[str, Any] = {
        "accuracy": models.accuracy(run, points),
        "held_out_accuracy": models.accuracy(run, held),
        "loss": run.loss,
        "gradient_norm": float(run.field.gradient(run.theta, run.trajectory.weights, 0).norm()),
        "retrain_seconds": retrain_seconds,
        "estimators": scored,
    }
    exact = scored["unrolled"]
    if "r" in exact and np.mean(np.asarray(exact["r"]) > CLOSE) < ENOUGH:
        little = _changes(run, held, 1 - TENTH * torch.eye(len(points.x), dtype=torch.float64))
        result["a_tenth_left_out"] = agreement(effects["unrolled"] * TENTH, little)
    return result, effects


def _changes(run: cl.Run, held: models.Points, weights: Tensor) -> np.ndarray:
    """Change of every objective by each retraining, (k, m)."""
    before = models.values(run.field, run.theta[None], held)
    return (models.values(run.field, models.retrain(run, weights), held) - before).T.numpy()


def _tangent_changes(run: cl.Run, held: models.Points) -> Tensor:
    """Change of every objective at theta - d theta/d w_i, (k, n): the tangent through the true objective."""
    before = models.values(run.field, run.theta[None], held)
    return (models.values(run.field, run.theta - tangents(run), held) - before).T
