"""The stages that correct a model and judge what was corrected."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from crossloss import files
from crossloss.core import UserError
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import BaseObjective
from crossloss.pipeline.objectives import folder_of, only_tests
from crossloss.pipeline.robustness import robustness
from crossloss.pipeline.stages import score_run
from crossloss.plans.cost import Yardstick
from crossloss.plans.outcome import Outcome, judge, metrics_of
from crossloss.plans.robustness import sentences
from crossloss.plans.starts import unseen
from crossloss.plans.sweep import write_csv
from crossloss.plans.table import check_corpus, read_plan
from crossloss.plans.transfer import Transferred, transfer
from crossloss.plans.update import ARMS
from crossloss.run.run import Run
from crossloss.studies import debias_page
from crossloss.studies.debias import DebiasStudy, debias_study

LEAST = 50
"""Occurrences from which the study counts a test word as frequent."""
TRANSFERRED = ("reweight", "remove")
"""Corrections of the study that are tried on gensim's Word2Vec."""


def debias(
    run: Run,
    objectives: Sequence[BaseObjective],
    how: str,
    *,
    target: float = 0.0,
    starts: int = 4,
    others: int = 5,
    groups: Sequence[str] = ("gender",),
    words: bool = True,
    tolerance: float = 0.01,
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
    yardstick = Yardstick(run, tests, unseen(run, starts, others))
    outcomes = []
    single = how.rpartition("+")[2] in ARMS
    for chosen in [[o] for o in tests] if single else [tests]:
        targets = {o.name: target for o in chosen}
        outcome, made = judge(
            run, chosen, targets, how, yardstick,
            starts=starts, groups=groups, tolerance=tolerance, words=words, also=tests, **more,
        )  # fmt: skip
        if made.table is not None:
            files.write_table(folder.file(f"plan-{outcome.name}.parquet"), made.table)
        if made.cells:
            write_csv(folder.file(f"sweep-{outcome.name}.csv"), made.cells)
        files.write_json(folder.file(f"debias-{outcome.name}.json"), outcome.to_json())
        outcomes.append(outcome)
        folder.log_metrics(metrics_of(outcomes))
    return outcomes


def study_debias(
    run: Run,
    objectives: Sequence[BaseObjective],
    *,
    starts: int = 4,
    others: int = 5,
    least: int = LEAST,
    seeds: int = 5,
    command: str = "",
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
    command : str
        What the folder says it was made by.
    """
    folder, tests = folder_of(run), only_tests(objectives, "The study")
    folder.set_meta(command=command)
    counts = require_skipgram(run.model, "The study").vocabulary.occurrences
    kept = [
        sum(counts.get(w, 0) >= least for w in words) for test in tests for words in (test.X, test.Y, test.A, test.B)
    ]
    scores = score_run(run, tests)
    robust = robustness(run, scores, tests, least=least if min(kept) > 1 else 0)
    study = debias_study(run, tests, starts=starts, others=others)
    moved = {}
    for name, table in study.plans.items():
        files.write_table(folder.file(f"plan-{name}.parquet"), table)
        if name in TRANSFERRED and find_spec("gensim") is not None:
            moved[name] = transfer_run(run, tests, folder.file(f"plan-{name}.parquet"), seeds=seeds)
    told = [" ".join(sentences(*pair)) for pair in robust]
    study = replace(study, robustness=told, transferred=moved)
    return study, debias_page.write(study, folder.path, command)


def transfer_run(
    run: Run, objectives: Sequence[BaseObjective], plan_file: Path, *, seeds: int = 5
) -> dict[str, Transferred]:
    """Train gensim's Word2Vec before and after a plan.

    Raises
    ------
    UserError
        The plan is of another corpus, or gensim is not installed.
    """
    weights, notes = read_plan(plan_file)
    check_corpus(require_skipgram(run.model, "Transfer").corpus, notes, plan_file)
    how = plan_file.stem.removeprefix("plan-")
    entry = run.store.entry("transfer", [run.fingerprint(o) for o in objectives])
    found = transfer(run, objectives, weights, range(1, seeds + 1), entry=entry)
    figures: dict[str, float | None] = {}
    for name, row in found.items():
        for side, values, spread in (("before", row.before, row.spread[0]), ("after", row.after, row.spread[1])):
            start = f"transfer.{how}.{name}.{side}"
            figures |= {start: float(np.mean(values)), f"{start}_sd": spread}
    folder_of(run).log_metrics(figures)
    return found
