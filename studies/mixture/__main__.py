"""``python -m studies.mixture --out RUN``."""

from pathlib import Path
from typing import Annotated

import typer

from studies import command, tables
from studies.mixture import page, protocol, study


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
    with command.study_folder(out, "the paper's mixture protocol" if paper_protocol else "the mixture study") as store:
        if paper_protocol:
            results = study.run_protocol(store, chosen, settings=protocol.Protocol(each, steps or 2))
        else:
            results = study.run_seeds(store, chosen, each=each, steps=steps or 200)
        store.log_metrics(study.metrics(results))
        path = tables.write(out, "mixture", *page.page(results), command.command_line())
    for line in study.summary(results):
        tables.print_line(line)
    tables.print_line(f"Page: {path}")


if __name__ == "__main__":
    command.run(mixture)
