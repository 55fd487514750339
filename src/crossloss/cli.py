"""The commands; no logic. Every option is a word of ``Settings`` or of the Python interface."""

import inspect
import re
import shlex
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer

from crossloss import pipeline, processes, terminal
from crossloss.cli_debias import debias
from crossloss.cli_edits import register
from crossloss.cli_export import export
from crossloss.cli_reading import CorpusArgument, read_corpus, with_reading
from crossloss.cli_study import study
from crossloss.cli_words import concepts, show
from crossloss.core import UserError
from crossloss.corpus.builtin import BUILTIN
from crossloss.corpus.read import Corpus
from crossloss.corpus.vocabulary import build_vocabulary
from crossloss.objectives import SYNTAX, Described
from crossloss.plans.table import check_corpus
from crossloss.run.available import available_memory
from crossloss.run.estimate import check_memory, estimate
from crossloss.run.progress import bars
from crossloss.run.runs import MEMORY, Run, load, train
from crossloss.run.settings import Settings, make_settings, parse_bytes
from crossloss.scores import ESTIMATOR_NAMES

app = typer.Typer(
    name="crossloss",
    help="Which training sentences pushed a number of your model up or down, by how much, checked by retraining.\n\n"
    "Start with `crossloss demo`, or `crossloss check CORPUS --objective weat7` and then "
    "`crossloss run CORPUS --objective weat7 --out RUN --validate 10`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Objectives = Annotated[
    list[str],
    typer.Option(
        "--objective",
        help="A test: weat1 ... weat10, paper-career, paper-math, paper-art, paper-race, demo-power; your own: "
        f"FILE.yaml or FILE.yaml:NAME; or {', '.join(SYNTAX.values())}. May be given several times.",
    ),
]
Named = Annotated[list[str] | None, typer.Option("--objective", help="As in `run`; default: those of the run.")]
Out = Annotated[Path, typer.Option(help="The run folder to make.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a different run in that folder.")]
Memory = Annotated[
    str,
    typer.Option(
        help="Budget of the run; less stores fewer training states and scores fewer objectives at once, in more time."
    ),
]
Show = Annotated[int, typer.Option(min=0, help="Sentences shown on either side.")]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Add one option for each field of ``Settings``; the command gets those given as ``settings``."""

    @wraps(command)
    def wrapper(**given: Any) -> None:
        settings = {name: given.pop(name) for name in Settings.model_fields}
        command(**given, settings={name: value for name, value in settings.items() if value is not None})

    signature = inspect.signature(command)
    kept = [p for p in signature.parameters.values() if p.name != "settings"]
    for name, field in Settings.model_fields.items():
        plain: Any = str if get_origin(field.annotation) is Literal else field.annotation
        note = f"{field.description} (default: {field.default})"
        kind = Annotated[plain | None, typer.Option(help=note, rich_help_panel="Settings")]
        kept.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept]
    wrapper.__signature__ = signature.replace(parameters=keyword)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in keyword}
    return wrapper


def _estimate(corpus: Corpus, tests: list[Described], settings: dict[str, Any], memory: str) -> None:
    """Print coverage of the tests and what the run will take; refuse what does not fit."""
    chosen = make_settings(**settings)
    vocabulary = build_vocabulary(
        corpus,
        min_count=chosen.min_count,
        max_words=chosen.max_words or None,
        keep_words=[word for test in tests for word in test.words],
        subsample=chosen.subsample,
    )
    cost = estimate(chosen, corpus, vocabulary, objectives=len(tests), memory=parse_bytes(memory))
    terminal.say(f"Vocabulary: {len(vocabulary.words):,} words (min count {chosen.min_count}, and the tests' words).")
    counts = dict(zip(vocabulary.words, vocabulary.counts.tolist(), strict=True))
    for test in tests:
        terminal.coverage_table(test, test.coverage(counts))
    available = available_memory()
    terminal.estimate_line(cost, available)
    check_memory(cost.memory_bytes, available)
    for test in tests:
        test.rows(vocabulary.index)


@app.command()
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
    _estimate(read_corpus(corpus, reading), tests, settings, memory)


def _train(
    corpus: Corpus,
    tests: list[Described],
    out: Path,
    overwrite: bool,
    memory: str,
    settings: dict[str, Any],
    **more: Any,
) -> Run:
    keep = more.pop("keep_words", [word for test in tests for word in test.words])
    run = train(
        corpus, keep_words=keep, out=out, overwrite=overwrite, memory=memory, track=bars, **more, **settings
    )  # fmt: skip
    assert run.folder is not None
    run.folder.describe(command=shlex.join(["crossloss", *sys.argv[1:]]))
    pipeline.remember(run, tests)
    return run


def _chain(run: Run, tests: list[Described], target: float, subsets: int, seeds: int, removals: int, show: int) -> None:
    """Measure, score, plan, retrain, report."""
    terminal.measures_table(pipeline.measure(run, tests), tests)
    scores = pipeline.score_run(run, tests, track=bars)
    plans = pipeline.plan_run(run, scores, {test.name: target for test in tests})
    for test in tests:
        terminal.ranking(scores, test.name, show)
        terminal.plan_line(plans[test.name])
    validation = pipeline.validate_run(run, scores, plans, subsets=subsets, seeds=seeds, removals=removals, track=bars)
    terminal.validation_lines(validation, plans)
    terminal.say(f"Report: {pipeline.write_report(run, scores, plans)}")


@app.command(name="run")
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
        typer.Option(min=0, help="Random subsets to retrain without; also tries the plans from other starts."),
    ] = 0,
    memory: Memory = MEMORY,
    overwrite: Overwrite = False,
    show: Show = 5,
) -> None:
    """Train, measure, score, plan, retrain and report: the whole chain into one run folder.

    A stopped run goes on where it was: give the same command again.
    """
    tests = pipeline.choose(objective)
    found = read_corpus(corpus, reading)
    _estimate(found, tests, settings, memory)
    with _train(found, tests, out, overwrite, memory, settings) as run:
        seeds, removals = (5, 3) if validate else (0, 0)
        _chain(run, tests, target, validate, seeds, removals, show)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The run folder to make.")] = Path("runs/demo"),
    overwrite: Overwrite = False,
) -> None:
    """Run everything on the embedded Wikipedia excerpt: two or three minutes on two cores."""
    tests = pipeline.choose(["demo-power"])
    found = read_corpus(BUILTIN, {})
    settings: dict[str, Any] = {"max_words": 4000}
    _estimate(found, tests, settings, MEMORY)
    with _train(found, tests, out, overwrite, MEMORY, settings) as run:
        _chain(run, tests, 0.0, 30, 5, 3, 3)


@app.command(name="train")
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
        values, notes = pipeline.read_plan(weights)
        check_corpus(found, notes, weights)
        more = {"weights": values, "keep_words": notes.get("keep_words", [])}
        settings = notes.get("settings", {}) | settings
    with _train(found, tests, out, overwrite, memory, settings, **more) as run:
        terminal.say(f"Training loss {run.loss:.4f}, vocabulary {len(run.vocabulary.words):,} words: {out}")
        if tests:
            terminal.measures_table(pipeline.measure(run, tests), tests)


@app.command()
def measure(
    run: RunArgument,
    objective: Named = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Find how few sentences decide each test, by retraining.")
    ] = False,
    least: Annotated[int, typer.Option(min=0, help="And so again with only the test words of this count or more.")] = 0,
) -> None:
    """Measure a run's objectives, with p-values; those named are added to it."""
    opened, tests = pipeline.open_run(run, objective or ())
    with opened:
        terminal.measures_table(pipeline.measure(opened, tests), tests)
        for row in pipeline.qualities(opened):
            if row.spearman is not None:
                terminal.say(f"{row.name}: Spearman {row.spearman:.3f} on {row.pairs} pairs")
        if robustness:
            scores = pipeline.score_run(opened, tests, track=bars)
            terminal.robustness_lines(pipeline.robustness(opened, scores, tests, least=least, track=bars))


