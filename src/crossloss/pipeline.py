"""The stages behind the commands: each takes a run in its folder, does one thing, and records its figures.

A stage whose inputs and settings did not change is not done again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from crossloss.core import UserError
from crossloss.fidelity.retrain import Retrainer
from crossloss.fidelity.validate import Validation, check_plans, compare
from crossloss.objectives import Described, Measured, Weat, load_objectives, measured
from crossloss.objectives.parts import frequent
from crossloss.objectives.stored import restored, stored
from crossloss.plans.cost import Yardstick
from crossloss.plans.debias import fit_key
from crossloss.plans.outcome import Outcome, judge
from crossloss.plans.remove import Plan, plan
from crossloss.plans.robustness import Common, Decisive, decisive, in_common, sentences
from crossloss.plans.starts import Starts, unseen
from crossloss.plans.sweep import write_csv
from crossloss.plans.table import check_corpus
from crossloss.plans.transfer import Transferred, transfer, write_corpus
from crossloss.plans.update import ARMS
from crossloss.report.data import Quality
from crossloss.report.gather import gather
from crossloss.report.page import render
from crossloss.run import atomic
from crossloss.run.folder import RunFolder, content_key
from crossloss.run.progress import Track, quiet
from crossloss.run.runs import Run, load, peak_memory
from crossloss.scores import Scores, objective_key, score
from crossloss.skipgram.quality import quality
from crossloss.studies import debias_page
from crossloss.studies.debias import DebiasStudy, debias_study

VALIDATION = "validation.json"
ROBUSTNESS = "robustness.json"
LEAST = 50
"""Occurrences from which the study counts a test word as frequent."""
TRANSFERRED = ("reweight", "remove")
"""Corrections of the study that are tried on gensim's Word2Vec."""


def folder_of(run: Run) -> RunFolder:
    """Folder of a run that has one."""
    assert run.folder is not None, "stages work on runs in a folder"
    return run.folder


def choose(names: Sequence[str]) -> list[Described]:
    """Objectives by name or YAML file, each once.

    Raises
    ------
    UserError
        Unknown, none, or two of one name.
    """
    chosen: list[Described] = [objective for name in names for objective in load_objectives(name)]
    if not chosen:
        raise UserError("Name at least one --objective, such as weat6, or a .yaml file with your own.")
    named = [objective.name for objective in chosen]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise UserError(f"Two objectives are named {twice}: give each once, or other names in a .yaml file.")
    return chosen


def remember(run: Run, objectives: Sequence[Described]) -> list[Described]:
    """Add objectives to those of the run's manifest; returns all of them.

    Raises
    ------
    UserError
        The vocabulary lacks their words, or another objective has the same name.
    """
    folder = folder_of(run)
    known = {test.name: test for test in recall(run)}
    for test in objectives:
        test.rows(run.vocabulary.index)
        if test.name in known and objective_key(known[test.name]) != objective_key(test):
            raise UserError(f"The run has another objective named {test.name}: rename yours.")
        known[test.name] = test
    folder.describe(objectives=[stored(test) for test in known.values()])
    return list(known.values())


def recall(run: Run) -> list[Described]:
    """Objectives of the run's manifest."""
    return [restored(entry) for entry in folder_of(run).manifest.get("objectives", [])]


def only_tests(objectives: Sequence[Described], what: str) -> list[Weat]:
    """The objectives as association tests, which ``what`` is for.

    Raises
    ------
    UserError
        One is another objective.
    """
    for objective in objectives:
        if not isinstance(objective, Weat):
            raise UserError(f"{what} is for association tests, and {objective.name} is none: name them (--objective).")
    return [objective for objective in objectives if isinstance(objective, Weat)]


def open_run(path: Path, names: Sequence[str] = ()) -> tuple[Run, list[Described]]:
    """Open a finished run and its objectives; those named are added.

    Raises
    ------
    UserError
        No finished run, or no objective in it or named.
    """
    run = load(path)
    objectives = remember(run, choose(names)) if names else recall(run)
    if not objectives:
        raise UserError(f"The run in {path} has no objective yet: name one with --objective.")
    return run, objectives


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


