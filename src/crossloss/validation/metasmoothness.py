"""Whether a training run can be differentiated: its metasmoothness, and predictions of small changes of its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.objectives import as_objective
from crossloss.run.retrainer import Retrainer, changes
from crossloss.run.run import Run
from crossloss.run.store import content_key
from crossloss.scores.scoring import unrolled_scores
from crossloss.utils.progress import track
from crossloss.utils.statistics import fidelity
from crossloss.validation.recipe import advice
from crossloss.validation.smoothness import FILE, Response, Smoothness
from crossloss.validation.subsets import random_subsets


def smoothness(
    run: Run,
    objectives: Sequence[Any] | None = None,
    *,
    draws: int = 3,
    subsets: int = 10,
    share: float = 0.1,
    step: float = 0.1,
    seed: int = 0,
) -> Smoothness:
    """Say before scores are paid for whether the run can be differentiated: its empirical metasmoothness.

    Definition 2 of Engstrom et al. 2025 (arXiv 2503.13751). With v a direction in the space of sample weights, theta_0,
    theta_1, theta_2 the final parameters of training with w, w + h v and w + 2 h v, and d = |theta_2 - theta_0|,

        S = sum_j d_j sign(theta_1 - theta_0)_j sign(theta_2 - theta_1)_j / sum_j d_j,   -1 <= S <= 1.

    1: equal changes of the weights move every parameter on in the same direction. Here v is minus the weights of a
    random ``share`` of the samples and h is ``step``, so that w + h v leaves a tenth of a tenth out.

    The same for objectives: how unequal their two changes are (``Response.bend``); and over ``subsets`` such draws the
    unrolled scores' prediction, scores @ dw, against retraining. A run that fails at so small a change has no
    derivative that is of use, whatever the estimator; one that passes may still bend before a whole sample is gone,
    which is what ``cl.validate`` measures.

    Two retrainings a draw and one for each further subset, and where objectives are given, one scoring. All is stored:
    a stopped call goes on where it was, and the report shows the result.

    Parameters
    ----------
    run : Run
    objectives : sequence, optional
        Those scored last where None; without any, parameters alone.
    draws : int
        Directions v.
    subsets : int
        Draws with weights lowered once, to compare with predictions: 3 or more, the first of them those of the
        directions; 0 for none.
    share : float
        Part of the samples that each draw takes, between 0 and 1.
    step : float
        h, above 0 and at most .5.
    seed : int
        Of the draws.

    Returns
    -------
    Smoothness
        Its ``summary()`` ends in a sentence with advice.

    Raises
    ------
    UserError
        A model that was trained elsewhere; numbers out of range; a retraining without finite values; draws that move no
        parameter.

    Examples
    --------
    >>> smoothness = cl.smoothness(run, [weat], draws=2, subsets=4)
    >>> print(smoothness.objectives["weat7"].fidelity.pearson)
    """
    if not run.steps:
        run.retrain()  # refuses
    _check(draws, subsets, step)
    drawn = random_subsets(run.weights, share=share, count=max(draws, subsets), seed=seed)
    last = run.results.scores
    chosen = (last.objectives if last else []) if objectives is None else [as_objective(o) for o in objectives]
    values, both = _draws(run, chosen, drawn[:draws], step)
    responses = {
        o.name: Response(
            changes([first for first, _ in both], o.name, now).tolist(),
            [second[o.name] - first[o.name] for first, second in both],
        )
        for o, now in zip(chosen, run.values(chosen).values(), strict=True)
    }
    if subsets and chosen:
        responses = _predicted(run, chosen, responses, drawn[:subsets], [first for first, _ in both], step)
    made = Smoothness(values, responses, step, share, advice(run))
    run.store.save(FILE, made.to_json())
    run.store.log_metrics(made.metrics())
    run.results.smoothness = made
    return made


def metasmoothness(theta: Tensor, once: Tensor, twice: Tensor) -> float:
    """S of three vectors of final parameters, (p,) each; UserError where none of them moved."""
    theta, once, twice = theta.double(), once.double(), twice.double()
    moved = (twice - theta).abs()
    if not bool(moved.any()):
        raise UserError("The samples drawn move no parameter, as if no batch held them: draw more, share=.")
    return float(((once - theta).sign() * (twice - once).sign() * moved).sum() / moved.sum())


def _check(draws: Any, subsets: Any, step: Any) -> None:
    """Refuse numbers out of range."""
    for name, number, least in (("draws", draws, 1), ("subsets", subsets, 0)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise UserError(f"{name} is {number!r}: give a whole number, {least} or more.")
    if 0 < subsets < 3:
        raise UserError(f"subsets is {subsets}: a correlation takes three or more; 0 for none.")
    if not 0 < step <= 0.5:
        raise UserError(
            f"step is {step!r}: give a part of the weights that can be left out twice, above 0, at most 0.5."
        )


def _lowered(weights: np.ndarray, rows: np.ndarray, part: float) -> np.ndarray:
    """Weights (n,) with a part of those of some samples left out."""
    changed = np.array(weights, dtype=np.float64)
    changed[rows] *= 1 - part
    return changed


def _draws(
    run: Run, objectives: Sequence[Objective], drawn: Sequence[np.ndarray], step: float
) -> tuple[list[float], list[tuple[dict[str, float], dict[str, float]]]]:
    """Of each draw its metasmoothness, and the objectives at w + h v and w + 2 h v."""
    keys = {o.name: content_key(run.fingerprint(o)) for o in objectives}
    found, theta = [], run.theta
    with track("retraining along a line of weights") as progress:
        progress(0, 2 * len(drawn))
        for number, rows in enumerate(drawn):
            entry = run.store.entry("retrains/smoothness", run.weights, rows, step)
            stored = entry.load()
            if stored is None or any(stored["objectives"].get(name) != key for name, key in keys.items()):
                ends = []
                for times in (1, 2):
                    ends.append(
                        run.retrain(_lowered(run.weights, rows, times * step), name=f"weights, {times} steps on")
                    )
                    progress(2 * number + times, 2 * len(drawn))
                score = metasmoothness(theta, ends[0].theta, ends[1].theta)
                stored = {"score": score, "objectives": keys, "values": [end.values(objectives) for end in ends]}
                entry.save(stored)
            found.append(stored)
            progress(2 * number + 2, 2 * len(drawn))
    return [each["score"] for each in found], [(each["values"][0], each["values"][1]) for each in found]


def _predicted(
    run: Run,
    objectives: Sequence[Objective],
    responses: Mapping[str, Response],
    drawn: Sequence[np.ndarray],
    known: Sequence[Mapping[str, float]],
    step: float,
) -> dict[str, Response]:
    """Responses with predictions of each subset, and what retraining gave; ``known`` are the first ones' values."""
    scores, retrainer, lowered = unrolled_scores(run, objectives), Retrainer(run, objectives), []
    retrained = list(known[: len(drawn)])
    with track("retraining with lower weights") as progress:
        progress(len(retrained), len(drawn))
        for rows in drawn[len(retrained) :]:
            retrained.append(retrainer(_lowered(run.weights, rows, step)))
            progress(len(retrained), len(drawn))
    lowered = [_lowered(run.weights, rows, step) - run.weights for rows in drawn]
    made = {}
    for o in objectives:
        found = changes(retrained, o.name, scores.values[o.name])
        predicted = np.stack(lowered) @ scores.of(o)
        varied = np.ptp(predicted) > 0 and np.ptp(found) > 0
        old = responses[o.name]
        agreed = fidelity(predicted, found) if varied else None
        made[o.name] = Response(old.first, old.second, predicted.tolist(), found.tolist(), agreed)
    return made
