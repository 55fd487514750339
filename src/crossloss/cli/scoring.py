"""The commands on a finished run: measure, score, explain, plan, validate, report, info; no logic."""

from typing import Annotated

import typer

from crossloss import pipeline, terminal
from crossloss.cli.options import Named, RunArgument, Show, Starts
from crossloss.models.skipgram.model import require_skipgram
from crossloss.run.train import load
from crossloss.scores import ESTIMATOR_NAMES
from crossloss.validation.spread import STARTS


def measure(
    run: RunArgument,
    objective: Named = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Find how few sentences decide each test, by retraining.")
    ] = False,
    least: Annotated[int, typer.Option(min=0, help="And so again with only the test words of this count or more.")] = 0,
    starts: Starts = STARTS,
) -> None:
    """Measure a run's objectives, with p-values and their spread over starts; those named are added to it."""
    opened, tests, _ = pipeline.open_run(run, objective or ())
    with opened:
        terminal.measures_table(pipeline.measure(opened, tests, starts=starts), tests)
        for row in pipeline.qualities(opened):
            if row.spearman is not None:
                terminal.say(f"{row.name}: Spearman {row.spearman:.3f} on {row.pairs} pairs")
        if robustness:
            scores = pipeline.score_run(opened, tests)
            terminal.robustness_lines(pipeline.robustness(opened, scores, tests, least=least))


Estimator = Annotated[str, typer.Option(help=f"unrolled (exact), or {', '.join(ESTIMATOR_NAMES[1:])}.")]


def score(
    run: RunArgument,
    objective: Named = None,
    estimator: Estimator = "unrolled",
    damping: Annotated[
        float, typer.Option(min=0, help="Added to the curvature; for inverse-hessian estimators, which need some.")
    ] = 0.0,
    show: Show = 10,
) -> None:
    """Score every sentence; writes scores.parquet and shows the strongest."""
    opened, tests, asked = pipeline.open_run(run, objective or ())
    with opened:
        scores = pipeline.score_run(opened, tests, estimator, damping)
        for name in asked:
            terminal.ranking(scores, name, show)


def explain(
    run: RunArgument,
    sentence: Annotated[str, typer.Argument(help="A sentence, in the corpus or not; or the id of one.")],
    objective: Named = None,
) -> None:
    """Take a sentence apart: the word pairs in it that push each objective up or down."""
    opened, tests, asked = pipeline.open_run(run, objective or ())
    with opened:
        scores = pipeline.score_run(opened, tests)
        ids = require_skipgram(opened.model, "explain").corpus.ids
        for name in asked:
            taken = scores.explain(ids.index(sentence) if sentence in ids else sentence, name)
            terminal.explanation(taken, name)


def plan(
    run: RunArgument,
    objective: Named = None,
    target: Annotated[float, typer.Option(help="Where the plan should bring the objective.")] = 0.0,
) -> None:
    """Find the smallest set of sentences whose removal brings an objective to a target, retraining on the way."""
    opened, tests, asked = pipeline.open_run(run, objective or ())
    with opened:
        pipeline.check_targets(tests, dict.fromkeys(asked, target), opened.model.word_index)
        scores = pipeline.score_run(opened, tests)
        for name, made in pipeline.plan_run(opened, scores, dict.fromkeys(asked, target)).items():
            terminal.plan_line(made)
            terminal.say(f"Train with it: crossloss train CORPUS --weights {run / f'plan-{name}.parquet'} --out MENDED")


def validate(
    run: RunArgument,
    subsets: Annotated[int, typer.Option(min=3, help="Random subsets to retrain without.")] = 30,
    share: Annotated[float, typer.Option(help="Part of the sentences that each subset leaves out.")] = 0.1,
    seeds: Annotated[int, typer.Option(min=0, help="Other starts to retrain the plans from.")] = 5,
    removals: Annotated[int, typer.Option(min=0, help="Random sets of each plan's size to retrain without.")] = 3,
    show: Annotated[int, typer.Option(min=0, help="Strongest sentences on either side to leave out, one by one.")] = 5,
) -> None:
    """Retrain without random subsets, single sentences and plans, to see how well the scores predicted it."""
    opened, tests, _ = pipeline.open_run(run)
    with opened:
        scores = pipeline.score_run(opened, tests)
        plans = pipeline.plan_run(opened, scores, pipeline.targets_of(opened, tests))
        validation = pipeline.validate_run(
            opened,
            scores,
            plans,
            subsets=subsets,
            share=share,
            seeds=seeds,
            removals=removals,
            strongest=show,
        )
        for test in tests:
            terminal.ranking(scores, test.name, show, checked=validation.strongest.get(test.name))
        terminal.validation_lines(validation, plans)
        terminal.say(f"Report: {pipeline.write_report(opened, scores, plans)}")


def report(run: RunArgument) -> None:
    """Write report.html again from what the run holds."""
    opened, tests, _ = pipeline.open_run(run)
    with opened:
        scores = pipeline.score_run(opened, tests)
        plans = pipeline.plan_run(opened, scores, pipeline.targets_of(opened, tests), retrain=False)
        terminal.say(f"Report: {pipeline.write_report(opened, scores, plans)}")


def info(run: RunArgument) -> None:
    """Show what a run folder holds: settings, figures, the command that made it."""
    with load(run) as opened:
        terminal.info_table(opened, run)
