"""Judge a plan by retraining, and say what it cost."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.hard_debias import cluster_purity, hard_debias, most_biased
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.quality import neighbours, neighbours_kept, overlap
from crossloss.objectives import as_objective, measured
from crossloss.plans.ensemble import held_out_seeds
from crossloss.plans.evaluation import Evaluation, Row
from crossloss.plans.held_out import held_out_words
from crossloss.plans.plan import Plan
from crossloss.plans.transfer import Transfer, transfer
from crossloss.run.figures import figures, held_in_samples, held_out_loss
from crossloss.run.run import Run
from crossloss.utils.progress import track

NEIGHBOUR_WORDS = 1000

FURTHER_STARTS = HALVES = 5
"""Starts that a plan was not fitted to, and draws of half of the words, that it is judged by."""


def evaluate(
    plan: Plan,
    run: Run,
    objectives: Sequence[Objective],
    *,
    seeds: int = FURTHER_STARTS,
    halves: int = HALVES,
    gensim: int = 0,
) -> Evaluation:
    """Judge a plan on starts, on words and by a trainer that it was not fitted to; and say what it cost.

    Each start's figures are stored, so that a stopped evaluation goes on, and the untouched runs are measured once for
    all plans.

    Parameters
    ----------
    plan : Plan
    run : Run
        The one that it is of.
    objectives : sequence of Objective
        Measured; those of the plan among them.
    seeds : int
        Starts, at least two; a model with one start is judged by that one.
    halves : int
        So many times a half of each word set is drawn; another plan is fitted to it, and judged by the other half.
    gensim : int
        Seeds from which gensim's Word2Vec is trained on the corpus before and after.

    Raises
    ------
    UserError
        Fewer than two starts; a test with fewer than four words a set, where ``halves``; gensim is not installed.

    Examples
    --------
    >>> plan = cl.plan(scores, 0.5, method="reweight")
    >>> print(cl.evaluate(plan, run, scores.objectives, seeds=2, halves=0))
    """
    if seeds < 2:
        raise UserError("The cost of a plan needs at least two starts, to tell it from the noise between starts.")
    objectives = [as_objective(o) for o in objectives]
    others = held_out_seeds(run, plan.settings.starts, seeds) if run.has_starts else [run.seed]
    before, after, seconds = [], [], []
    with track(f"evaluating {plan.label}") as progress:
        for number, seed in enumerate(others):
            progress(number, len(others))
            follower = others[(number + 1) % len(others)]
            row = _at_start(plan, run, objectives, seed, follower)
            before.append(row["before"])
            after.append(row["after"])
            seconds.append(row["seconds"])
        progress(len(others), len(others))
    names = sorted(set.intersection(*(set(each) for each in (*before, *after))))
    made = plan.apply(run)
    results = [{o.name: measured(o, at.view) for o in objectives} for at in (run, made)]
    cell = None if plan.update is None else _cell(plan)
    evaluation = Evaluation(
        method=plan.label,
        targets=dict(plan.targets),
        effects={o.name: (results[0][o.name].value, results[1][o.name].value) for o in objectives},
        p_values={
            name: (first.tested.p_value, then.tested.p_value)
            for name, first in results[0].items()
            if first.tested is not None and (then := results[1][name]).tested is not None
        },
        held_out_words=held_out_words(plan, run, objectives, others, halves),
        moved=plan.moved,
        changed_share=plan.changed_share,
        removed=plan.size,
        reached=plan.reached,
        quality_kept=plan.quality_kept,
        seconds=plan.seconds,
        apply_seconds=float(np.mean(seconds)),
        seeds=list(others),
        rows=[Row(name, [each[name] for each in before], [each[name] for each in after]) for name in names],
        chosen={} if cell is None else asdict(cell),
        purity=_purity(plan, run, made),
        transfer=_transferred(plan, run, objectives, range(1, gensim + 1)),
    )
    run.results.evaluations[evaluation.name] = evaluation
    return evaluation


def _transferred(plan: Plan, run: Run, objectives: Sequence[Objective], seeds: Sequence[int]) -> dict[str, Transfer]:
    """Of methods that change the corpus; others do nothing that another trainer could see."""
    if not seeds or not plan.moved:
        return {}
    entry = run.store.entry("transfer", [run.fingerprint(o) for o in objectives])
    return transfer(run, objectives, plan.weights, seeds, entry=entry)


def _purity(plan: Plan, run: Run, made: Run) -> dict[str, tuple[float, float]]:
    if not isinstance(run.model, SkipGram):
        return {}
    purity = {}
    for group in dict.fromkeys(("gender", *plan.settings.hard)):
        try:
            first, second = most_biased(hard_debias(group), run.view)
        except UserError:  # the vocabulary lacks the words of the group
            continue
        purity[group] = (cluster_purity(run.view, first, second), cluster_purity(made.view, first, second))
    return purity


def _cell(plan: Plan) -> Any:
    assert plan.update is not None
    size = max(len(plan.update.undone), len(plan.update.reinforced))
    fitting = [c for c in plan.sweep if c.passes == plan.update.passes and not c.failed and c.size >= size]
    return min(fitting, key=lambda c: c.size)


def _at_start(plan: Plan, run: Run, objectives: Sequence[Objective], seed: int | None, other: int | None) -> Any:
    """Figures before and after the plan from one start; ``other`` gives how far neighbours differ by chance."""
    known = [run.fingerprint(o) for o in objectives]

    def untouched(at: int | None) -> dict[str, Any]:
        made = run if at == run.seed else run.retrain(seed=at)
        return _measured(run, made, objectives, None, at)

    def before(at: int | None) -> dict[str, Any]:
        stored: dict[str, Any] = run.store.get_or_make("retrains/before", known, at, make=lambda: untouched(at))
        return stored

    def corrected() -> dict[str, Any]:
        begun = time.perf_counter()
        made = plan.apply(run, seed=seed)
        seconds = time.perf_counter() - begun
        mine = before(seed)
        found = _measured(run, made, objectives, plan, seed)
        if "near" in mine:
            near = np.array(mine["near"])
            found["neighbours_kept"] = neighbours_kept(near, _vectors(made))
            chance = {"neighbours_kept": overlap(near, np.array(before(other)["near"]))}
        else:
            chance = {}
        figures_before = {name: value for name, value in mine.items() if name != "near"}
        found.pop("near", None)
        return {"before": figures_before | chance, "after": found, "seconds": seconds}

    key = (plan.label, known, plan.weights, plan.targets, plan.settings.hard, seed, other)
    signed = None if plan.update is None else plan.update.signed(len(plan.weights))
    return run.store.get_or_make("retrains/after", *key, signed, make=corrected)


def _measured(
    run: Run, made: Run, objectives: Sequence[Objective], plan: Plan | None, seed: int | None
) -> dict[str, Any]:
    found: dict[str, Any] = dict(figures(made, objectives))
    if isinstance(run.model, SkipGram):
        held_in = held_in_samples(run, seed)
        if plan is None:
            again = run.retrain(run.weights * held_in, seed=seed)
        else:
            again = plan.apply(run, seed=seed, held_in=held_in)
        found["held_out_loss"] = held_out_loss(run.model, again.theta, held_in)
        if plan is None:
            found["near"] = neighbours(_vectors(made), NEIGHBOUR_WORDS).tolist()
    return found


def _vectors(run: Run) -> np.ndarray:
    return np.asarray(run.view.vectors.cpu().numpy())
