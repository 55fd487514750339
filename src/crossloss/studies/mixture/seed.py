"""One seed of the study: train, retrain without every sample, score, compare."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Optimiser, Progress, UserError
from crossloss.optimisers import SGD, Adam
from crossloss.run.run import Run
from crossloss.run.train import train
from crossloss.statistics import pearson, slope
from crossloss.studies.mixture import model as models
from crossloss.studies.mixture.data import Points, draw
from crossloss.studies.mixture.estimators import (
    CONSTANT,
    PUBLISHED,
    TANGENT,
    estimators,
    tangents,
    unrolled_p_constant,
)
from crossloss.studies.mixture.retrain import leave_one_out, retrain

OPTIMISERS: dict[str, Optimiser] = {
    "sgd": SGD(0.1),
    "adam-1e-8": Adam(0.01, eps=1e-8),
    "adam-1e-3": Adam(0.01, eps=1e-3),
}
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


def agreement(predicted: np.ndarray, found: np.ndarray) -> dict[str, list[float]]:
    """Pearson r of predicted and found effects, and the slope of found on predicted, of each objective.

    Parameters
    ----------
    predicted, found : (k, n) arrays
        Where one of them does not vary, nothing was predicted: r and slope are 0.
    """
    varied = (np.ptp(predicted, axis=1) > 0) & (np.ptp(found, axis=1) > 0)
    r, slopes = np.zeros(len(found)), np.zeros(len(found))
    r[varied] = pearson(predicted[varied], found[varied])
    slopes[varied] = slope(predicted[varied], found[varied])
    return {"r": r.round(6).tolist(), "slope": [float(f"{s:.6g}") for s in slopes]}


def silent(done: int, total: int) -> None:
    """Show nothing."""


def part(progress: Progress, number: int, of: int) -> Progress:
    """The progress of one of ``of`` equal parts, in hundredths."""
    return lambda done, total: progress(100 * number + 100 * done // total, 100 * of)


def measure(seed: int, setup: Setup, *, full: bool = True, progress: Progress = silent) -> dict[str, Any]:
    """Both losses of one seed: what was trained, and each estimator's r and slope at every held-out point.

    ``full``: every estimator, the tangent predictions and an example; else those of the ablation.
    """
    points, held = draw(seed, setup.each)
    found: dict[str, Any] = {"seed": seed, "setup": asdict(setup), "classes": held.y.tolist(), "losses": {}}
    for number, loss in enumerate(models.LOSSES):
        along = part(progress, number, len(models.LOSSES))
        found["losses"][loss] = _measure(seed, setup, loss, points, held, full, along)
    if full:
        _add_example(found, points, held)
    return found


def _measure(
    seed: int, setup: Setup, loss: str, points: Points, held: Points, full: bool, progress: Progress
) -> dict[str, Any]:
    model = models.initial(points, setup.activation, seed)
    run = train(models.field(points, loss, model), OPTIMISERS[setup.optimiser], steps=setup.steps)
    objectives = models.objectives(held)
    every = estimators(points, model)
    chosen = every if full else {name: every[name] for name in SHORT}
    total = len(chosen) + 3
    start = time.perf_counter()
    changes = _changes(run, held, leave_one_out(len(points.x)))
    seconds = {"retrain": time.perf_counter() - start}
    progress(1, total)
    scored: dict[str, Any] = {}

    def add(name: str, effects: Callable[[], Tensor]) -> None:
        start = time.perf_counter()
        try:
            scored[name] = {"effects": effects().numpy()}
        except UserError as refusal:
            scored[name] = {"refused": str(refusal)}
        scored[name]["seconds"] = round(time.perf_counter() - start, 3)
        progress(len(scored) + 1, total)

    for name, estimator in chosen.items():
        add(name, lambda estimator=estimator: -estimator(run.trajectory, objectives).samples())  # type: ignore[misc]
    if full:
        add(TANGENT, lambda: _pushed(run, held))
        if loss == models.CROSS:
            add(CONSTANT, lambda: -unrolled_p_constant(run.trajectory, objectives).samples())
    for entry in scored.values():
        if "effects" in entry:
            entry |= agreement(entry["effects"], changes)
    result: dict[str, Any] = {
        "accuracy": models.accuracy(models.field_of(run), run.theta, points),
        "held_out_accuracy": models.accuracy(models.field_of(run), run.theta, held),
        "loss": run.loss,
        "gradient_norm": float(run.field.gradient(run.theta, run.trajectory.weights, 0).norm()),
        "retrain_seconds": round(seconds["retrain"], 3),
        "estimators": scored,
    }
    exact = scored["unrolled"]
    if "r" in exact and np.mean(np.asarray(exact["r"]) > CLOSE) < ENOUGH:
        little = _changes(run, held, 1 - TENTH * torch.eye(len(points.x), dtype=torch.float64))
        result["a_tenth_left_out"] = agreement(exact["effects"] * TENTH, little)
    result["found"] = changes
    progress(total, total)
    return result


def _changes(run: Run, held: Points, weights: Tensor) -> np.ndarray:
    """Change of every objective by each retraining, (k, m)."""
    before = models.values(models.field_of(run), run.theta[None], held)
    return np.asarray((models.values(models.field_of(run), retrain(run, weights), held) - before).T.numpy())


def _pushed(run: Run, held: Points) -> Tensor:
    """Change of every objective at theta - d theta/d w_i, (k, n): the tangent through the true objective."""
    moved = run.theta - tangents(run.trajectory)
    return (
        models.values(models.field_of(run), moved, held) - models.values(models.field_of(run), run.theta[None], held)
    ).T


def _add_example(found: dict[str, Any], points: Points, held: Points) -> None:
    """Keep what the figures show: effects on the held-out point that the clustering gets most wrong."""
    losses = found["losses"]
    spread = np.std(losses[models.CROSS]["found"], axis=1)
    point = int(spread.argmax())
    found["example"] = {"point": point, "x": held.x[point].tolist(), "class": int(held.y[point])} | {
        loss: {"found": _short(one["found"][point])}
        | {name: _short(e["effects"][point]) for name, e in one["estimators"].items() if "effects" in e}
        for loss, one in losses.items()
    }


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def compact(found: dict[str, Any]) -> dict[str, Any]:
    """The same without the matrices of effects: what is written."""
    for one in found["losses"].values():
        one.pop("found", None)
        for entry in one["estimators"].values():
            entry.pop("effects", None)
    return found
