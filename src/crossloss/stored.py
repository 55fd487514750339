"""What the folder of a run holds of its results, for a process that did not make them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from crossloss.core import Objective, UserError
from crossloss.objectives import BaseObjective
from crossloss.plans import Plan, SmallestFlip, read_plan
from crossloss.plans.depleted import depleted_words
from crossloss.plans.flip import in_common, sentences
from crossloss.plans.make import compute_plan, rounds_stored
from crossloss.run.run import Run
from crossloss.run.without_field import StoredRun
from crossloss.scores import Scores, score
from crossloss.validation import over_starts
from crossloss.validation.validate import stored_validation

ROBUSTNESS = "robustness.json"


def stored_scores(run: Run, objectives: Sequence[Objective]) -> Scores:
    """Scores by the estimator that the run is scored by; made where they are not stored."""
    scores = score(run, objectives, **run.store.manifest.get("estimator", {}))
    scores.save()
    return scores


def stored_targets(run: Run, names: Sequence[str]) -> dict[str, float]:
    """Targets of the run's removals, by their files; 0 where there is none."""
    files = {name: run.store.path / f"plan-{name}.parquet" for name in names} if run.store.path else {}
    known = {name: read_plan(path)[1].get("targets", {}) for name, path in files.items() if path.exists()}
    return {name: float(known.get(name, {}).get(name, 0.0)) for name in names}


def save_flip(run: Run, flip: SmallestFlip, owner: str) -> list[str]:
    """Add how few samples decide an objective to robustness.json and to the figures; returns it in sentences.

    ``owner`` is the name of the objective; a flip of another name is of the same test with fewer words.
    """
    lines, stored = sentences(flip, in_common(run, flip.removed)), run.store.load(ROBUSTNESS) or {}
    stored.setdefault(owner, {})[f"{flip.name} {flip.verdict}"] = lines
    run.store.save(ROBUSTNESS, stored)
    name = owner if flip.name == owner else f"{owner}.frequent"
    run.store.log_metrics({key.replace(flip.name, name): value for key, value in flip.metrics().items()})
    return lines


def restore(run: Run) -> None:
    """Set ``run.results`` to what the folder holds of scores, plans, validation, starts and flips, for ``cl.report``.

    What was found in this process stays. Scores are made where they are not stored, if the run has objectives.
    """
    results, manifest = run.results, run.store.manifest
    if results.scores is None and run.objectives and (run.steps or "estimator" in manifest):
        score(run, run.objectives, **manifest.get("estimator", {}))
    if results.scores is None or run.store.path is None:
        return
    for path in sorted(run.store.path.glob("plan-*.parquet")):
        name = path.stem.removeprefix("plan-")
        if name not in results.plans and (made := _restored_plan(results.scores, path)):
            results.plans[name] = made
    results.validation = results.validation or stored_validation(run)
    flips = {name: list(sets.values()) for name, sets in (run.store.load(ROBUSTNESS) or {}).items()}
    results.flips = flips | results.flips
    if not results.spreads and (number := manifest.get("starts")):
        if not isinstance(run, StoredRun):
            over_starts(run, results.scores.objectives, number)
            return
        for o in results.scores.objectives:
            with suppress(UserError):  # another than those that were measured
                over_starts(run, [o], number)


def _restored_plan(scores: Scores, path: Path) -> Plan | None:
    """The plan of a file: with its rounds, where they are stored; None where its objectives were not scored."""
    weights, known = read_plan(path)
    targets = known.get("targets", {})
    if not targets or not set(targets) <= set(scores.names):
        return None
    chosen = [scores.objectives[scores.index_of(name)] for name in targets]
    removal = known["method"] == "remove" and len(chosen) == known["starts"] == 1
    if removal and rounds_stored(scores, chosen[0], targets[chosen[0].name]):
        made = compute_plan(scores, targets, method="remove")
        if np.array_equal(made.weights, weights):
            return made
    removed = np.flatnonzero((weights == 0) & (scores.run.weights > 0))
    words = [word for o in chosen if isinstance(o, BaseObjective) for word in o.words]
    return Plan(
        known["method"], targets, known["values"], known["predicted"], known["retrained"], weights, scores.run.weights,
        [], known["reached"], known["starts"], np.stack([scores.of(name) for name in targets]),
        depleted_words=depleted_words(scores.run, words, removed),
    )  # fmt: skip
