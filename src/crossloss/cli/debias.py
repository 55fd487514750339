"""The commands that correct a model; no logic."""

from pathlib import Path
from typing import Annotated, Any

import typer

from crossloss import pipeline, terminal
from crossloss.cli.estimates import announce
from crossloss.cli.options import Named, RunArgument, command_line
from crossloss.cli.study import study
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.settings import split_settings
from crossloss.plans.debias import WAYS
from crossloss.progress import track
from crossloss.run.train import train
from crossloss.studies.debias import TESTS, passes
from crossloss.studies.debias_page import tables
from crossloss.text.read import read


def debias(
    run: RunArgument,
    how: Annotated[str, typer.Option(help=f"{', '.join(WAYS)}.")],
    objective: Named = None,
    target: Annotated[float, typer.Option(help="Where the objectives should go; away from 0: more biased.")] = 0.0,
    starts: Annotated[
        int, typer.Option(min=1, help="1: fit remove and reweight to the run's start; more: to the mean.")
    ] = 4,
    others: Annotated[int, typer.Option(min=2, help="Further seeds by which the correction is judged.")] = 5,
    group: Annotated[list[str] | None, typer.Option(help="Word sets of hard debias: gender, race.")] = None,
    words: Annotated[bool, typer.Option(help="Fit to half of the words too, judged by the other half.")] = True,
    transfer: Annotated[int, typer.Option(min=0, help="Models of gensim's Word2Vec to train before and after.")] = 0,
) -> None:
    """Correct a model by its samples or vectors, judge the correction, and say what it costs."""
    opened, tests, asked = pipeline.open_run(run, objective or ())
    with opened:
        chosen = [test for test in tests if test.name in asked]
        pipeline.check_targets(chosen, dict.fromkeys(asked, target), opened.model.word_index)
        outcomes = pipeline.debias(
            opened, chosen, how,
            target=target, starts=starts, others=others, groups=group or ["gender"], words=words,
        )  # fmt: skip
        for outcome in outcomes:
            terminal.outcome_table(outcome)
            path = run / f"plan-{outcome.name}.parquet"
            if not path.exists():
                continue
            terminal.say(f"Train with it: crossloss train CORPUS --weights {path} --out MENDED")
            terminal.say(f"Or elsewhere: crossloss export {run} --format corpus --plan {path} --out MENDED")
            if transfer:
                terminal.transfer_table(pipeline.transfer_run(opened, chosen, path, seeds=transfer))


@study.command(name="debias")
def study_debias(
    corpus: Annotated[str, typer.Option(help="As in `run`.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    objective: Annotated[
        list[str] | None, typer.Option("--objective", help="Tests to correct; default: the paper's four.")
    ] = None,
    starts: Annotated[int, typer.Option(min=2, help="Starts to fit to, beside the variant with one.")] = 4,
    others: Annotated[int, typer.Option(min=2, help="Further seeds that judge.")] = 5,
    min_count: Annotated[int, typer.Option(min=1, help="Leave out words that occur less often.")] = 100,
    dimension: Annotated[int, typer.Option(min=1, help="Length of a word vector.")] = 50,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 50,
) -> None:
    """Every correction of every test beside the others (Tables 3, 5, 6, 8, Figs. 3, 4); a stopped study goes on."""
    tests = pipeline.choose(objective or TESTS)
    keep = [word for test in tests for word in test.words]
    with track("reading") as progress:
        text = read(corpus, progress=progress)
    settings: dict[str, Any] = {"min_count": min_count, "dimension": dimension, "steps": steps}
    trainings, scorings = passes(len(tests), starts, others)
    announce(text, tests, settings, trainings=trainings, scorings=scorings)
    given, recipe = split_settings(**settings)
    with train(SkipGram(text, keep_words=keep, **given), recipe.optimiser, steps=recipe.steps, out=out) as run:
        pipeline.remember(run, tests)
        command = command_line()
        found, page = pipeline.study_debias(run, tests, starts=starts, others=others, command=command)
        terminal.study_tables(tables(found))
        terminal.say(f"Page: {page}")
