"""The commands that train: run, train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import crossloss as cl
from crossloss.cli import options
from crossloss.cli.plans import plan_and_validate
from crossloss.cli.preflight import print_preflight, read_corpus
from crossloss.cli.printing import print_line, print_result
from crossloss.models.skipgram.settings import split_settings, stored_settings
from crossloss.objectives import BaseObjective, parse_objectives
from crossloss.objectives.bounds import check_target
from crossloss.plans import read_plan
from crossloss.plans.files import check_corpus
from crossloss.run.train import MEMORY
from crossloss.text.builtin import BUILTIN
from crossloss.validation.spread import STARTS

VALIDATE = (
    "Random subsets to retrain without; also leaves out the strongest sentences one by one, and tries the plans from "
    "other starts."
)
DEMO: dict[str, Any] = {"objective": ["demo-power"], "settings": {"max_words": 4000}, "validate": 30, "count": 3}
HELD_OUT, REMOVALS = 5, 3
"""Other starts and random removals that a plan is tried with where a run is validated."""
ROUNDS = 3
"""Rounds that a plan takes, about."""


def _train(
    corpus: cl.Corpus,
    objectives: Sequence[BaseObjective],
    settings: dict[str, Any],
    keep_words: Sequence[str] | None = None,
    **more: Any,
) -> cl.Run:
    given, recipe = split_settings(**settings)
    keep = [word for o in objectives for word in o.words] if keep_words is None else keep_words
    field = cl.SkipGram(corpus, keep_words=keep, **given)
    trained = cl.train(field, recipe.optimiser, steps=recipe.steps, seed=recipe.seed, **more)
    trained.store.set_meta(command=options.command_line())
    trained.remember(objectives)
    return trained


@options.with_options(settings=options.SETTINGS, reading=options.READING)
def run(
    settings: dict[str, Any],
    reading: dict[str, Any],
    corpus: Annotated[str | None, typer.Argument(metavar="CORPUS", help=options.CORPUS)] = None,
    objective: options.Objectives = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to make.")] = None,
    target: Annotated[float, typer.Option(help="Where the plans should bring the objectives.")] = 0.0,
    validate: Annotated[int | None, typer.Option(min=0, help=f"{VALIDATE} Default: 0; with --demo 30.")] = None,
    starts: Annotated[
        int, typer.Option(min=1, help="Seeds of the initial vectors that each value is measured from: its spread.")
    ] = STARTS,
    memory: options.Memory = MEMORY,
    overwrite: options.Overwrite = False,
    count: Annotated[
        int | None, typer.Option(min=0, help="Rows shown, of sentences on either side. Default: 5; with --demo 3.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the corpus is and a run takes.")] = False,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo", help="Run everything on the embedded Wikipedia excerpt: two or three minutes on two cores."
        ),
    ] = False,
) -> None:
    """Train, measure, score, plan, retrain and report: the whole chain into one run folder.

    A stopped run goes on where it was: give the same command again.
    """
    if demo:
        if corpus or objective or reading:
            raise cl.UserError("--demo brings its own corpus and objective: leave yours out, or leave out --demo.")
        corpus, objective, settings = BUILTIN, DEMO["objective"], DEMO["settings"] | settings
        out = out or Path("runs/demo")
        count = DEMO["count"] if count is None else count
        validate = DEMO["validate"] if validate is None else validate
    count, validate = 5 if count is None else count, validate or 0
    if corpus is None:
        raise cl.UserError("Name a CORPUS to train on, or try --demo.")
    if out is None and not dry_run:
        raise cl.UserError("Name the run folder to make, --out RUN; or only look, --dry-run.")
    objectives = parse_objectives(objective or ())
    text = read_corpus(corpus, reading)
    for o in objectives:
        check_target(o, target, dict.fromkeys(text.types, 0))
    passes: dict[str, Any] = {} if dry_run else _passes(len(objectives), starts, validate, count)
    settings = print_preflight(text, objectives, settings, memory, **passes)
    if dry_run:
        return
    with _train(text, objectives, settings, out=out, overwrite=overwrite, memory=memory) as trained:
        print_result(cl.measure(trained, objectives, starts=starts))
        scores = cl.score(trained, objectives)
        scores.save()
        seeds, removals, strongest = (HELD_OUT, REMOVALS, count) if validate else (0, 0, 0)
        more = {"subsets": validate, "seeds": seeds, "removals": removals, "strongest": strongest}
        plan_and_validate(scores, dict.fromkeys(scores.names, target), count, **more)
    if demo:
        print_line(f"To explore it, and to check what it says: crossloss explore {out}")


def _passes(objectives: int, starts: int, subsets: int, count: int) -> dict[str, float]:
    """Trainings and scorings of ``run``, about: a plan takes three rounds, its scorings one objective each."""
    trainings = starts + ROUNDS * objectives
    if subsets:
        trainings += subsets + objectives * (2 * count + HELD_OUT + 2 * REMOVALS)
    return {"trainings": trainings, "scorings": 1 + ROUNDS}


@options.with_options(settings=options.SETTINGS, reading=options.READING)
def train(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help=options.CORPUS)],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    settings: dict[str, Any],
    reading: dict[str, Any],
    objective: options.Objectives = None,
    weights: Annotated[Path | None, typer.Option(help="A plan (Parquet); settings and words are its run's.")] = None,
    memory: options.Memory = MEMORY,
    overwrite: options.Overwrite = False,
) -> None:
    """Train only; with --weights, train with a plan."""
    objectives = parse_objectives(objective) if objective else []
    text = read_corpus(corpus, reading)
    more: dict[str, Any] = {}
    if weights is not None:
        values, notes = read_plan(weights)
        check_corpus(text, notes, weights)
        more = {"weights": values, "keep_words": notes.get("field", {}).get("keep_words", [])}
        settings = stored_settings(notes) | settings
    settings = print_preflight(text, objectives, settings, memory, more.get("keep_words"))
    with _train(text, objectives, settings, out=out, overwrite=overwrite, memory=memory, **more) as trained:
        words = len(trained.model.word_index)
        print_line(f"Training loss {trained.loss:.4f}, vocabulary {words:,} words: {out}")
        if objectives:
            print_result(cl.measure(trained, objectives, starts=1))
