"""The commands that run the paper's experiments; no logic."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from crossloss import terminal
from crossloss.run.atomic import make_folder
from crossloss.run.progress import bars

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
    found = (run_protocol if paper_protocol else run_seeds)(out, chosen, track=bars)
    path = page.write(found, out, shlex.join(["crossloss", *sys.argv[1:]]))
    for line in summary(found):
        terminal.say(line)
    terminal.say(f"Page: {path}")
