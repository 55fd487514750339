"""The commands that run the paper's experiments; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from crossloss import pipeline, terminal
from crossloss.cli.options import command_line
from crossloss.files import make_folder
from crossloss.studies.scifi import SETTINGS
from crossloss.studies.scifi_page import tables

study = typer.Typer(help="The paper's experiments, each as HTML, CSV and SVG.", no_args_is_help=True)


@study.command()
def mixture(
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    seeds: Annotated[int | None, typer.Option(min=1, help="How many; default: 10, or 6 for the protocol.")] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    paper_protocol: Annotated[
        bool, typer.Option("--paper-protocol", help="The published experiment instead, against two ground truths.")
    ] = False,
) -> None:
    """Deep clustering of three Gaussians, every score checked by retraining; a stopped study goes on."""
    from crossloss.studies.mixture import page
    from crossloss.studies.mixture.study import run_protocol, run_seeds, summary

    make_folder(out)
    count = seeds or (6 if paper_protocol else 10)
    chosen = range(first_seed, first_seed + count)
    found = (run_protocol if paper_protocol else run_seeds)(out, chosen)
    path = page.write(found, out, command_line())
    for line in summary(found):
        terminal.say(line)
    terminal.say(f"Page: {path}")


@study.command()
def scifi(
    corpus: Annotated[Path, typer.Option(help="A tsv or csv with the columns universe, document and sentence.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    word: Annotated[list[str] | None, typer.Option("--word", help="Further words to explain.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Keep all words of the corpus, not the 10,000 first.")] = False,
    subsets: Annotated[int, typer.Option(min=3, help="Random subsets to retrain without.")] = 30,
    steps: Annotated[
        int, typer.Option(min=1, help="Training steps; few, for displacement to be predictable.")
    ] = SETTINGS["steps"],
) -> None:
    """What moved Dooku, Kirk, the Doctor and other words to where they are (Table 1); a stopped study goes on."""
    command = command_line()
    found, page = pipeline.study_scifi(
        corpus, out, word or [], full=full, subsets=subsets, steps=steps, command=command
    )
    terminal.study_tables(tables(found))
    terminal.say(f"Page: {page}")
