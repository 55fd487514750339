"""Validation of a run: scores against retraining, plans against other starts and against chance."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossloss.core import Estimator, Objective, Progress, UserError
from crossloss.estimators import get
from crossloss.objectives import BaseObjective, Weat, as_objective
from crossloss.plans.plan import Plan
from crossloss.run.retrainer import Retrainer, changes, without
from crossloss.run.run import Run
from crossloss.scores.baselines import BASELINES, Baseline
from crossloss.scores.scores import Scores
from crossloss.scores.scoring import CO_OCCURRENCE, compute_scores, unrolled_scores
from crossloss.utils.progress import track
from crossloss.utils.statistics import LEAST, fidelity
from crossloss.validation.strongest import check_strongest
from crossloss.validation.subsets import random_matching, random_subsets
from crossloss.validation.validation import FILE, Compared, PlanCheck, Validation, stored_validation

COMPARED = ("gradient-dot", CO_OCCURRENCE, *BASELINES)
"""Estimators computed beside the given one: cheap, and with nothing to tune."""
OTHER_SEEDS = 5
RANDOM_REMOVALS = 3
CURVE_POINTS = (0.25, 0.5)


def validate(
    run: Run,
    objectives: Sequence[Any] | None = None,
    *,
    subsets: int = 30,
    share: float = 0.1,
    plans: Mapping[str, Plan] | None = None,
    strongest: int = 5,
    seeds: int = OTHER_SEEDS,
    removals: int = RANDOM_REMOVALS,
    estimators: Sequence[str | Estimator | Baseline] = (),
) -> Validation:
    """Retrain without random subsets, without single samples, and with plans, to see how well scores predicted it.

    No retraining is done twice. In a run folder the result is validation.json, and beside the scores in scores.parquet.

    Parameters
    ----------
    run : Run
    objectives : sequence, optional
        Those scored last where None.
    subsets, share : int, float
        How many random subsets of one size, and the part of the samples that each leaves out; 0 subsets for none.
    plans : mapping of str to Plan, optional
        By objective; those made last where None. Of plans that change the weights to train with: what undo, reinforce,
        both and hard debias make of a trained model is judged by ``cl.evaluate``.
    strongest : int
        Strongest samples on either side that are left out one at a time.
    seeds, removals : int
        Other starts, and random removals of the same size, that a plan is tried with.
    estimators : sequence
        Further ones to compare, by name or as objects, beside unrolled and those that cost next to nothing.

    Raises
    ------
    UserError
        A model that was trained elsewhere; nothing scored; a subset of nothing or of everything; an estimator that
        cannot score the run; a plan that changes a trained model.

    Examples
    --------
    >>> print(cl.validate(run, [weat], subsets=5, strongest=1))
    """
    if not run.steps:
        run.retrain()  # refuses
    last = run.results.scores
    if objectives is None and last is None:
        raise UserError("Say which objectives to validate: cl.validate(run, [objective]).")
    chosen = last.objectives if objectives is None else [as_objective(o) for o in objectives]
    _check(run, chosen, plans or {}, estimators, subsets, share, strongest=strongest, seeds=seeds, removals=removals)
    scores = unrolled_scores(run, chosen)
    retrainer = Retrainer(run, chosen)
    if plans is None:
        made = list(run.results.plans.values())
        made = [p for p in made if len(p.targets) == 1 and p.objective in scores.names]
        plans = {p.objective: p for p in made if not p.post_hoc}
    if not run.has_starts:
        seeds = 0
    checked = check_strongest(retrainer, scores, strongest) if strongest else {}
    checks = {name: _check_plan(retrainer, name, plan, seeds, removals) for name, plan in plans.items()}
    table = compare(retrainer, scores, subsets=subsets, share=share, estimators=estimators) if subsets else {}
    keys = {o.name: run.objective_key(o) for o in chosen}
    validation = Validation(table, checks, subsets, share, checked, keys)
    earlier = stored_validation(run)
    if earlier is not None:
        validation = validation.beside(earlier)
    run.store.save(FILE, validation.to_json())
    run.store.log_metrics(validation.metrics())
    run.results.scores, run.results.validation = scores, validation
    return validation


def _check(
    run: Run,
    objectives: Sequence[Objective],
    plans: Mapping[str, Plan],
    estimators: Sequence[Any],
    subsets: int,
    share: float,
    **counts: int,
) -> None:
    """Refuse what cannot be, before any work."""
    for name, count in counts.items():
        if count < 0:
            raise UserError(f"{name} is {count}: give 0 or more.")
    if subsets:
        if subsets < LEAST:
            raise UserError(f"{subsets} subsets show nothing: give at least three, or 0.")
        random_subsets(run.weights, share=share, count=1, seed=0)
    for further in estimators:
        if isinstance(further, str) and further not in BASELINES:
            get(further, others=BASELINES)
    for name, plan in plans.items():
        if name not in [o.name for o in objectives]:
            raise UserError(f"There is a plan for {name}, which is not validated: give it among the objectives.")
        if plan.post_hoc:
            raise UserError(f"The plan {plan.name} changes a trained model, not the weights: judge it by cl.evaluate.")


def _check_plan(retrainer: Retrainer, name: str, plan: Plan, seeds: int, removals: int) -> PlanCheck:
    """Retrain a plan from the run's start, from other starts, and against chance.

    A plan that was not retrained on its way is retrained with parts of it too, as points on its curve.
    """
    with track(f"retraining plan {name}") as progress:
        return _checked(retrainer, name, plan, seeds, removals, progress)


def _checked(retrainer: Retrainer, name: str, plan: Plan, seeds: int, removals: int, progress: Progress) -> PlanCheck:
    if not plan.moved:
        return PlanCheck(retrained=plan.values[name])
    run = retrainer.run
    parts = CURVE_POINTS if plan.size and not plan.path else ()
    removals = removals if plan.size else 0
    sizes = sorted({max(1, round(part * plan.size)) for part in parts} - {plan.size})
    total, done = len(sizes) + 1 + 2 * seeds + 2 * removals, 0

    def value(weights: np.ndarray, seed: int | None = None) -> float:
        nonlocal done
        retrained = retrainer(weights, seed=seed)[name]
        done += 1
        progress(done, total)
        return retrained

    progress(0, total)
    retrained = value(plan.weights)
    curve = [(size, value(without(run.weights, plan.removed[:size]))) for size in sizes]
    if plan.size:
        curve += [(step.size, step.retrained[name]) for step in plan.path] or [(plan.size, retrained)]
    starts = run.seeds(seeds, 1) if seeds else []
    other = [(value(run.weights, seed), value(plan.weights, seed)) for seed in starts]
    chance: list[list[float]] = []
    for eligible in (run.weights > 0, _with_test_word(run, retrainer.objectives, name)):
        size = min(plan.size, int((eligible & (run.weights > 0)).sum()))
        # Seeded by name and draw, so that one more objective changes no other's sets.
        draws = [zlib.crc32(f"{name}/{draw}".encode()) for draw in range(removals)]
        sets = [random_matching(size, run.weights, eligible, seed) for seed in draws]
        chance.append([value(without(run.weights, removed)) for removed in sets])
    return PlanCheck(retrained, curve, other, chance[0], chance[1])


def _with_test_word(run: Run, objectives: Sequence[Objective], name: str) -> np.ndarray:
    """Samples (n,) that contain a word of the objective; all where it names no words."""
    objective = next(o for o in objectives if o.name == name)
    words = objective.words if isinstance(objective, BaseObjective) else ()
    return run.model.with_words(words) if words else np.ones(run.model.samples, dtype=bool)


def _able(run: Run, name: str, objective: Objective) -> bool:
    """Whether an estimator beside the given one can score an objective."""
    if name == CO_OCCURRENCE:
        return isinstance(objective, Weat) and bool(run.model.word_index)
    return name not in BASELINES or BASELINES[name].able(run, objective)


def compare(
    retrainer: Retrainer,
    scores: Scores,
    *,
    subsets: int,
    share: float = 0.1,
    seed: int = 0,
    estimators: Sequence[str | Estimator | Baseline] = (),
) -> dict[str, list[Compared]]:
    """Fidelity of the given, the ``COMPARED`` and further estimators over random subsets of ONE size, never pooled.

    Parameters
    ----------
    scores : Scores
        The unrolled scores; the other estimators are computed here.
    subsets, share : int, float
        How many subsets, and the part of the samples that each leaves out.
    """
    run, objectives = retrainer.run, retrainer.objectives
    drawn = random_subsets(run.weights, share=share, count=subsets, seed=seed)
    by_estimator = {scores.estimator: scores}
    for name in COMPARED:
        able = [o for o in objectives if _able(run, name, o)]
        if name not in by_estimator and able:
            by_estimator[name] = compute_scores(run, able, name)
    for further in estimators:
        name = further if isinstance(further, str) else further.name
        if not isinstance(further, str) or name not in by_estimator:
            able = [o for o in objectives if not isinstance(further, Baseline) or further.able(run, o)]
            by_estimator[name] = compute_scores(run, able, further)
    retrained = []
    with track(f"retraining without {share:.0%}") as progress:
        for done, removed in enumerate(drawn):
            progress(done, subsets)
            retrained.append(retrainer(without(run.weights, removed)))
        progress(subsets, subsets)
    table: dict[str, list[Compared]] = {}
    for o in objectives:
        changed = changes(retrained, o.name, scores.values[o.name])
        table[o.name] = []
        for name, estimated in by_estimator.items():
            if o.name not in estimated.values:
                continue
            predicted = np.array([estimated.group(removed, o) for removed in drawn])
            if np.ptp(predicted) == 0 or np.ptp(changed) == 0:
                continue
            row = Compared(name, share, predicted.tolist(), changed.tolist(), fidelity(predicted, changed))
            table[o.name].append(row)
    return table
