"""The command that opens the explorer: explore."""

from typing import Annotated

import typer

from crossloss.cli.options import RunArgument
from crossloss.explore import explore as serve


def explore(
    run: RunArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any that is free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open a page on this machine that asks the run questions, and retrains to check the answers.

    Type a sentence, leave out the strongest, fill a basket, swap words, and see what every objective is predicted to
    do; Retrain puts what it did beside it. Stop it with Ctrl-C.
    """
    serve(run, port=port, browser=not no_browser)
