"""The commands that train: check, run, demo, train; no logic."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from crossloss import pipeline, terminal
from crossloss.cli.estimates import announce
from crossloss.cli.options import Memory, Named, Objectives, Out, Overwrite, Show, Starts, command_line, with_settings
from crossloss.cli.reading import CorpusArgument, read_corpus, with_reading
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.settings import split_settings, stored_settings
from crossloss.objectives import BaseObjective
from crossloss.plans.table import check_corpus, read_plan
from crossloss.run.run import Run
from crossloss.run.train import MEMORY, train
from crossloss.text.builtin import BUILTIN
from crossloss.text.read import Corpus
from crossloss.validation.spread import STARTS


@with_reading
@with_settings
def check(
    corpus: CorpusArgument,
    objective: Objectives,
    settings: dict[str, Any],
    reading: dict[str, Any],
    memory: Memory = MEMORY,
) -> None:
    """Show what a corpus is and which test words a corpus has, and what a run will take, before any training."""
    tests = pipeline.choose(objective)
    announce(read_corpus(corpus, reading), tests, settings, memory)


def _train(
    corpus: Corpus,
    tests: list[BaseObjective],
    out: Path,
    overwrite: bool,
    memory: str,
    settings: dict[str, Any],
    keep_words: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
) -> Run:
    given, recipe = split_settings(**settings)
    keep = [word for test in tests for word in test.words] if keep_words is None else keep_words
    run = train(
        SkipGram(corpus, keep_words=keep, **given), recipe.optimiser, steps=recipe.steps, seed=recipe.seed,
        weights=weights, out=out, overwrite=overwrite, memory=memory,
    )  # fmt: skip
    run.store.set_meta(command=command_line())
    pipeline.remember(run, tests)
    return run


SEEDS, REMOVALS = 5, 3
"""Other starts and random removals that a plan is tried with where a run is validated."""
ROUNDS_OF_A_PLAN = 3
"""Rounds that a plan takes, about."""


def _cost(tests: int, starts: int, subsets: int, show: int) -> dict[str, float]:
    """Trainings and scorings of ``_chain``, about: a plan takes three rounds, its scorings one objective each."""
    trainings = starts + ROUNDS_OF_A_PLAN * tests
    if subsets:
        trainings += subsets + tests * (2 * show + SEEDS + 2 * REMOVALS)
    return {"trainings": trainings, "scorings": 1 + ROUNDS_OF_A_PLAN}


def _chain(run: Run, tests: list[BaseObjective], target: float, starts: int, subsets: int, show: int) -> None:
    """Measure, score, plan, retrain, report."""
    terminal.measures_table(pipeline.measure(run, tests, starts=starts), tests)
    scores = pipeline.score_run(run, tests)
    if not subsets:
        for test in tests:
            terminal.ranking(scores, test.name, show)
    plans = pipeline.plan_run(run, scores, {test.name: target for test in tests})
    more = {"seeds": SEEDS, "removals": REMOVALS, "strongest": show} if subsets else {}
    validation = pipeline.validate_run(run, scores, plans, subsets=subsets, **more)
    for test in tests:
        if subsets:
            terminal.ranking(scores, test.name, show, checked=validation.strongest.get(test.name))
        terminal.plan_line(plans[test.name])
    terminal.validation_lines(validation, plans)
    terminal.say(f"Report: {pipeline.write_report(run, scores, plans)}")


@with_reading
@with_settings
def run_command(
    corpus: CorpusArgument,
    objective: Objectives,
    out: Out,
    settings: dict[str, Any],
    reading: dict[str, Any],
    target: Annotated[float, typer.Option(help="Where the plans should bring the objectives.")] = 0.0,
    validate: Annotated[
        int,
        typer.Option(
            min=0,
            help="Random subsets to retrain without; also leaves out the strongest sentences one by one, and tries the "
            "plans from other starts.",
        ),
    ] = 0,
    starts: Starts = STARTS,
    memory: Memory = MEMORY,
    overwrite: Overwrite = False,
    show: Show = 5,
) -> None:
    """Train, measure, score, plan, retrain and report: the whole chain into one run folder.

    A stopped run goes on where it was: give the same command again.
    """
    tests = pipeline.choose(objective)
    found = read_corpus(corpus, reading)
    pipeline.check_targets(tests, {test.name: target for test in tests}, dict.fromkeys(found.types, 0))
    announce(found, tests, settings, memory, **_cost(len(tests), starts, validate, show))
    with _train(found, tests, out, overwrite, memory, settings) as run:
        _chain(run, tests, target, starts, validate, show)


def demo(
    out: Annotated[Path, typer.Option(help="The run folder to make.")] = Path("runs/demo"),
    overwrite: Overwrite = False,
) -> None:
    """Run everything on the embedded Wikipedia excerpt: two or three minutes on two cores."""
    tests = pipeline.choose(["demo-power"])
    found = read_corpus(BUILTIN, {})
    settings: dict[str, Any] = {"max_words": 4000}
    announce(found, tests, settings, MEMORY, **_cost(1, STARTS, 30, 3))
    with _train(found, tests, out, overwrite, MEMORY, settings) as run:
        _chain(run, tests, 0.0, STARTS, 30, 3)


@with_reading
@with_settings
def train_command(
    corpus: CorpusArgument,
    out: Out,
    settings: dict[str, Any],
    reading: dict[str, Any],
    objective: Named = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A plan (Parquet: sample, weight). Settings and words are those of the plan's run."),
    ] = None,
    memory: Memory = MEMORY,
    overwrite: Overwrite = False,
) -> None:
    """Train only; with --weights, train with a plan."""
    tests = pipeline.choose(objective) if objective else []
    found = read_corpus(corpus, reading)
    more: dict[str, Any] = {}
    if weights is not None:
        values, notes = read_plan(weights)
        check_corpus(found, notes, weights)
        more = {"weights": values, "keep_words": notes.get("field", {}).get("keep_words", [])}
        settings = stored_settings(notes) | settings
    with _train(found, tests, out, overwrite, memory, settings, **more) as run:
        terminal.say(f"Training loss {run.loss:.4f}, vocabulary {len(run.model.word_index):,} words: {out}")
        if tests:
            terminal.measures_table(pipeline.measure(run, tests, starts=1), tests)
