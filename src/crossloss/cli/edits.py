"""The commands about pairs of versions of sentences; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from crossloss import pipeline, terminal
from crossloss.cli.estimates import announce
from crossloss.cli.options import Named, RunArgument, command_line
from crossloss.cli.study import study
from crossloss.progress import track
from crossloss.report import words
from crossloss.studies.debias import TESTS
from crossloss.studies.wnc import SETTINGS, enough_text, passes
from crossloss.studies.wnc_page import plain_tables, summary
from crossloss.text.read import read
from crossloss.text.versions import combine_versions, inspect_files, read_versions

data = typer.Typer(help="Check data that you downloaded.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Keep ``wnc`` a command of a group, of which it is the only one."""


def edits(
    run: RunArgument,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Pairs of versions: before<TAB>after, or as `data wnc` reads them (a folder too)."
        ),
    ],
    objective: Named = None,
    apply: Annotated[
        int, typer.Option(min=0, help="Make this many of the strongest edits of each objective, and retrain.")
    ] = 0,
    show: Annotated[int, typer.Option(min=0, help="Edits shown for each objective.")] = 10,
) -> None:
    """Rank edits of sentences by what they would do to each objective; with --apply, make them and retrain."""
    opened, tests, asked = pipeline.open_run(run, objective or ())
    with opened:
        scores = pipeline.score_run(opened, tests)
        found = pipeline.edit_run(opened, scores, read_versions(file))
        for name in asked:
            terminal.edits_table(found, name, show)
            if apply:
                done = pipeline.apply_edits(opened, found, name, apply)
                terminal.say(
                    f"Making the {words.several(done.edits, 'strongest edit')} changes {name} by "
                    f"{words.effect(done.predicted)} as predicted and {words.effect(done.retrained)} as retrained: "
                    f"{run / f'plan-edits-{name}.parquet'}"
                )


@data.command()
def wnc(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder with the files of WNC, or one file.")],
) -> None:
    """Check a download of the Wiki Neutrality Corpus: rows, pairs, malformed rows; and say where it is published."""
    terminal.versions_table(inspect_files(path))


@study.command(name="wnc")
def study_wnc(
    corpus: Annotated[Path, typer.Option(help="WNC: a folder, or a file that `data wnc` reads.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    background: Annotated[
        str | None, typer.Option(help="A corpus, as in `run`, added to both sides where WNC's words are too few.")
    ] = None,
    objective: Annotated[
        list[str] | None, typer.Option("--objective", help="Association tests; default: the paper's four.")
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Leave out words that occur less often.")] = 5,
    max_words: Annotated[
        int, typer.Option(min=0, help="Most frequent words kept, beside the tests' words; 0: all.")
    ] = SETTINGS["max_words"],
    dimension: Annotated[int, typer.Option(min=1, help="Length of a word vector.")] = SETTINGS["dimension"],
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 50,
) -> None:
    """Biased and neutralised sentences trained alike: tests, sentences, edits (Tables 2, 7); a stopped one goes on."""
    versions = read_versions(corpus)
    with track("reading") as progress:
        added = read(background, progress=progress) if background else None
    terminal.versions_table([versions])
    both, tests = (
        combine_versions(versions, added),
        pipeline.only_tests(pipeline.choose(objective or TESTS), "The study"),
    )
    enough_text(both.corpus, tests)
    chosen = {"min_count": min_count, "max_words": max_words, "dimension": dimension, "steps": steps}
    trainings, scorings = passes(len(tests))
    announce(both.corpus, tests, {**SETTINGS, **chosen}, trainings=trainings, scorings=scorings)
    found, page = pipeline.study_wnc(both, tests, out, command=command_line(), **chosen)
    terminal.study_tables(plain_tables(summary(found)))
    terminal.say(f"Page: {page}")
