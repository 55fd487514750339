"""Arguments and options that several commands share."""

import inspect
import shlex
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer

from crossloss.models.skipgram.settings import Recipe, Settings
from crossloss.objectives import SYNTAX

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Objectives = Annotated[
    list[str],
    typer.Option(
        "--objective",
        help="A test: weat1 ... weat10, paper-career, paper-math, paper-art, paper-race, demo-power; your own: "
        f"FILE.yaml or FILE.yaml:NAME; or {', '.join(SYNTAX.values())}. May be given several times.",
    ),
]
Named = Annotated[
    list[str] | None,
    typer.Option(
        "--objective", help="As in `run`, or its name in the run, to which it is added; default: all of the run."
    ),
]
Out = Annotated[Path, typer.Option(help="The run folder to make.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a different run in that folder.")]
Memory = Annotated[
    str,
    typer.Option(
        help="Budget of the run; less stores fewer training states and scores fewer objectives at once, in more time."
    ),
]
Starts = Annotated[
    int, typer.Option(min=1, help="Seeds of the initial vectors that each value is measured from: its spread.")
]
Show = Annotated[int, typer.Option(min=0, help="Sentences shown on either side.")]


def command_line() -> str:
    """Return the command as it was given, for the run folder and the pages."""
    return shlex.join(["crossloss", *sys.argv[1:]])


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Add one option for each field of ``Settings`` and ``Recipe``; the command gets those given as ``settings``."""
    options = {**Settings.model_fields, **Recipe.model_fields}

    @wraps(command)
    def wrapper(**given: Any) -> None:
        settings = {name: given.pop(name) for name in options}
        command(**given, settings={name: value for name, value in settings.items() if value is not None})

    signature = inspect.signature(command)
    kept = [p for p in signature.parameters.values() if p.name != "settings"]
    for name, field in options.items():
        plain: Any = str if get_origin(field.annotation) is Literal else field.annotation
        note = field.description if field.default is None else f"{field.description} (default: {field.default})"
        kind = Annotated[plain | None, typer.Option(help=note, rich_help_panel="Settings")]
        kept.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept]
    wrapper.__signature__ = signature.replace(parameters=keyword)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in keyword}
    return wrapper
