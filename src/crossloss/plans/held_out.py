"""Words that a plan was not fitted to: the same method, fitted to half of each test's words, judged by the others."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from crossloss.core import Objective
from crossloss.objectives.weat import Weat
from crossloss.plans.ensemble import baseline_seeds
from crossloss.plans.evaluation import HeldOutWords
from crossloss.plans.make import compute_plan
from crossloss.plans.plan import Plan
from crossloss.plans.settings import FITTED
from crossloss.run.retrainer import Retrainer
from crossloss.run.run import Run
from crossloss.scores.scoring import compute_scores
from crossloss.utils.progress import track

NEAR = 0.05
"""How near the fitted halves come to their targets, or a tenth of the way if that is less: the others are judged."""


def held_out_words(
    plan: Plan, run: Run, objectives: Sequence[Objective], seeds: Sequence[int | None], draws: int
) -> dict[str, HeldOutWords]:
    """Fit to half of the words of each test and judge by the others, on starts not fitted to."""
    tests = [o for o in objectives if hasattr(o, "halves") and o.name in plan.targets]
    if plan.settings.way not in FITTED or len(tests) < len(plan.targets):
        return {}
    parts = [{o.name: _draw(o, run, draw) for o in tests} for draw in range(draws)]
    judges = [{name: _kinds(judged) for name, (_, judged) in each.items()} for each in parts]
    fitted = [half for each in parts for half, _ in each.values()]
    retrainer = Retrainer(run, [*fitted, *(judge for each in judges for pair in each.values() for judge in pair)])
    if plan.settings.share is None:
        for seed in baseline_seeds(run, plan.settings.starts):  # once for all draws
            retrainer(seed=seed)
    before = [retrainer(seed=seed) for seed in seeds]
    farthest = max(abs(plan.targets[name] - plan.values[name]) for name in plan.targets)
    settings = replace(plan.settings, tolerance=max(plan.settings.tolerance or 0.0, min(NEAR, farthest / 10)))
    rows: dict[str, list[list[float]]] = {o.name: [] for o in tests}
    with track(f"{plan.label}: other words") as progress:
        for draw in range(draws):
            progress(draw, draws)
            every = [judge for pair in judges[draw].values() for judge in pair]

            def corrected(parts: Any = parts[draw], every: Any = every) -> list[Any]:
                made = plan
                if plan.settings.share is None:
                    goals = {fitted.name: plan.targets[name] for name, (fitted, _) in parts.items()}
                    scores = compute_scores(run, [fitted for fitted, _ in parts.values()])
                    made = compute_plan(scores, goals, settings)
                return [made.apply(run, seed=seed).values(every) for seed in seeds]

            known = [run.fingerprint(o) for o in every]
            after = run.store.get_or_make(
                "retrains/halves", asdict(settings), plan.targets, known, list(seeds), make=corrected
            )
            for name, pair in judges[draw].items():
                rows[name].append([float(np.mean([at[o.name] for at in end])) for o in pair for end in (before, after)])
        progress(draws, draws)
    return {name: HeldOutWords(*map(list, zip(*each, strict=True))) for name, each in rows.items() if each}


def _draw(objective: Any, run: Run, draw: int) -> tuple[Any, Any]:
    """The halves of one draw, with names of their own: one to fit to, one to judge by."""
    fitted, judged = objective.halves(run.model.word_index, draw)
    return replace(fitted, name=f"{fitted.name}.{draw}"), replace(judged, name=f"{judged.name}.{draw}")


def _kinds(judged: Any) -> tuple[Any, Any]:
    """An objective and, of a test, its statistic."""
    if not isinstance(judged, Weat):
        return judged, judged
    effect, statistic = (replace(judged, kind=kind, name=f"{judged.name}.{kind}") for kind in ("effect", "statistic"))
    return effect, statistic
