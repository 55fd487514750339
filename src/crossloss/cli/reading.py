"""The corpus argument and the options that say how it is read, the same for every command that reads one."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from crossloss import terminal
from crossloss.progress import track
from crossloss.text.builtin import BUILTIN
from crossloss.text.read import Corpus, read
from crossloss.text.tokens import FORM, TOKEN_PATTERN

CorpusArgument = Annotated[
    str,
    typer.Argument(
        metavar="CORPUS",
        help="Text (a sentence a line), .tsv or .csv with a header line, .jsonl, each also as .gz or .bz2; .parquet; a "
        f"folder of them; a Hugging Face dataset saved by save_to_disk; or {BUILTIN}.",
    ),
]
_PANEL = "Reading"
_OPTIONS: dict[str, tuple[Any, Any, Any]] = {
    "text": (str | None, None, typer.Option("--text", help="Column with the sentence.", rich_help_panel=_PANEL)),
    "document": (
        str | None,
        None,
        typer.Option("--document", help="Column with the document's name.", rich_help_panel=_PANEL),
    ),
    "id": (
        str | None,
        None,
        typer.Option(
            "--id",
            help="Column with a unique id; default: id, where it is unique, else the row number.",
            rich_help_panel=_PANEL,
        ),
    ),
    "split": (
        bool,
        False,
        typer.Option("--split", help="Split paragraphs into sentences.", rich_help_panel=_PANEL),
    ),
    "token_pattern": (
        str,
        TOKEN_PATTERN,
        typer.Option(
            help="Regular expression of a word; the whole match, whatever its groups.",
            show_default="runs of letters of any script with their marks",
            rich_help_panel=_PANEL,
        ),
    ),
    "tokens": (
        bool,
        False,
        typer.Option(
            "--tokens",
            help="Words are what stands between spaces: for texts that a tokeniser has split, such as Chinese or Thai.",
            rich_help_panel=_PANEL,
        ),
    ),
    "form": (
        str,
        FORM,
        typer.Option(
            help="Unicode normal form of letters: NFKC (ligatures and wide letters are plain ones) or NFC.",
            rich_help_panel=_PANEL,
        ),
    ),
    "candidates": (
        Path | None,
        None,
        typer.Option(help="Sentences not trained on, but scored: what would adding them do?", rich_help_panel=_PANEL),
    ),
}


def with_reading(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of reading; the command gets them as ``reading``."""

    @wraps(command)
    def wrapper(**given: Any) -> None:
        reading = {name: given.pop(name) for name in _OPTIONS}
        command(**given, reading=reading)

    kept = [p for p in inspect.signature(command).parameters.values() if p.name != "reading"]
    for name, (kind, default, option) in _OPTIONS.items():
        annotation: Any = Annotated[kind, option]
        kept.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation))
    wrapper.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in kept}
    return wrapper


def read_corpus(corpus: str, reading: dict[str, Any]) -> Corpus:
    """Read a corpus with progress, and say what it is."""
    with track("reading") as progress:
        found = read(corpus, progress=progress, **reading)
    terminal.corpus_line(found)
    return found
