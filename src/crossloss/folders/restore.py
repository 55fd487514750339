"""What the folder of a run holds of its results, for a process that did not make them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from crossloss.core import Objective, UserError
from crossloss.folders.without_field import StoredRun
from crossloss.objectives import BaseObjective
from crossloss.objectives.bounds import bounds_of
from crossloss.plans import Evaluation, Plan, PlanSettings, Round, SmallestFlip, read_plan
from crossloss.plans.depleted import depleted_words
from crossloss.plans.flip import in_common, sentences
from crossloss.plans.sweep import Cell
from crossloss.plans.update import Update
from crossloss.run.run import Run
from crossloss.scores import Scores, score
from crossloss.utils.files import read_json
from crossloss.validation import over_starts
from crossloss.validation.smoothness import stored_smoothness
from crossloss.validation.validation import stored_validation

ROBUSTNESS = "robustness.json"


def stored_scores(run: Run, objectives: Sequence[Objective]) -> Scores:
    """Scores by the estimator that the run is scored by; made where they are not stored."""
    scores = score(run, objectives, **run.store.manifest.get("estimator", {}))
    scores.save()
    return scores


def stored_targets(run: Run, names: Sequence[str]) -> dict[str, float]:
    """Targets of the run's removals, by their files; 0 where there is none."""
    targets = dict.fromkeys(names, 0.0)
    for name in names:
        if run.store.path and (path := run.store.path / f"plan-{name}.parquet").exists():
            targets[name] = float(read_plan(path)[1].get("targets", {}).get(name, 0.0))
    return targets


def save_flip(run: Run, flip: SmallestFlip, owner: str) -> list[str]:
    """Add how few samples decide an objective, or ``owner`` with fewer words, to the run; returns it in sentences."""
    lines, stored = sentences(flip, in_common(run, flip.removed)), run.store.load(ROBUSTNESS) or {}
    stored.setdefault(owner, {})[f"{flip.name} {flip.verdict}"] = lines
    run.store.save(ROBUSTNESS, stored)
    name = owner if flip.name == owner else f"{owner}.frequent"
    run.store.log_metrics({key.replace(flip.name, name): value for key, value in flip.metrics().items()})
    return lines


def restore(run: Run) -> None:
    """Add what the folder holds of scores, plans, validation, starts and flips to ``run.results``, for ``cl.report``.

    Scores are made where they are not stored, if the run has objectives.
    """
    results, manifest = run.results, run.store.manifest
    if results.scores is None and run.objectives and (run.steps or "estimator" in manifest):
        score(run, run.objectives, **manifest.get("estimator", {}))
    if results.scores is None or run.store.path is None:
        return
    for path in sorted(run.store.path.glob("plan-*.parquet")):
        name = path.stem.removeprefix("plan-")
        if name not in results.plans and (made := _restored_plan(results.scores, path, name)):
            results.plans[name] = made
    for path in sorted(run.store.path.glob("evaluation-*.json")):
        evaluation = Evaluation.from_json(read_json(path))
        results.evaluations.setdefault(evaluation.name, evaluation)
    results.validation = results.validation or stored_validation(run)
    results.smoothness = results.smoothness or stored_smoothness(run)
    flips = {name: list(sets.values()) for name, sets in (run.store.load(ROBUSTNESS) or {}).items()}
    results.flips = flips | results.flips
    if not results.spreads and (number := manifest.get("starts")):
        if not isinstance(run, StoredRun):
            over_starts(run, results.scores.objectives, number)
            return
        for o in results.scores.objectives:
            with suppress(UserError):  # another than those that were measured
                over_starts(run, [o], number)


def _restored_plan(scores: Scores, path: Path, name: str) -> Plan | None:
    """The plan of a file; None where its objectives were not scored."""
    weights, known = read_plan(path)
    targets = known.get("targets", {})
    if not targets or not set(targets) <= set(scores.names):
        return None
    chosen = [scores.objectives[scores.index_of(name)] for name in targets]
    index, before = scores.run.model.word_index, scores.run.weights
    removed = np.flatnonzero((weights == 0) & (before > 0))
    words = [word for o in chosen if isinstance(o, BaseObjective) for word in o.words]
    update = known.get("update")
    settings = TypeAdapter(PlanSettings).validate_python(known["settings"])
    return Plan(
        settings, targets, known["values"], known["predicted"], known["retrained"], weights, before,
        [Round(**each) for each in known["path"]], known["reached"], np.stack([scores.of(name) for name in targets]),
        depleted_words=[] if settings.way == "swap" else depleted_words(scores.run, words, removed),
        bounds={o.name: bounds_of(o, index) for o in chosen},
        seconds=scores.run.store.metrics.get(f"plan.{name}.seconds", 0.0),
        update=None if update is None else Update.from_json(update), quality_kept=known.get("quality_kept", True),
        sweep=[Cell(**cell) for cell in known.get("sweep", [])],
    )  # fmt: skip