def debias(
    run: Run,
    objectives: Sequence[Described],
    how: str,
    *,
    target: float = 0.0,
    starts: int = 4,
    others: int = 5,
    groups: Sequence[str] = ("gender",),
    words: bool = True,
    tolerance: float = 0.01,
    track: Track = quiet,
    **more: Any,
) -> list[Outcome]:
    """Correct a model, judge the correction, and write plan-HOW.parquet, debias-HOW.json and the metrics.

    Undo, reinforce and both correct one objective at a time, so there is one outcome (plan-HOW-NAME) for each.

    Parameters
    ----------
    how : str
        One of ``plans.debias.WAYS``.
    target : float
        Of every objective; away from zero it makes the model more biased.
    starts : int
        Of remove and reweight: 1 fits them to the run's own start, more to the mean over starts (``Starts``).
    others : int
        Further starts, by which the correction is judged.
    groups : sequence of str
        Word sets of hard debias.
    words : bool
        Whether a second fit to half of the words is judged by the other half.

    Raises
    ------
    UserError
        What cannot be corrected, or fewer than one start or two others.
    """
    if starts < 1:
        raise UserError("Give at least one start to fit to.")
    folder, tests = folder_of(run), only_tests(objectives, "debias")
    yardstick = Yardstick(run, tests, unseen(run, starts, others), track)
    outcomes = []
    single = how.rpartition("+")[2] in ARMS
    for chosen in [[o] for o in tests] if single else [tests]:
        targets = {o.name: target for o in chosen}
        outcome, made = judge(
            run, chosen, targets, how, yardstick,
            starts=starts, groups=groups, tolerance=tolerance, words=words, also=tests, track=track, **more,
        )  # fmt: skip
        if made.table is not None:
            atomic.write_table(folder.file(f"plan-{outcome.name}.parquet"), made.table)
        if made.cells:
            write_csv(folder.file(f"sweep-{outcome.name}.csv"), made.cells)
        atomic.write_json(folder.file(f"debias-{outcome.name}.json"), outcome.to_json())
        folder.record(outcome.metrics())
        outcomes.append(outcome)
    return outcomes


def study_debias(
    run: Run,
    objectives: Sequence[Described],
    *,
    starts: int = 4,
    others: int = 5,
    least: int = LEAST,
    seeds: int = 5,
    track: Track = quiet,
) -> tuple[DebiasStudy, Path]:
    """The debias study of a run with the robustness of its tests and the transfer of its plans, and its page.

    Parameters
    ----------
    starts, others : int
        As for ``debias_study``.
    least : int
        Count of a test word below which it is left out when robustness is found once more; it is not where a set would
        keep fewer than two words.
    seeds : int
        Models of gensim's Word2Vec before and after each of ``TRANSFERRED``; without gensim none is trained.
    """
    folder, tests = folder_of(run), only_tests(objectives, "The study")
    counts = dict(zip(run.vocabulary.words, run.vocabulary.counts.tolist(), strict=True))
    kept = [
        sum(counts.get(w, 0) >= least for w in words) for test in tests for words in (test.X, test.Y, test.A, test.B)
    ]
    scores = score_run(run, tests, track=track)
    robust = robustness(run, scores, tests, least=least if min(kept) > 1 else 0, track=track)
    study = debias_study(run, tests, starts=starts, others=others, track=track)
    moved = {}
    for name, table in study.plans.items():
        atomic.write_table(folder.file(f"plan-{name}.parquet"), table)
        if name in TRANSFERRED and find_spec("gensim") is not None:
            moved[name] = transfer_run(run, tests, folder.file(f"plan-{name}.parquet"), seeds=seeds, track=track)
    told = [" ".join(sentences(*pair)) for pair in robust]
    study = replace(study, robustness=told, transferred=moved)
    return study, debias_page.write(study, folder.path)


