"""Make a plan: one entry for every method."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.hard_debias import After, debiased_parameters, hard_debias
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import BaseObjective
from crossloss.objectives.bounds import bounds_of, check_target
from crossloss.objectives.weat import Weat
from crossloss.plans.depleted import depleted_words
from crossloss.plans.ensemble import SeedEnsemble
from crossloss.plans.fitting import fit, removals, reweighting, selection
from crossloss.plans.plan import Plan
from crossloss.plans.removal import first_order_removal
from crossloss.plans.settings import FITTED, HARD, PlanSettings
from crossloss.plans.sweep import PASSES, SIZES, choose_cell, sweep
from crossloss.plans.targets import targets_reached, tolerances
from crossloss.plans.update import ARMS, update
from crossloss.run.figures import figures_of
from crossloss.run.run import Run
from crossloss.scores.scores import UNROLLED, Scores
from crossloss.scores.scoring import compute_scores
from crossloss.utils.progress import track

METHODS = (*FITTED, *ARMS, HARD, *(f"{HARD}+{way}" for way in (*FITTED, *ARMS)))


def plan(
    scores: Scores,
    targets: float | Mapping[str, float] = 0.0,
    *,
    method: str = "remove",
    objective: str | Objective | None = None,
    starts: int = 1,
    tolerance: float | None = None,
    rounds: int = 12,
    bound: float = 2.0,
    groups: Sequence[str] = ("gender",),
    sizes: Sequence[int] = SIZES,
    passes: Sequence[int] = PASSES,
    most_steps: int | None = None,
    share: float | None = None,
    budget: int | None = None,
    copies: bool = False,
) -> Plan:
    """Plan what brings objectives to their targets.

    A first-order prediction overshoots where the strongest samples go. So each round of ``remove``, ``reweight`` and
    ``swap`` trains with the plan so far, takes derivatives there and goes on, until the retrained value is at the
    target: a retraining and a scoring a round, two to four as a rule. In a run folder a stopped plan goes on.

    Parameters
    ----------
    scores : Scores
        Unrolled, for more than a first-order removal.
    targets : float or mapping
        Of the one objective, or of each by its name; in the objective's unit.
    method : str
        remove: the fewest samples out. reweight: the smallest change of the weights. swap: the fewest sentences
        replaced by their swapped versions (``cl.with_swaps``). undo, reinforce, both: steps on the trained model (paper
        Sec. 4.4). hard: hard debias of the vectors; hard+METHOD: that first.
    objective : str or Objective, optional
        The one that ``targets`` is of, where it is a number; the first scored where None.
    starts : int
        Of remove, reweight and swap: fitted to the run's own start (1), or to the mean over starts.
    tolerance : float, optional
        Distance from a target that counts as reached. By default .01, or a tenth of the way there if that is less; of
        several starts, half of the standard error of their mean where that is more.
    rounds : int
        At most; 0 for the first-order removal, which retrains nothing.
    bound : float
        Of reweight: the largest weight, in units of what it was.
    groups : sequence of str
        Word sets of hard debias, applied in turn: gender, race.
    sizes, passes, most_steps
        Of undo, reinforce and both: what is tried; updates of more steps are left out.
    share : float, optional
        Of swap: that part of the versions, drawn at random, whatever their scores.
    budget : int, optional
        Of swap and remove: at most so many sentences.
    copies : bool
        Of swap: versions are added, and their sentences stay.

    Raises
    ------
    UserError
        An unknown method; an objective that was not scored, or that can never take its target; a method that needs what
        the run has not (steps, starts, words, versions).

    Examples
    --------
    >>> plan = cl.plan(scores, 0.5)
    >>> print(plan.size, plan.predicted, plan.retrained)
    >>> gentle = cl.plan(scores, {"weat7": 0.5}, method="reweight")
    """
    settings = PlanSettings(
        method, starts, tolerance, rounds, bound, tuple(groups), tuple(sizes), tuple(passes), most_steps, share, budget,
        copies,
    )  # fmt: skip
    made = compute_plan(scores, targets, settings, objective)
    scores.run.results.plans[made.name] = made
    return made


def compute_plan(
    scores: Scores,
    targets: float | Mapping[str, float],
    settings: PlanSettings,
    objective: str | Objective | None = None,
) -> Plan:
    """``plan``, of which the run remembers nothing."""
    if not isinstance(scores, Scores):
        raise UserError(f"A plan is made of scores, and this is a {type(scores).__name__}: cl.score(run, [objective]).")
    run, begun, way = scores.run, time.perf_counter(), settings.way
    wanted = _wanted(scores, targets, objective)
    chosen = [scores.objectives[scores.index_of(name)] for name in wanted]
    _check(run, settings)
    for o in chosen:
        check_target(o, wanted[o.name], run.model.word_index)
    known: dict[str, Any] = {
        "settings": settings,
        "targets": wanted,
        "before": run.weights,
        "scores": np.stack([scores.of(name) for name in wanted]),
        "bounds": {o.name: bounds_of(o, run.model.word_index) for o in chosen},
        "origin": run.origin,
    }
    if way in ARMS:
        made = _updated(run, chosen, known)
    elif way == HARD or settings.share is not None:
        made = _given(run, chosen, known)
    elif way == "remove" and not settings.hard and settings.starts == 1 and len(chosen) == 1 and not settings.budget:
        made = _removal(scores, chosen[0], known)
    else:
        made = _fitted(scores, chosen, known)
    words = [word for o in chosen if isinstance(o, BaseObjective) for word in o.words]
    gone = np.flatnonzero((made.weights == 0) & (made.before > 0)) if way != "swap" else np.empty(0, dtype=np.int64)
    spent = max(made.seconds, time.perf_counter() - begun)  # of a plan that was stored, what it took then
    return replace(made, depleted_words=depleted_words(run, words, gone), seconds=spent)


def _check(run: Run, settings: PlanSettings) -> None:
    """Refuse what cannot be, before any work."""
    if settings.method not in METHODS:
        raise UserError(f"There is no method {settings.method!r}; there are: {', '.join(METHODS)}.")
    if settings.hard:
        require_skipgram(run.model, "Hard debias")
    if settings.way == "swap" and require_skipgram(run.model, "Swapping").corpus.originals is None:
        raise UserError(
            "The run has no swapped versions: train it with them, `crossloss run CORPUS --swap gender` or "
            'cl.SkipGram(cl.with_swaps(corpus, "gender")).'
        )
    if settings.way != "swap" and (settings.share is not None or settings.copies):
        raise UserError("A share and copies are of swapped versions: give them with method swap.")
    if settings.share is not None and not 0 < settings.share <= 1:
        raise UserError(f"A share of {settings.share:g} swaps nothing: give one above 0, at most 1.")
    if settings.budget is not None and (settings.budget < 1 or settings.way not in ("swap", "remove")):
        raise UserError("A budget is of swap and remove: at least one sentence.")
    if settings.share is not None and (settings.budget is not None or settings.starts != 1):
        raise UserError("A share of the swaps is drawn at random: it takes no budget and no starts.")
    if settings.tolerance is not None and not 0 <= settings.tolerance < float("inf"):
        raise UserError(f"A tolerance is a number of 0 or more, not {settings.tolerance}.")


def _wanted(scores: Scores, targets: float | Mapping[str, float], objective: Any) -> dict[str, float]:
    if not isinstance(targets, Mapping):
        return {scores.names[scores.index_of(objective)]: targets}
    if not targets:
        raise UserError("A plan needs at least one target: {NAME: 0.0}.")
    for name in targets:
        scores.index_of(name)  # refuses
    return dict(targets)


def swap_changes(run: Run, copies: bool = False) -> csr_matrix:
    """What each swapped version of a sentence that was trained on adds to the weights, (m, n): its sentence's weight.

    Where it is no copy, its sentence loses that.
    """
    originals, before = require_skipgram(run.model, "Swapping").corpus.originals, run.weights
    assert originals is not None
    versions = np.flatnonzero((originals >= 0) & (before == 0))
    versions = versions[before[originals[versions]] > 0]
    sentences, number = originals[versions], np.arange(len(versions))
    gained = csr_matrix((before[sentences], (number, versions)), shape=(len(versions), len(before)))
    lost = csr_matrix((before[sentences], (number, sentences)), shape=gained.shape)
    return gained if copies else gained - lost


def _given(run: Run, chosen: Sequence[Objective], known: dict[str, Any]) -> Plan:
    """Hard debias, and a share of the swaps: nothing is fitted."""
    settings, weights = known["settings"], run.weights
    if settings.share is not None:
        changes = swap_changes(run, settings.copies)
        drawn = np.random.default_rng(0).permutation(changes.shape[0])[: round(settings.share * changes.shape[0])]
        weights = weights + np.asarray(changes[np.sort(drawn)].sum(axis=0)).ravel()
    values = run.values(chosen)
    made = Plan(**known, values=values, predictions=values, results={}, weights=weights, path=[], reached=True)
    first_order = known["scores"] @ (weights - run.weights)
    results = made.apply(run).values(chosen)
    predictions = {o.name: values[o.name] + float(first_order[i]) for i, o in enumerate(chosen)}
    met = targets_reached(known["targets"], values, results, settings.tolerance)
    return replace(made, predictions=results if settings.hard else predictions, results=results, reached=met)


def _removal(scores: Scores, objective: Objective, known: dict[str, Any]) -> Plan:
    """The smallest removal for one objective, by first order, and from there by rounds."""
    name, run = objective.name, scores.run
    made = first_order_removal(scores.of(name), value=scores.values[name], **known)
    able = scores.estimator == UNROLLED and run.steps > 0
    if known["settings"].rounds and made.size and made.reached and able:
        return _fitted(scores, [objective], known)
    return made


def _fitted(scores: Scores, chosen: Sequence[Objective], known: dict[str, Any]) -> Plan:
    run, wanted, before, settings = scores.run, known["targets"], known["before"], known["settings"]
    way, hard = settings.way, settings.hard
    if scores.estimator != UNROLLED or not run.steps:
        raise UserError(f"{way} retrains on its way: score by unrolled a run that was trained here (cl.train).")
    names = list(wanted)
    after = [After(o, tuple(hard_debias(group) for group in hard)) for o in chosen] if hard else list(chosen)
    ensemble = SeedEnsemble(run, after, settings.starts, None if hard else scores)
    aims = np.array([wanted[name] for name in names], dtype=np.float64)
    close = tolerances(aims, ensemble.values(before), settings.tolerance)
    if way == "reweight":
        propose = reweighting(before, settings.bound)
    else:
        changes = removals(before) if way == "remove" else swap_changes(run, settings.copies)
        propose = selection(before, changes, float(close.min()), settings.budget or np.inf)
    identity = asdict(settings) | {"rounds": None}
    place = run.store.entry(
        "plan-rounds", identity, [run.fingerprint(o) for o in chosen], wanted, suffix=".safetensors"
    )
    fitted = fit(ensemble, aims, propose, tolerance=close, rounds=settings.rounds, entry=place)
    path, end = fitted.path(names), fitted.means()
    return Plan(
        **known,
        values=dict(zip(names, fitted.means(0).tolist(), strict=True)),
        predictions=path[-1].predicted if path else dict(zip(names, fitted.means(0).tolist(), strict=True)),
        results=dict(zip(names, end.tolist(), strict=True)),
        weights=fitted.weights,
        path=path,
        seconds=float(fitted.seconds[0]),
        reached=bool((np.abs(aims - end) <= close).all()),
    )


def _updated(run: Run, chosen: Sequence[Objective], known: dict[str, Any]) -> Plan:
    """Sweep one way of updating; A and M are picked by one half of the test's words, the cell by the other half."""
    settings: PlanSettings = known["settings"]
    way, hard = settings.way, settings.hard
    if len(chosen) != 1 or not isinstance(chosen[0], Weat):
        raise UserError(f"{way} corrects one association test at a time: give one target.")
    test = chosen[0]
    model, target = require_skipgram(run.model, way), float(known["targets"][test.name])
    fitted, judged = test.halves(model.word_index)
    start = run.at(debiased_parameters(run.view, hard)) if hard else run
    deep = tuple(hard_debias(group) for group in hard)
    ranking = compute_scores(run, [After(fitted, deep) if hard else fitted]).of()
    judge = figures_of(run, [test, judged])
    before, value = judge(start.theta), start.values([fitted])[fitted.name]
    key: tuple[Any, ...] = (asdict(settings), run.fingerprint(test), target)
    with track(f"trying {way}") as progress:
        cells = sweep(
            run, start.theta, ranking, judge, value=value, target=target, ways=[way], sizes=settings.sizes,
            passes=settings.passes, most_steps=settings.most_steps, entry=run.store.entry("sweep", *key),
            state=run.store.entry("sweep", *key, suffix=".safetensors"), progress=progress,
        )  # fmt: skip
    cell, quality_kept = choose_cell(cells, before, judged=judged.name, target=target)
    made = update(ranking, run.weights, value=value, target=target, how=way, size=cell.size, passes=cell.passes)
    end = {test.name: cell.figures[test.name]}
    values = run.values([test])
    return Plan(
        **known, values=values, predictions=end, results=end, weights=made.weights(run.weights), path=[],
        reached=targets_reached(known["targets"], values, end, settings.tolerance), update=made, sweep=cells,
        quality_kept=quality_kept,
    )  # fmt: skip
