"""What the folder of a run holds of its results, for a process that did not make them."""

from collections.abc import Sequence

from crossloss.core import Objective
from crossloss.plans import SmallestFlip, plan, read_plan
from crossloss.plans.fitting import ROUNDS
from crossloss.plans.flip import in_common, sentences
from crossloss.plans.make import rounds_stored
from crossloss.run.run import Run
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


def restore(scores: Scores) -> None:
    """Set ``run.results`` to what the folder holds of plans, validation and starts, for ``cl.report``."""
    run = scores.run
    for name, target in stored_targets(run, scores.names).items():
        chosen = scores.objectives[scores.index_of(name)]
        plan(scores, {name: target}, rounds=ROUNDS if rounds_stored(scores, chosen, target) else 0)
    run.results.validation = stored_validation(run)
    run.results.flips = {name: list(sets.values()) for name, sets in (run.store.load(ROBUSTNESS) or {}).items()}
    if number := run.store.manifest.get("starts"):
        run.results.spreads = over_starts(run, scores.objectives, number)
