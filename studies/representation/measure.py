"""Train, score, validate, plan and try on other seeds; each result is stored as soon as it is there."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import crossloss as cl
from crossloss.integrations.transformers import record
from crossloss.utils.display import duration
from crossloss.utils.progress import track
from crossloss.utils.statistics import fidelity
from crossloss.validation.subsets import random_subsets
from studies.representation.subject import Subject
from studies.tables import print_line

METHODS = ("remove", "reweight")
ROUNDS, DRAWS, SHOWN = 4, 2, 8
SCORING = 4
"""A pass of scores of one objective beside a training, in time."""
UNSEEN_MEMORY = "500MB"


def open_run(subject: Subject, out: Path) -> cl.Run:
    """The run of seed 0: of the folder where it is finished there, else trained and recorded."""
    trainer = subject.trainer(0)
    recorder = record(trainer, losses=subject.losses)
    if (out / "model.safetensors").exists():
        return cl.load(out, recorder.field)
    trainer.train()
    return recorder.finish(out)


def announce(subject: Subject, *, subsets: int, starts: int, unseen: int) -> None:
    """Print how long it will take, from one step of the training."""
    trainer = subject.trainer(0)
    loader = trainer.get_train_dataloader()
    steps = int(np.ceil(trainer.args.num_train_epochs * len(loader)))
    batch, seconds = next(iter(loader)), []
    for _ in range(3):
        begun = time.perf_counter()
        trainer.model(**batch).loss.backward()
        seconds.append(time.perf_counter() - begun)
    plans = len(METHODS) * (ROUNDS * (1 + SCORING) + 1)
    scoring = (SCORING + 2) * len(subject.objectives)
    trainings = 2 + scoring + len(subject.shares) * subsets + 3 * DRAWS + plans + starts + 4 * unseen
    print_line(
        f"{subject.title}: {len(trainer.train_dataset):,} rows, {steps:,} steps of {1000 * min(seconds):.0f} ms, the "
        f"time of about {trainings:,} trainings: {duration(1.5 * min(seconds) * steps * trainings)} on this machine as "
        "it is now; a stopped study goes on."
    )


def study(
    subject: Subject, out: Path, keep: Callable[[dict[str, Any]], None], *, subsets: int, starts: int, unseen: int
) -> dict[str, Any]:
    """All that is found of a subject, as plain values; ``keep`` gets what there is after each stage."""
    objectives = list(subject.objectives.values())
    with open_run(subject, out) as run:
        found: dict[str, Any] = {"steps": run.steps, "rows": run.model.samples, "labels": list(subject.objectives)}
        found["pretrained"] = subject.pretrained
        found["at"] = {name: _measured(subject, at.view) for name, at in (("before", _untrained(run)), ("after", run))}
        found["p_values"] = {
            label: cl.permutation_test(o, run.view).p_value_two_sided
            for label, o in subject.objectives.items()
            if isinstance(o, cl.objectives.Seat)
        }
        scores = cl.score(run, objectives)
        found["lds"] = []
        if subsets:
            for rows in _lds(subject, run, scores, subsets):
                found["lds"] += rows
                keep(found)
            found["left_in"] = [share for share in subject.shares if share not in shares(subject, found["rows"])]
        found["starts"] = _starts(subject, run, starts)
        keep(found)
        plans = _plans(subject, scores, found["at"])
        found["plans"] = {method: _planned(subject, run, plan) for method, plan in plans.items()}
        keep(found)
        found["unseen"] = [_unseen(subject, run, seed, plans) for seed in range(101, 101 + unseen)]
        keep(found)
        if subsets:
            found["smoothness"] = cl.smoothness(run, objectives[:1], draws=DRAWS).mean
        found["rows_shown"] = run.store.get_or_make(
            "rows", [run.fingerprint(o) for o in objectives], SHOWN, make=lambda: _rows(subject, scores)
        )
        run.results.scores = scores
        scores.save()
        cl.report(run)
    return found


def _untrained(run: cl.Run) -> cl.Run:
    return run.at(run.trajectory.initial)


def _measured(subject: Subject, view: Any) -> dict[str, dict[str, Any]]:
    """Objectives, variants and quality of a model; a variant is None where it is undefined."""

    def variant(objective: Any) -> float | None:
        try:
            return float(objective(view))
        except cl.UserError:  # such as all words associated alike, up to rounding
            return None

    with torch.no_grad():
        return {
            "objectives": {label: float(o(view)) for label, o in subject.objectives.items()},
            "variants": {name: variant(o) for name, o in subject.variants.items()},
            "quality": subject.quality(view),
        }


def _rows(subject: Subject, scores: cl.Scores) -> dict[str, list[dict[str, Any]]]:
    """The strongest rows of each objective, either way."""
    found = {}
    for label, o in subject.objectives.items():
        strong = {s.sample: s.effect_if_removed for s in (*scores.amplifiers(SHOWN, o), *scores.mitigators(SHOWN, o))}
        texts = subject.show(scores, label, list(strong))
        found[label] = [
            {"sample": row, "effect": size, "text": text}
            for (row, size), text in zip(strong.items(), texts, strict=True)
        ]
    return found


def _starts(subject: Subject, run: cl.Run, starts: int) -> list[dict[str, Any]]:
    """The same training from other seeds, of the initial parameters and of the order of the rows."""
    found = []
    with track("training from other seeds") as progress:
        for seed in range(1, starts):
            progress(seed - 1, starts - 1)

            def trained(seed: int = seed) -> dict[str, Any]:
                trainer = subject.trainer(seed)
                trainer.train()
                theta = run.field.layout.flat(dict(trainer.model.named_parameters()))
                return _measured(subject, run.at(theta).view)

            found.append(run.store.get_or_make("starts", run.origin, sorted(subject.variants), seed, make=trained))
    return found


def _lds(subject: Subject, run: cl.Run, scores: cl.Scores, subsets: int) -> Iterator[list[dict[str, Any]]]:
    """Agreement of scores with retraining by objective and estimator, for one part left out after another."""
    objectives = list(subject.objectives.values())
    others = {"tracin": cl.score(run, objectives, "tracin")}
    compared = [o for o in objectives if not isinstance(o, cl.objectives.Function) or o.against]
    others["embedding-cosine"] = cl.score(run, compared, cl.baselines.EmbeddingCosine(subject.embed))
    run.results.scores = scores
    for share in shares(subject, run.model.samples):
        rows = []
        made = cl.validate(run, objectives, subsets=subsets, share=share, strongest=0, plans={})
        drawn = random_subsets(run.weights, share=share, count=subsets, seed=0)
        for name, table in made.fidelity.items():
            here = [row for row in table if row.share == share]
            for row in here:
                rows.append(_row(subject, name, row.estimator, share, row.fidelity))
            for estimator, estimated in others.items():
                if name in estimated.names and here:
                    predicted = np.array([estimated.group(removed, name) for removed in drawn])
                    if np.ptp(predicted):
                        agreed = fidelity(predicted, np.array(here[0].retrained))
                        rows.append(_row(subject, name, estimator, share, agreed))
        yield rows


def shares(subject: Subject, rows: int) -> list[float]:
    """Parts that leave at least one row out."""
    return [share for share in subject.shares if round(share * rows)]


def _row(subject: Subject, name: str, estimator: str, share: float, agreed: Any) -> dict[str, Any]:
    return {"label": subject.label(name), "estimator": estimator, "share": share} | asdict(agreed)


def _plans(subject: Subject, scores: cl.Scores, at: Mapping[str, Any]) -> dict[str, cl.Plan]:
    label, objective = next(iter(subject.objectives.items()))
    before, after = (at[side]["objectives"][label] for side in ("before", "after"))
    target = subject.target(after, before)
    return {
        method: cl.plan(scores, target, objective=objective.name, method=method, rounds=ROUNDS) for method in METHODS
    }


def _planned(subject: Subject, run: cl.Run, plan: cl.Plan) -> dict[str, Any]:
    """The plan retrained, and measured whole."""
    after = run.store.get_or_make(
        "planned", sorted(subject.variants), plan.weights, make=lambda: _measured(subject, plan.apply(run).view)
    )
    return {
        "size": plan.size, "moved": plan.moved, "target": plan.target, "predicted": plan.predicted,
        "reached": plan.reached, "rounds": len(plan.path), "after": after,
    }  # fmt: skip


def _unseen(subject: Subject, run: cl.Run, seed: int, plans: Mapping[str, cl.Plan]) -> dict[str, Any]:
    """A seed that no plan was fitted to: the model untouched and with each plan."""
    weights = [plan.weights for plan in plans.values()]

    def made() -> dict[str, Any]:
        trainer = subject.trainer(seed)
        recorder = record(trainer, losses=subject.losses, memory=UNSEEN_MEMORY)
        trainer.train()
        other = recorder.finish()
        found = {"seed": seed, "before": _measured(subject, other.view)}
        for method, given in zip(plans, weights, strict=True):
            found[method] = _measured(subject, other.retrain(given).view)
        return found

    return dict(run.store.get_or_make("unseen", run.origin, sorted(subject.variants), seed, *weights, make=made))


def metrics(model: str, found: Mapping[str, Any]) -> dict[str, float]:
    """Flat figures representation.MODEL. ..."""
    start, at = f"representation.{model}", found["at"]
    figures: dict[str, float] = {f"{start}.rows": found["rows"], f"{start}.steps": found["steps"]}
    for label in found["labels"]:
        figures[f"{start}.{label}.value"] = at["after"]["objectives"][label]
        figures[f"{start}.{label}.untrained"] = at["before"]["objectives"][label]
        over = over_starts(found, label)
        figures |= over.metrics(f"{start}.{label}") if found.get("starts") else {}
        if label in found["p_values"]:
            figures[f"{start}.{label}.p_value_two_sided"] = found["p_values"][label]
    for row in found.get("lds", ()):
        name, size = f"{start}.{row['label']}.{row['estimator']}", f"{100 * row['share']:g}"
        for figure, key in (("lds", "spearman"), ("pearson", "pearson"), ("slope", "slope")):
            for end in ("", "_low", "_high"):
                figures[f"{name}.{figure}_{size}{end}"] = row[f"{key}{end}"]
    if "smoothness" in found:
        figures[f"{start}.smoothness"] = found["smoothness"]
    for method, plan in found.get("plans", {}).items():
        for label in found["labels"]:
            name = f"{start}.plan.{label}" if method == METHODS[0] else f"{start}.plan.{method}.{label}"
            figures[f"{name}.before"] = at["after"]["objectives"][label]
            figures[f"{name}.after"] = plan["after"]["objectives"][label]
        figures |= {f"{start}.plan.{method}.{key}": float(plan[key]) for key in ("size", "moved", "target", "reached")}
        prefix = start if method == METHODS[0] else f"{start}.plan.{method}"
        for name in at["after"]["quality"]:
            figures[f"{prefix}.{name}.before"] = at["after"]["quality"][name]
            figures[f"{prefix}.{name}.after"] = plan["after"]["quality"][name]
    for one in found.get("unseen", ()):
        for side in ("before", *found["plans"]):
            for kind in ("objectives", "quality"):
                for name, value in one[side][kind].items():
                    figures[f"{start}.unseen.{one['seed']}.{side}.{name}"] = value
    return figures


def over_starts(found: Mapping[str, Any], name: str, kind: str = "objectives") -> cl.Spread:
    """A number of the run itself and of the other starts."""
    return cl.Spread((found["at"]["after"][kind][name], *(one[kind][name] for one in found.get("starts", ()))))