Estimator = Annotated[str, typer.Option(help=f"unrolled (exact), or {', '.join(ESTIMATOR_NAMES[1:])}.")]


@app.command()
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
    opened, tests = pipeline.open_run(run, objective or ())
    with opened:
        scores = pipeline.score_run(opened, tests, estimator, damping, track=bars)
        for test in tests:
            terminal.ranking(scores, test.name, show)


@app.command()
def explain(
    run: RunArgument,
    sentence: Annotated[str, typer.Argument(help="A sentence, in the corpus or not; or the id of one.")],
    objective: Named = None,
) -> None:
    """Take a sentence apart: the word pairs in it that push each objective up or down."""
    opened, tests = pipeline.open_run(run)
    with opened:
        scores = pipeline.score_run(opened, tests, track=bars)
        ids = opened.corpus.ids
        for name in objective or [test.name for test in tests]:
            taken = scores.explain(ids.index(sentence) if sentence in ids else sentence, name)
            terminal.explanation(taken, name)


@app.command()
def plan(
    run: RunArgument,
    objective: Named = None,
    target: Annotated[float, typer.Option(help="Where the plan should bring the objective.")] = 0.0,
) -> None:
    """Find the smallest set of sentences whose removal is predicted to bring an objective to a target."""
    opened, tests = pipeline.open_run(run)
    with opened:
        scores = pipeline.score_run(opened, tests, track=bars)
        names = objective or [test.name for test in tests]
        for name in names:
            scores.row(name)
        for name, made in pipeline.plan_run(opened, scores, dict.fromkeys(names, target)).items():
            terminal.plan_line(made)
            terminal.say(f"Train with it: crossloss train CORPUS --weights {run / f'plan-{name}.parquet'} --out MENDED")