def robustness(
    run: Run, scores: Scores, objectives: Sequence[Described], *, least: int = 0, track: Track = quiet
) -> list[tuple[Decisive, Common]]:
    """The fewest samples that decide each objective and, where it is significant, its significance.

    Parameters
    ----------
    scores : Scores
        Of all the objectives.
    least : int
        Where given, the same once more with only the test words that occur so often.

    Raises
    ------
    UserError
        Too few of a test's words occur so often.
    """
    tests = only_tests(objectives, "--robustness")
    ranked = [(o, scores.of(o), o.name, f"robustness.{o.name}") for o in tests]
    if least:
        counts = dict(zip(run.vocabulary.words, run.vocabulary.counts.tolist(), strict=True))
        parts = [
            replace(frequent(o, counts, least), name=f"{o.name} (words of {least} occurrences or more)") for o in tests
        ]
        slopes = Starts(run, parts, track=track).slopes(run.weights)
        for o, part, slope in zip(tests, parts, slopes, strict=True):
            ranked.append((part, slope, o.name, f"robustness.{o.name}.frequent"))
    found, told = [], stored_robustness(run)
    for test, ranking, owner, start in ranked:
        for verdict in ("zero", "insignificant"):
            result = decisive(run, test, ranking, verdict, track=track)
            found.append((result, in_common(run, result.removed)))
            told.setdefault(owner, {})[f"{test.name} {verdict}"] = sentences(*found[-1])
            atomic.write_json(folder_of(run).file(ROBUSTNESS), told)
            if result.found:
                key = start if verdict == "zero" else f"{start}.significance"
                figures = {"smallest_set": len(result.removed), "share": result.share, "retrained": result.after}
                folder_of(run).record({f"{key}.{name}": float(value) for name, value in figures.items()})
    return found


def stored_robustness(run: Run) -> dict[str, dict[str, list[str]]]:
    """By objective, what was found of its robustness before."""
    path = folder_of(run).file(ROBUSTNESS)
    return dict(atomic.read_json(path)) if path.exists() else {}


def transfer_run(
    run: Run, objectives: Sequence[Described], plan_file: Path, *, seeds: int = 5, track: Track = quiet
) -> dict[str, Transferred]:
    """Train gensim's Word2Vec before and after a plan; the corrected corpus is written beside the plan as .tsv.

    Raises
    ------
    UserError
        The plan is of another corpus, or gensim is not installed.
    """
    weights, notes = read_plan(plan_file)
    check_corpus(run.corpus, notes, plan_file)
    write_corpus(plan_file.with_suffix(".tsv"), run.corpus, weights)
    how = plan_file.stem.removeprefix("plan-")
    key = fit_key(run, "transfer", objectives)
    file = None if key is None else folder_of(run).file(f"transfer-{key}.json")
    found = transfer(run, objectives, weights, range(1, seeds + 1), file=file, track=track)
    figures: dict[str, float | None] = {}
    for name, row in found.items():
        for side, values, spread in (("before", row.before, row.spread[0]), ("after", row.after, row.spread[1])):
            start = f"transfer.{how}.{name}.{side}"
            figures |= {start: float(np.mean(values)), f"{start}_sd": spread}
    folder_of(run).record(figures)
    return found


def read_plan(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Weights (n,) of a plan file, by sample, and what the plan says of its run.

    Raises
    ------
    UserError
        Not a table of sample and weight, or samples that are not 0, ..., n - 1.
    """
    import json

    table = atomic.read_table(path)
    if not {"sample", "weight"} <= set(table.column_names):
        raise UserError(f"{path} has no columns sample and weight: give a plan made by `crossloss plan`.")
    samples = table["sample"].to_numpy()
    if not np.array_equal(np.sort(samples), np.arange(len(samples))):
        raise UserError(f"{path} must hold every sample of the corpus once, numbered from 0.")
    weights = np.empty(len(samples))
    weights[samples] = table["weight"].to_numpy()
    notes = (table.schema.metadata or {}).get(b"crossloss", b"{}")
    return weights, dict(json.loads(notes))
