"""The commands, a file for each group: a command reads its options, makes a few calls of the public API, and prints.

Every option is a word of ``Settings`` or of the Python interface; nothing is computed that Python could not.
"""

import re
import signal
import sys
import warnings

import typer

from crossloss.cli import printing
from crossloss.cli.explorer import explore
from crossloss.cli.files import edits, export
from crossloss.cli.options import as_options
from crossloss.cli.plans import plan, validate
from crossloss.cli.scores import score, show
from crossloss.cli.training import run, train
from crossloss.core import UserError
from crossloss.utils import distributed
from crossloss.utils.progress import progress

app = typer.Typer(
    name="crossloss",
    help="Which training sentences pushed a number of your model up or down, by how much, checked by retraining.\n\n"
    "Start with `crossloss run --demo`, or `crossloss run CORPUS --objective weat7 --dry-run` and then "
    "`crossloss run CORPUS --objective weat7 --out RUN --validate 10`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, train, score, show, explore, plan, validate, edits, export):
    app.command(name=command.__name__)(command)


def _stop(*unused: object) -> None:
    """Say how to go on, then unwind; what is stored is complete."""
    printing.errors.print("\nStopped. Give the same command again to go on from here.")
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: user errors are one sentence and exit code 2; a stopped run says how to go on (130)."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        with distributed.joined(), progress(), warnings.catch_warnings():
            printing.console.quiet = not distributed.first()
            warnings.showwarning = lambda message, *unused: printing.print_warning(as_options(str(message)))
            sys.exit(app(standalone_mode=False))
    except UserError as error:
        printing.print_error(as_options(str(error)))
    except OSError as error:
        printing.print_error(f"{error}: check the path, the disk and the permissions.")
    except Exception as error:
        # torch has no class for it
        if isinstance(error, MemoryError) or re.search("alloc.* memory|out of memory", str(error)):
            printing.print_error("Memory ran out: lower --max-words, --dimension or --memory.")
        elif hasattr(error, "format_message"):  # typer's for a wrong use
            sentence = error.format_message().rstrip(". ")
            end = "" if sentence.endswith("?") else "."
            printing.print_error(sentence and f"{sentence}{end} See crossloss --help.")
        else:
            raise
    sys.exit(2)