for command in (debias, export, show, concepts):
    app.command()(command)
register(app)
app.add_typer(study, name="study")


@app.command()
def validate(
    run: RunArgument,
    subsets: Annotated[int, typer.Option(min=3, help="Random subsets to retrain without.")] = 30,
    share: Annotated[float, typer.Option(help="Part of the sentences that each subset leaves out.")] = 0.1,
    seeds: Annotated[int, typer.Option(min=0, help="Other starts to retrain the plans from.")] = 5,
    removals: Annotated[int, typer.Option(min=0, help="Random sets of each plan's size to retrain without.")] = 3,
) -> None:
    """Retrain without random subsets and with the plans, to see how well the scores predicted it."""
    opened, tests = pipeline.open_run(run)
    with opened:
        scores = pipeline.score_run(opened, tests, track=bars)
        plans = pipeline.plan_run(opened, scores, pipeline.targets_of(opened, tests))
        validation = pipeline.validate_run(
            opened, scores, plans, subsets=subsets, share=share, seeds=seeds, removals=removals, track=bars
        )
        terminal.validation_lines(validation, plans)
        terminal.say(f"Report: {pipeline.write_report(opened, scores, plans)}")


@app.command()
def report(run: RunArgument) -> None:
    """Write report.html again from what the run holds."""
    opened, tests = pipeline.open_run(run)
    with opened:
        scores = pipeline.score_run(opened, tests, track=bars)
        plans = pipeline.plan_run(opened, scores, pipeline.targets_of(opened, tests))
        terminal.say(f"Report: {pipeline.write_report(opened, scores, plans)}")


@app.command()
def info(run: RunArgument) -> None:
    """Show what a run folder holds: settings, figures, the command that made it."""
    with load(run) as opened:
        terminal.info_table(opened, run)


def _stop(*unused: object) -> None:
    """Say how to go on, then unwind; what is stored is complete."""
    terminal.errors.print("\nStopped. Give the same command again to go on from here.")
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: user errors are one sentence and exit code 2; a stopped run says how to go on (130)."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        with processes.joined():
            terminal.console.quiet = not processes.first()
            sys.exit(app(standalone_mode=False))
    except UserError as error:
        terminal.refuse(str(error))
    except OSError as error:
        terminal.refuse(f"{error}: check the path, the disk and the permissions.")
    except Exception as error:
        if isinstance(error, MemoryError) or re.search(
            "alloc.* memory|out of memory", str(error)
        ):  # torch's has no class
            terminal.refuse("Memory ran out: lower --max-words, --dimension or --memory.")
        elif hasattr(error, "format_message"):  # typer's for a wrong use
            said = error.format_message().rstrip(". ")
            terminal.refuse(said and f"{said}. See crossloss --help.")
        else:
            raise
    sys.exit(2)


if __name__ == "__main__":
    main()
