"""From a run and what was made of it to the plain values of its page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from crossloss.core import Objective
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import BaseObjective, Weat, measured, rare_words
from crossloss.plans.remove import Plan
from crossloss.report import words
from crossloss.report.data import (
    Curve,
    Explained,
    FidelityRow,
    ObjectiveReport,
    PlanReport,
    Quality,
    Report,
    WordSet,
)
from crossloss.run.folder import RunFolder
from crossloss.run.run import Run, settings_of
from crossloss.scores import Scored, Scores
from crossloss.validation.spread import Spread
from crossloss.validation.validate import Compared, Validation

SENTENCES = 50
PAIRS = 12
CURVE_POINTS = 200


def gather(
    run: Run,
    folder: RunFolder,
    scores: Scores,
    plans: Mapping[str, Plan],
    validation: Validation | None,
    quality: Sequence[Quality],
    robustness: Mapping[str, Sequence[Sequence[str]]],
    spreads: Mapping[str, Spread],
) -> Report:
    """Everything the page shows, as plain values; ``robustness`` and ``spreads`` are by objective."""
    environment = folder.manifest.get("environment", {})
    metrics = folder.metrics
    model = require_skipgram(run.model, "The report")
    settings = {name.replace("_", " "): str(value) for name, value in settings_of(run).items()}
    trained = model.corpus.weights > 0
    named = {name for name, kept in zip(model.corpus.documents, trained, strict=True) if kept and name}
    return Report(
        run=str(folder.path),
        command=str(folder.manifest.get("command", "")),
        corpus_source=model.corpus.source,
        n_samples=int(trained.sum()),
        n_documents=len(named),
        n_words=int(model.vocabulary.counts.sum()),
        objectives=[
            _objective(run, scores, o, plans.get(o.name), validation, robustness.get(o.name, ()), spreads.get(o.name))
            for o in scores.objectives
        ],
        quality=[replace(q, starts=spreads.get(q.name.lower().replace("-", ""))) for q in quality],
        settings=settings
        | {"prior": f"{model.build().prior:g}"}
        | {"vocabulary": f"{len(model.vocabulary.words):,} words"},
        versions={name: str(value) for name, value in environment.items()},
        timings={
            name.removesuffix(".seconds"): value
            for name, value in metrics.items()
            if name in ("train.seconds", "score.seconds")
        },
        fidelity_note=_note(validation),
    )


def _note(validation: Validation | None) -> str | None:
    if validation is None or not validation.subsets:
        return None
    return (
        f"{validation.subsets} random subsets, each {validation.share:.0%} of the sentences, were left out one after "
        "the other and the model was trained again from the same initial vectors."
    )


def _objective(
    run: Run,
    scores: Scores,
    objective: Objective,
    plan: Plan | None,
    validation: Validation | None,
    robustness: Sequence[Sequence[str]],
    starts: Spread | None,
) -> ObjectiveReport:
    name = objective.name
    checked = validation.strongest.get(name) if validation else None
    changes = checked.changes if checked else {}
    shown = {
        "amplifiers": [_explained(run, scores, objective, s, changes) for s in scores.amplifiers(SENTENCES, objective)],
        "mitigators": [_explained(run, scores, objective, s, changes) for s in scores.mitigators(SENTENCES, objective)],
    }
    compared = validation.fidelity.get(name, []) if validation else []
    common = {
        "name": name,
        "effect": scores.values[name],
        "plan": _plan(plan, validation),
        "curve": _curve(plan, validation),
        "fidelity": [_row(row) for row in compared],
        "robustness": robustness,
        "starts": starts,
    }
    if checked and checked.fidelity:
        common["strongest"] = (checked.fidelity.pearson, checked.fidelity.slope, len(checked.samples))
    if not isinstance(objective, BaseObjective):
        return ObjectiveReport(**common, **shown, measure="value", caveats=())  # type: ignore[arg-type]
    counts = require_skipgram(run.model, "The report").vocabulary.occurrences
    tested = measured(objective, run.view).tested
    coverage = objective.coverage(counts)
    caveats = [word.sentence(plan.retrained is None) for word in plan.used_up] if plan else []
    if starts and starts.exceeds_value:
        caveats.append(words.starts(name, starts))
    if rare := words.rare(name, rare_words(objective, counts, run.view)):
        caveats.append(rare)
    if any(row.missing for row in coverage):
        caveats.append("Words that the corpus lacks are left out of their set; the other sets stay as they are.")
    return ObjectiveReport(
        **common,  # type: ignore[arg-type]
        **shown,  # type: ignore[arg-type]
        measure=objective.quantity,
        question=objective.question if isinstance(objective, Weat) else "",
        reading=objective.interpretation(),
        sets=[WordSet(row.label, row.present, row.missing) for row in coverage],
        p_value=tested.p_value if tested else None,
        p_value_two_sided=tested.p_value_two_sided if tested else None,
        splits=tested.splits if tested else 0,
        exact=tested.exact if tested else False,
        caveats=caveats,
    )


def _explained(
    run: Run, scores: Scores, objective: Objective, scored: Scored, changes: Mapping[int, float]
) -> Explained:
    taken = scores.explain(scored.sample, objective)
    return Explained(
        rank=scored.rank,
        id=scored.id,
        document=scored.document,
        text=scored.text,
        score=scored.score,
        effect_if_removed=scored.effect_if_removed,
        spans=taken.spans,
        pairs=taken.pairs[:PAIRS],
        candidate=bool(run.model.own_weights[scored.sample] == 0),
        retrained=changes.get(scored.sample),
    )


def _plan(plan: Plan | None, validation: Validation | None) -> PlanReport | None:
    if plan is None:
        return None
    check = validation.plans.get(plan.objective) if validation else None
    return PlanReport(
        target=plan.target,
        size=plan.size,
        share=plan.share,
        predicted=plan.predicted,
        reached=plan.reached,
        retrained=check.retrained if check else plan.retrained,
        other_seeds=check.other_seeds if check else (),
        random_removal=check.random_removal if check else (),
        random_with_test_word=check.random_with_test_word if check else (),
        first_order=plan.first_order if plan.path else None,
    )


def _curve(plan: Plan | None, validation: Validation | None) -> Curve | None:
    if plan is None or not plan.size:
        return None
    shown = min(len(plan.curve) - 1, 2 * max(plan.size, plan.first_order[0]))
    counts = np.unique(np.linspace(0, shown, CURVE_POINTS).round().astype(int))
    check = validation.plans.get(plan.objective) if validation else None
    path = check.curve if check else [(step.size, step.retrained) for step in plan.path]
    retrained = [(0, plan.value), *path] if path else []
    return Curve(counts.tolist(), plan.curve[counts].tolist(), retrained)


def _row(row: Compared) -> FidelityRow:
    f = row.fidelity
    return FidelityRow(
        estimator=row.estimator,
        subset_share=row.share,
        subsets=f.subsets,
        pearson=f.pearson,
        pearson_low=f.pearson_low,
        pearson_high=f.pearson_high,
        spearman=f.spearman,
        spearman_low=f.spearman_low,
        spearman_high=f.spearman_high,
        slope=f.slope,
        slope_low=f.slope_low,
        slope_high=f.slope_high,
        predicted=row.predicted,
        found=row.found,
    )
