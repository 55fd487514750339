"""Arguments and options that several commands share; those of settings and of reading are made of one table each."""

import inspect
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer

from crossloss.core import UserError
from crossloss.folders.load import load
from crossloss.models.skipgram.settings import Recipe, Settings
from crossloss.objectives import SYNTAX, parse_objectives
from crossloss.run.run import Run
from crossloss.text.builtin import BUILTIN

CORPUS = (
    "Text (a sentence a line), .tsv or .csv with a header line, .jsonl, each also as .gz or .bz2; .parquet; a folder "
    f"of them; a Hugging Face dataset saved by save_to_disk; or {BUILTIN}."
)
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Objectives = Annotated[
    list[str] | None,
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
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a different run in that folder.")]
Memory = Annotated[
    str,
    typer.Option(
        help="Budget of the run; less stores fewer training states and scores fewer objectives at once, in more time."
    ),
]
Count = Annotated[int, typer.Option(min=0, help="Rows shown, of sentences on either side.")]

Options = Mapping[str, Any]
"""Annotation of each option by its name; one that is not given is None or False."""


def command_line() -> str:
    """The command as it was given, for the run folder and the pages."""
    return shlex.join(["crossloss", *sys.argv[1:]])


def _setting(field: Any) -> Any:
    kind: Any = str if get_origin(field.annotation) is Literal else field.annotation
    note = field.description if field.default is None else f"{field.description} (default: {field.default})"
    return Annotated[kind | None, typer.Option(help=note, rich_help_panel="Settings")]


def _reading(kind: Any, note: str, *flag: str) -> Any:
    return Annotated[kind, typer.Option(*flag, help=note, rich_help_panel="Reading")]


SETTINGS: Options = {name: _setting(f) for kind in (Settings, Recipe) for name, f in kind.model_fields.items()}
READING: Options = {
    "text": _reading(str | None, "Column with the sentence."),
    "document": _reading(str | None, "Column with the document's name."),
    "id": _reading(str | None, "Column with a unique id; default: id, where it is unique, else the row number."),
    "split": _reading(bool, "Split paragraphs into sentences.", "--split"),
    "token_pattern": _reading(
        str | None,
        "Regular expression of a word; the whole match, whatever its groups. Default: runs of letters of any script "
        "with their marks.",
    ),
    "tokens": _reading(
        bool,
        "Words are what stands between spaces: for texts that a tokeniser has split, such as Chinese or Thai.",
        "--tokens",
    ),
    "form": _reading(
        str | None,
        "Unicode normal form of letters: NFKC (ligatures and wide letters are plain ones; the default) or NFC.",
    ),
    "candidates": _reading(Path | None, "Sentences not trained on, but scored: what would adding them do?"),
    "mapped": _reading(
        Path | None,
        "File to keep the corpus's words and texts in, instead of in memory: made where it is absent, read again by "
        "the next command.",
    ),
    "swap": _reading(
        list[str] | None,
        "Score swapped versions of sentences too, for --method swap: gender, names, or a file of pairs of words.",
    ),
}


def with_options(**tables: Options) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command: in place of each argument of these names, the options of a table; given ones as a dict."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def wrapper(**given: Any) -> None:
            values = {name: {option: given.pop(option) for option in table} for name, table in tables.items()}
            for name, chosen in values.items():
                given[name] = {o: v for o, v in chosen.items() if v is not None and v is not False}
            command(**given)

        keyword = inspect.Parameter.KEYWORD_ONLY
        own = [p for p in inspect.signature(command).parameters.values() if p.name not in tables]
        parameters = [p.replace(kind=keyword) for p in own]
        for option, kind in (pair for table in tables.values() for pair in table.items()):
            default = False if kind.__origin__ is bool else None
            parameters.append(inspect.Parameter(option, keyword, default=default, annotation=kind))
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def as_options(sentence: str) -> str:
    """A sentence of the library, whose arguments (``lr=``, ``overwrite=True``) a command line writes as options."""
    names = "|".join((*SETTINGS, *READING, "memory", "out", "overwrite"))
    at_end = r"(?:True\b|(?=[\s,;)]|\.\s|\.?$))"  # cl.train(out=...) stays as it is
    return re.sub(rf"\b({names})={at_end}", lambda named: "--" + named[1].replace("_", "-"), sentence)


def only_one(given: Mapping[str, object]) -> None:
    """Refuse what asks for different things at once, by its name on the command line."""
    named = [name for name, value in given.items() if value]
    if len(named) > 1:
        raise UserError(f"{' and '.join(named)} ask for different things: give one of them.")


@contextmanager
def opened(path: Path, names: Sequence[str] | None) -> Iterator[tuple[Run, list[Any], list[str]]]:
    """A finished run; all of its objectives, to which those named are added; and the names of those asked for."""
    with load(path) as run:
        known: list[Any] = list(run.objectives)
        asked = parse_objectives(names, known) if names else known
        if not asked:
            raise UserError(f"The run in {path} has no objective yet: name one with --objective.")
        yield run, run.remember(asked) if names else known, [objective.name for objective in asked]
