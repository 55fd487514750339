"""One seed of the study: train, retrain without every sample, score, compare."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import linregress
from torch import Tensor

import crossloss as cl
from studies.mixture import model as models
from studies.mixture.estimators import CONSTANT, PUBLISHED, TANGENT, estimators, tangents, unrolled_p_constant

OPTIMISERS = {"sgd": cl.SGD(0.1), "adam-1e-8": cl.Adam(0.01, eps=1e-8), "adam-1e-3": cl.Adam(0.01, eps=1e-3)}
SHORT = ("unrolled", "gradient-dot", PUBLISHED)
"""Estimators of the ablation."""
ENOUGH, CLOSE = 0.99, 0.8
"""Share of held-out points with r above ``CLOSE`` below which a seed is looked into."""
TENTH = 0.1


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
    r, slopes = [0.0] * len(retrained), [0.0] * len(retrained)
    for k, (x, y) in enumerate(zip(predicted, retrained, strict=True)):
        if np.ptp(x) > 0 and np.ptp(y) > 0:
            line = linregress(x, y)
            r[k], slopes[k] = round(float(line.rvalue), 6), float(f"{line.slope:.6g}")
    return {"r": r, "slope": slopes}


def measure(seed: int, setup: Setup, *, full: bool = True) -> dict[str, Any]:
    """Both losses of one seed: what was trained, and each estimator's r and slope at every held-out point.

    ``full``: every estimator, the tangent predictions and an example for the figures, the held-out point that the
    clustering gets most wrong; else the estimators of the ablation.
    """
    points, held = models.draw(seed, setup.each)
    result: dict[str, Any] = {"seed": seed, "setup": asdict(setup), "classes": held.y.tolist(), "losses": {}}
    effects: dict[str, dict[str, np.ndarray]] = {}
    for loss in models.LOSSES:
        field = models.field(points, loss, models.initial(points, setup.activation, seed))
        run = cl.train(field, OPTIMISERS[setup.optimiser], steps=setup.steps)
        result["losses"][loss], effects[loss] = _measure(run, points, held, full)
    if full:
        point = int(np.std(effects[models.CROSS]["retrained"], axis=1).argmax())
        result["example"] = {"point": point, "x": held.x[point].tolist(), "class": int(held.y[point])} | {
            loss: {name: [float(f"{effect:.6g}") for effect in rows[point]] for name, rows in of.items()}
            for loss, of in effects.items()
        }
    return result


def _measure(
    run: cl.Run, points: models.Points, held: models.Points, full: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Figures of one loss; and the effects (k, n) by estimator, "retrained" for what retraining gave."""
    wanted, begun = models.objectives(held), time.perf_counter()
    effects = {"retrained": _changes(run, held, models.leave_one_out(len(points.x)))}
    retrain_seconds = round(time.perf_counter() - begun, 3)
    ways: dict[str, Callable[[], Tensor]] = {
        name: lambda make=make: -make()(run.trajectory, wanted).samples()
        for name, make in estimators(points, run.field.module).items()
        if full or name in SHORT
    }
    if full:
        ways[TANGENT] = lambda: _differences(run, held, run.theta - tangents(run))
        if run.field.frozen is not None:
            ways[CONSTANT] = lambda: -unrolled_p_constant(run, wanted)
    scored: dict[str, Any] = {}
    for name, way in ways.items():
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
    return _differences(run, held, models.retrain(run, weights)).numpy()


def _differences(run: cl.Run, held: models.Points, thetas: Tensor) -> Tensor:
    """Change of every objective from the run's parameters to each row of others, (k, m)."""
    return (models.values(run.field, thetas, held) - models.values(run.field, run.theta[None], held)).T
