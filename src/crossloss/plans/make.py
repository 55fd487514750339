"""Make a plan: one entry for every method."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.hard_debias import After, debiased_parameters, hard_debias
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import BaseObjective
from crossloss.objectives.bounds import bounds_of, check_target
from crossloss.objectives.weat import Weat
from crossloss.plans.depleted import depleted_words
from crossloss.plans.ensemble import SeedEnsemble
from crossloss.plans.fitting import BOUND, ROUNDS, fit, removal, reweighting
from crossloss.plans.plan import Plan, first_order_removal
from crossloss.plans.sweep import PASSES, SIZES, choose_cell, sweep
from crossloss.plans.update import ARMS, update
from crossloss.progress import track
from crossloss.run.figures import figures_of
from crossloss.run.run import Run
from crossloss.scores import UNROLLED, Scores, compute_scores

FITTED = ("remove", "reweight")
HARD = "hard"
METHODS = (*FITTED, *ARMS, HARD, *(f"{HARD}+{way}" for way in (*FITTED, *ARMS)))
TOLERANCE = 0.01


def plan(
    scores: Scores,
    targets: float | Mapping[str, float] = 0.0,
    *,
    method: str = "remove",
    objective: str | Objective | None = None,
    starts: int = 1,
    tolerance: float | None = None,
    rounds: int = ROUNDS,
    bound: float = BOUND,
    groups: Sequence[str] = ("gender",),
    sizes: Sequence[int] = SIZES,
    passes: Sequence[int] = PASSES,
    most_steps: int | None = None,
) -> Plan:
    """Plan what brings objectives to their targets.

    A first-order prediction overshoots where the strongest samples go. So each round of ``remove`` and ``reweight``
    trains with the plan so far, takes derivatives there and goes on, until the retrained value is at the target: a
    retraining and a scoring a round, two to four as a rule. In a run folder a stopped plan goes on.

    Parameters
    ----------
    scores : Scores
        Unrolled, for more than a first-order removal.
    targets : float or mapping
        Of the one objective, or of each by its name; in the objective's unit.
    method : str
        remove: the fewest samples out. reweight: the smallest change of the weights. undo, reinforce, both: steps on
        the trained model (paper Sec. 4.4). hard: hard debias of the vectors; hard+METHOD: that first.
    objective : str or Objective, optional
        The one that ``targets`` is of, where it is a number; the first scored where None.
    starts : int
        Of remove and reweight: fitted to the run's own start (1), or to the mean over starts.
    tolerance : float, optional
        Distance from a target that counts as reached; by default .01, or a tenth of the way there if that is less.
    rounds : int
        At most; 0 for the first-order removal, which retrains nothing.
    bound : float
        Of reweight: the largest weight, in units of what it was.
    groups : sequence of str
        Word sets of hard debias, applied in turn: gender, race.
    sizes, passes, most_steps
        Of undo, reinforce and both: what is tried; updates of more steps are left out.

    Raises
    ------
    UserError
        An unknown method; an objective that was not scored, or that can never take its target; a method that needs what
        the run has not (steps, starts, words).

    Examples
    --------
    >>> plan = cl.plan(scores, 0.5)
    >>> print(plan.size, plan.predicted, plan.retrained)
    >>> gentle = cl.plan(scores, {"weat7": 0.5}, method="reweight")
    """
    made = compute_plan(
        scores, targets, method=method, objective=objective, starts=starts, tolerance=tolerance, rounds=rounds,
        bound=bound, groups=groups, sizes=sizes, passes=passes, most_steps=most_steps,
    )  # fmt: skip
    scores.run.results.plans[made.name] = made
    return made


def compute_plan(
    scores: Scores,
    targets: float | Mapping[str, float],
    *,
    method: str,
    objective: str | Objective | None = None,
    starts: int = 1,
    tolerance: float | None = None,
    rounds: int = ROUNDS,
    bound: float = BOUND,
    groups: Sequence[str] = ("gender",),
    sizes: Sequence[int] = SIZES,
    passes: Sequence[int] = PASSES,
    most_steps: int | None = None,
) -> Plan:
    """``plan``, of which the run remembers nothing."""
    if not isinstance(scores, Scores):
        raise UserError(f"A plan is made of scores, and this is a {type(scores).__name__}: cl.score(run, [objective]).")
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}; there are: {', '.join(METHODS)}.")
    run, begun = scores.run, time.perf_counter()
    wanted = _wanted(scores, targets, objective)
    chosen = [scores.objectives[scores.index_of(name)] for name in wanted]
    for o in chosen:
        check_target(o, wanted[o.name], run.model.word_index)
    first, _, way = method.rpartition("+")
    hard = tuple(groups) if HARD in (first, way) else ()
    if hard:
        require_skipgram(run.model, "Hard debias")
    known: dict[str, Any] = {
        "method": method,
        "targets": wanted,
        "before": run.weights,
        "starts": starts,
        "groups": hard,
        "scores": np.stack([scores.of(name) for name in wanted]),
        "bounds": {o.name: bounds_of(o, run.model.word_index) for o in chosen},
        "origin": run.origin,
    }
    if way in ARMS:
        made = _updated(run, chosen, known, way, {"sizes": sizes, "passes": passes, "most_steps": most_steps})
    elif way == HARD:
        now, after = scores.values, run.at(debiased_parameters(run.view, hard)).values(chosen)
        values = {name: now[name] for name in wanted}
        made = Plan(
            **known, values=values, predictions=after, results=after, weights=run.weights, path=[], reached=True
        )
    elif way == "remove" and not hard and starts == 1 and len(chosen) == 1:
        made = _removal(scores, chosen[0], known, tolerance, rounds)
    else:
        made = _fitted(scores, chosen, known, way, starts, tolerance, rounds, bound)
    words = [word for o in chosen if isinstance(o, BaseObjective) for word in o.words]
    gone = np.flatnonzero((made.weights == 0) & (made.before > 0))
    spent = max(made.seconds, time.perf_counter() - begun)  # of a plan that was stored, what it took then
    return replace(made, depleted_words=depleted_words(run, words, gone), seconds=spent)


def _wanted(scores: Scores, targets: float | Mapping[str, float], objective: Any) -> dict[str, float]:
    if not isinstance(targets, Mapping):
        return {scores.names[scores.index_of(objective)]: targets}
    if not targets:
        raise UserError("A plan needs at least one target: {NAME: 0.0}.")
    for name in targets:
        scores.index_of(name)  # refuses
    return dict(targets)


def _near(wanted: Mapping[str, float], values: Mapping[str, float], tolerance: float | None) -> float:
    if tolerance is not None:
        return tolerance
    return min(TOLERANCE, *(abs(wanted[name] - values[name]) / 10 or TOLERANCE for name in wanted), TOLERANCE)


def _removal(scores: Scores, objective: Objective, known: dict[str, Any], tolerance: float | None, rounds: int) -> Plan:
    """The smallest removal for one objective, by first order, and from there by rounds."""
    name, run = objective.name, scores.run
    made = first_order_removal(scores.of(name), value=scores.values[name], **known)
    able = scores.estimator == UNROLLED and run.steps > 0
    if rounds and made.size and made.reached and able:
        return _fitted(scores, [objective], known, "remove", 1, tolerance, rounds, BOUND)
    return made


def _fitted(
    scores: Scores,
    chosen: Sequence[Objective],
    known: dict[str, Any],
    way: str,
    starts: int,
    tolerance: float | None,
    rounds: int,
    bound: float,
) -> Plan:
    run, wanted, before = scores.run, known["targets"], known["before"]
    if scores.estimator != UNROLLED or not run.steps:
        raise UserError(f"{way} retrains on its way: score by unrolled a run that was trained here (cl.train).")
    names, hard = list(wanted), known["groups"]
    after = [After(o, tuple(hard_debias(group) for group in hard)) for o in chosen] if hard else list(chosen)
    ensemble = SeedEnsemble(run, after, starts, None if hard else scores)
    near = _near(wanted, scores.values, tolerance)
    propose = removal(before, near) if way == "remove" else reweighting(before, bound)
    key: tuple[Any, ...] = (
        known["method"],
        [run.fingerprint(o) for o in chosen],
        wanted,
        list(hard),
        starts,
        tolerance,
        bound,
    )
    place = run.store.entry("plan-rounds", *key, suffix=".safetensors")
    aims = np.array([wanted[name] for name in names], dtype=np.float64)
    fitted = fit(ensemble, aims, propose, tolerance=near, rounds=rounds, entry=place)
    path, end = fitted.path(names), fitted.means()
    return Plan(
        **known,
        values=dict(zip(names, fitted.means(0).tolist(), strict=True)),
        predictions=path[-1].predicted if path else dict(zip(names, fitted.means(0).tolist(), strict=True)),
        results=dict(zip(names, end.tolist(), strict=True)),
        weights=fitted.weights,
        path=path,
        seconds=float(fitted.seconds[0]),
        reached=bool(np.abs(aims - end).max() <= near),
    )


def rounds_stored(scores: Scores, objective: Objective, target: float) -> bool:
    """Whether the removal for one objective was begun before."""
    key: tuple[Any, ...] = ("remove", [scores.run.fingerprint(objective)], {objective.name: target}, [], 1, None, BOUND)
    return scores.run.store.entry("plan-rounds", *key, suffix=".safetensors").load() is not None


def _updated(run: Run, chosen: Sequence[Objective], known: dict[str, Any], way: str, grid: dict[str, Any]) -> Plan:
    """Sweep one way of updating; A and M are picked by one half of the test's words, the cell by the other half."""
    if len(chosen) != 1 or not isinstance(chosen[0], Weat):
        raise UserError(f"{way} corrects one association test at a time: give one target.")
    test, hard, method = chosen[0], known["groups"], known["method"]
    model, target = require_skipgram(run.model, way), float(known["targets"][test.name])
    fitted, judged = test.halves(model.word_index)
    start = run.at(debiased_parameters(run.view, hard)) if hard else run
    deep = tuple(hard_debias(group) for group in hard)
    ranking = compute_scores(run, [After(fitted, deep) if hard else fitted]).of()
    judge = figures_of(run, [test, judged])
    before, value = judge(start.theta), start.values([fitted])[fitted.name]
    key: tuple[Any, ...] = (method, run.fingerprint(test), list(hard), target, grid)

    def figures(theta: Tensor) -> dict[str, float]:
        return judge(theta)

    with track(f"trying {way}") as progress:
        cells = sweep(
            run, start.theta, ranking, figures, value=value, target=target, ways=[way], **grid,
            entry=run.store.entry("sweep", *key), state=run.store.entry("sweep", *key, suffix=".safetensors"),
            progress=progress,
        )  # fmt: skip
    cell, quality_held = choose_cell(cells, before, judged=judged.name, target=target)
    made = update(ranking, run.weights, value=value, target=target, how=way, size=cell.size, passes=cell.passes)
    end = {test.name: cell.figures[test.name]}
    return Plan(
        **known, values=run.values([test]), predictions=end, results=end, weights=made.weights(run.weights), path=[],
        reached=quality_held, update=made, sweep=cells,
    )  # fmt: skip
