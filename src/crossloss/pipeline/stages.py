"""The stages of every run: measure, score, plan, validate, report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossloss import files
from crossloss.memory import peak_memory
from crossloss.models.skipgram.model import require_skipgram
from crossloss.models.skipgram.quality import quality
from crossloss.objectives import BaseObjective, Measured, RareWords, measured, rare_words
from crossloss.objectives.bounds import check_target
from crossloss.pipeline.objectives import folder_of
from crossloss.pipeline.robustness import stored_robustness
from crossloss.plans.fit import ROUNDS
from crossloss.plans.remove import Plan, plan, plan_entry
from crossloss.report.data import Quality
from crossloss.report.gather import gather
from crossloss.report.page import render
from crossloss.run.retrainer import Retrainer
from crossloss.run.run import Run
from crossloss.run.store import content_key
from crossloss.scores import UNROLLED, Scores, score
from crossloss.validation.spread import STARTS, Spread, over_starts
from crossloss.validation.strongest import check_strongest
from crossloss.validation.validate import Validation, check_plans, compare

VALIDATION, SCORES = "validation.json", "scores.parquet"


@dataclass(frozen=True)
class Measures:
    """What a run's vectors are: objectives and quality, with their spread over starts, and rare words.

    Attributes
    ----------
    values : dict of str to Measured
        By objective; tests with their p-values.
    spreads : dict of str to Spread
        By objective or benchmark.
    rare : dict of str to RareWords
        Of the objectives that have some.
    """

    values: dict[str, Measured]
    spreads: dict[str, Spread]
    rare: dict[str, RareWords]


def measure(run: Run, objectives: Sequence[BaseObjective], *, starts: int = STARTS) -> Measures:
    """Objectives, those that are tests with their p-values, the quality of the vectors, and both over ``starts``."""
    view = run.view
    results = {o.name: measured(o, view) for o in objectives}
    spreads = over_starts(run, objectives, starts)
    counts = require_skipgram(run.model, "Measuring words").vocabulary.occurrences
    rare = {o.name: found for o in objectives if (found := rare_words(o, counts, view))}
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
    for name, spread in spreads.items():
        kind = "quality" if name not in results else "objective" if results[name].tested is None else "weat"
        figures |= spread.metrics(f"{kind}.{name}")
    for name, found in rare.items():
        if found.value is not None:
            figures |= {
                f"weat.{name}.without_rare.effect": found.value,
                f"weat.{name}.without_rare.p_value": found.p_value,
            }
    folder = folder_of(run)
    folder.log_metrics(figures)
    folder.set_meta(starts=starts)
    return Measures(results, spreads, rare)


def stored_spreads(run: Run, objectives: Sequence[BaseObjective]) -> dict[str, Spread]:
    """Spreads over as many starts as were measured last; none where nothing was measured."""
    starts = folder_of(run).manifest.get("starts", 0)
    return over_starts(run, objectives, starts) if starts else {}


def qualities(run: Run) -> list[Quality]:
    """WordSim-353 and SimLex-999 of the run's vectors."""
    view = run.view
    found = quality(view.words, view.vectors.cpu().numpy())
    return [
        Quality("WordSim-353", found.wordsim353, found.wordsim353_pairs),
        Quality("SimLex-999", found.simlex999, found.simlex999_pairs),
    ]


def score_run(run: Run, objectives: Sequence[BaseObjective], estimator: str = UNROLLED, damping: float = 0.0) -> Scores:
    """Scores of all objectives; written as scores.parquet (another estimator: scores-ESTIMATOR.parquet)."""
    scores = score(run, objectives, estimator, damping=damping)
    folder = folder_of(run)
    file = SCORES if estimator == UNROLLED else f"scores-{estimator}.parquet"
    key = content_key(damping, [run.fingerprint(o) for o in objectives])
    if not folder.is_done(file, key, file):
        _write_scores(run, scores, file, key)
    return scores


def _write_scores(run: Run, scores: Scores, file: str, key: str) -> None:
    """The table of scores, with what retraining gave where samples were checked."""
    folder, stored = folder_of(run), stored_validation(run)
    checked = {} if stored is None or scores.estimator != UNROLLED else stored.strongest
    table = scores.table({name: row.changes for name, row in checked.items()})
    files.write_table(folder.file(file), table)
    folder.mark_done(file, key)


def plan_run(run: Run, scores: Scores, targets: Mapping[str, float], *, retrain: bool = True) -> dict[str, Plan]:
    """Removal plans that end at their targets, written as plan-NAME.parquet with what is needed to train with them.

    Without ``retrain`` a plan that was not begun stays as first order has it.
    """
    folder = folder_of(run)
    plans = {}
    for name, target in targets.items():
        chosen = scores.objectives[scores.index_of(name)]
        check_target(chosen, target, run.model.word_index)
        rounds = ROUNDS if retrain or plan_entry(run, chosen, target).load() is not None else 0
        made = plans[name] = plan(scores, target=target, objective=name, rounds=rounds)
        files.write_table(folder.file(f"plan-{name}.parquet"), made.to_table())
        size, predicted = made.first_order
        folder.log_metrics(
            {
                f"plan.{name}.size": made.size,
                f"plan.{name}.predicted": made.predicted,
                f"plan.{name}.first_order.size": size,
                f"plan.{name}.first_order.predicted": predicted,
                f"plan.{name}.rounds": len(made.path),
            }
        )
    folder.set_meta(targets=folder.manifest.get("targets", {}) | dict(targets))
    return plans


def targets_of(run: Run, objectives: Sequence[BaseObjective]) -> dict[str, float]:
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
    strongest: int = 0,
) -> Validation:
    """Retrain plans and, where asked, random subsets and the strongest samples, so many on either side, one at a time.

    Written as validation.json, into the metrics and into scores.parquet.
    """
    retrainer = Retrainer(run, scores.objectives)
    checked = check_strongest(retrainer, scores, strongest) if strongest else {}
    checks = check_plans(retrainer, plans, seeds=seeds, removals=removals)
    table = {}
    if subsets:
        table = compare(retrainer, scores, subsets=subsets, share=share)
    validation = Validation(table, checks, subsets, share, checked)
    folder = folder_of(run)
    earlier = stored_validation(run)
    if earlier is not None:
        validation = validation.beside(earlier)
    files.write_json(folder.file(VALIDATION), validation.to_json())
    folder.log_metrics(validation.metrics() | {"peak_memory_bytes": peak_memory()})
    if checked:
        key = content_key(0.0, [run.fingerprint(o) for o in scores.objectives])
        _write_scores(run, scores, SCORES, key)
    return validation


def stored_validation(run: Run) -> Validation | None:
    """What was validated before, where anything was."""
    path = folder_of(run).file(VALIDATION)
    return Validation.from_json(files.read_json(path)) if path.exists() else None


def write_report(run: Run, scores: Scores, plans: Mapping[str, Plan]) -> Path:
    """Write report.html from what the folder holds."""
    folder = folder_of(run)
    robust = {name: list(told.values()) for name, told in stored_robustness(run).items()}
    objectives = [o for o in scores.objectives if isinstance(o, BaseObjective)]
    spreads = stored_spreads(run, objectives)
    page = render(gather(run, folder, scores, plans, stored_validation(run), qualities(run), robust, spreads))
    files.write_text(folder.file("report.html"), page)
    return folder.file("report.html")
