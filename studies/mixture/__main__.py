"""``python -m studies.mixture --out RUN``."""

from pathlib import Path
from typing import Annotated

import typer

from studies import command, tables
from studies.mixture import page, study


def mixture(
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    seeds: Annotated[int | None, typer.Option(min=1, help="How many; default: 10, or 6 for the protocol.")] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    paper_protocol: Annotated[
        bool, typer.Option("--paper-protocol", help="The published experiment instead, against two ground truths.")
    ] = False,
    each: Annotated[int, typer.Option(min=2, help="Points of each Gaussian; the paper has 50.")] = 50,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps; default: 200, or 2 for the protocol.")
    ] = None,
) -> None:
    """Deep clustering of three Gaussians, every score checked by retraining; a stopped study goes on."""
    chosen = range(first_seed, first_seed + (seeds or (6 if paper_protocol else 10)))
    settings = {"each": each} | ({"steps": steps} if steps else {})
    kind = "the paper's mixture protocol" if paper_protocol else "the mixture study"
    with command.study_folder(out, kind) as store:
        results = (study.run_protocol if paper_protocol else study.run_seeds)(store, chosen, **settings)
        store.log_metrics(study.metrics(results))
        tables.write(out, "mixture", *page.page(results), command.command_line())


if __name__ == "__main__":
    command.run(mixture)
