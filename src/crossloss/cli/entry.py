"""All commands under one name, and what becomes of their errors."""

import re
import signal
import sys
from collections.abc import Callable

import typer

from crossloss import distributed, terminal
from crossloss.cli.debias import debias
from crossloss.cli.edits import data, edits
from crossloss.cli.export import export
from crossloss.cli.scoring import explain, info, measure, plan, report, score, validate
from crossloss.cli.study import study
from crossloss.cli.training import check, demo, run_command, train_command
from crossloss.cli.words import concepts, show
from crossloss.core import UserError
from crossloss.progress import progress

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

COMMANDS: dict[str, Callable[..., None]] = {
    "check": check, "run": run_command, "demo": demo, "train": train_command,
    "measure": measure, "score": score, "explain": explain, "show": show, "concepts": concepts,
    "plan": plan, "validate": validate, "debias": debias, "edits": edits,
    "report": report, "export": export, "info": info,
}  # fmt: skip
for name, command in COMMANDS.items():
    app.command(name=name)(command)
app.add_typer(data, name="data")
app.add_typer(study, name="study")


def _stop(*unused: object) -> None:
    """Say how to go on, then unwind; what is stored is complete."""
    terminal.errors.print("\nStopped. Give the same command again to go on from here.")
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: user errors are one sentence and exit code 2; a stopped run says how to go on (130)."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        with distributed.joined(), progress():
            terminal.console.quiet = not distributed.first()
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
