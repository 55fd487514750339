"""The stages of every run: measure, score, plan, validate, report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from crossloss.fidelity.retrain import Retrainer
from crossloss.fidelity.validate import Validation, check_plans, compare
from crossloss.objectives import Described, Measured, measured
from crossloss.pipeline.objectives import folder_of
from crossloss.pipeline.robustness import stored_robustness
from crossloss.plans.remove import Plan, plan
from crossloss.report.data import Quality
from crossloss.report.gather import gather
from crossloss.report.page import render
from crossloss.run import atomic
from crossloss.run.available import peak_memory
from crossloss.run.folder import content_key
from crossloss.run.progress import Track, quiet
from crossloss.run.runs import Run
from crossloss.scores import Scores, objective_key, score
from crossloss.skipgram.quality import quality

VALIDATION = "validation.json"


def measure(run: Run, objectives: Sequence[Described]) -> dict[str, Measured]:
    """Objectives, those that are tests with their p-values, and the quality of the vectors."""
    results = {o.name: measured(o, run.embeddings) for o in objectives}
    figures: dict[str, float | None] = {}
    for name, (value, result) in results.items():
        if result is None:
            figures[f"objective.{name}.value"] = value
            continue
        figures |= {
            f"weat.{name}.effect": result.effect,
            f"weat.{name}.statistic": result.statistic,
            f"weat.{name}.p_value": result.p_value,
            f"weat.{name}.p_value_two_sided": result.p_value_two_sided,
        }
    for row in qualities(run):
        key = row.name.lower().replace("-", "")
        figures |= {f"quality.{key}": row.spearman, f"quality.{key}.pairs": row.pairs}
    folder_of(run).record(figures)
    return results


def qualities(run: Run) -> list[Quality]:
    """WordSim-353 and SimLex-999 of the run's vectors."""
    found = quality(run.vocabulary.words, run.embeddings.vectors.cpu().numpy())
    return [
        Quality("WordSim-353", found.wordsim353, found.wordsim353_pairs),
        Quality("SimLex-999", found.simlex999, found.simlex999_pairs),
    ]


def score_run(
    run: Run, objectives: Sequence[Described], estimator: str = "unrolled", damping: float = 0.0, track: Track = quiet
) -> Scores:
    """Scores of all objectives; written as scores.parquet (another estimator: scores-ESTIMATOR.parquet)."""
    scores = score(run, objectives, estimator, damping=damping, track=track)
    folder = folder_of(run)
    file = "scores.parquet" if estimator == "unrolled" else f"scores-{estimator}.parquet"
    key = content_key(run.key, damping, [objective_key(o) for o in objectives])
    if not folder.done(file, key, file):
        atomic.write_table(folder.file(file), scores.table())
        folder.finish(file, key)
    return scores


def plan_run(run: Run, scores: Scores, targets: Mapping[str, float]) -> dict[str, Plan]:
    """Removal plans, written as plan-NAME.parquet with what is needed to train with them."""
    folder = folder_of(run)
    plans = {}
    for name, target in targets.items():
        made = plans[name] = plan(scores, target=target, objective=name)
        atomic.write_table(folder.file(f"plan-{name}.parquet"), made.to_table())
        folder.record({f"plan.{name}.size": made.size, f"plan.{name}.predicted": made.predicted})
    folder.describe(targets=folder.manifest.get("targets", {}) | dict(targets))
    return plans


def targets_of(run: Run, objectives: Sequence[Described]) -> dict[str, float]:
    """Targets of the run's plans; 0 where none was set."""
    known = folder_of(run).manifest.get("targets", {})
    return {o.name: float(known.get(o.name, 0.0)) for o in objectives}


def validate_run(
    run: Run,
    scores: Scores,
    plans: Mapping[str, Plan],
    *,
    subsets: int = 0,
    share: float = 0.1,
    seeds: int = 0,
    removals: int = 0,
    track: Track = quiet,
) -> Validation:
    """Retrain plans and, where asked, random subsets; written as validation.json and into the metrics."""
    retrainer = Retrainer(run, scores.objectives)
    checks = check_plans(retrainer, plans, seeds=seeds, removals=removals, track=track)
    table = {}
    if subsets:
        table = compare(retrainer, scores, subsets=subsets, share=share, track=track)
    validation = Validation(table, checks, subsets, share)
    folder = folder_of(run)
    earlier = stored_validation(run)
    if earlier is not None:
        validation = validation.beside(earlier)
    atomic.write_json(folder.file(VALIDATION), validation.to_json())
    folder.record(validation.metrics() | {"peak_memory_bytes": peak_memory()})
    return validation


def stored_validation(run: Run) -> Validation | None:
    """What was validated before, where anything was."""
    path = folder_of(run).file(VALIDATION)
    return Validation.from_json(atomic.read_json(path)) if path.exists() else None


def write_report(run: Run, scores: Scores, plans: Mapping[str, Plan]) -> Path:
    """Write report.html from what the folder holds."""
    folder = folder_of(run)
    robust = {name: list(told.values()) for name, told in stored_robustness(run).items()}
    page = render(gather(run, folder, scores, plans, stored_validation(run), qualities(run), robust))
    atomic.write_text(folder.file("report.html"), page)
    return folder.file("report.html")
