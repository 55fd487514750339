"""The pages written from the package itself, ``python docs/generate.py``: commands.md, api.md and capabilities.md."""

import html
import inspect
import sys
from pathlib import Path
from types import ModuleType

import typer
from typer.cli import get_docs_for_click

import crossloss
from crossloss import estimators, objectives
from crossloss.cli import app

SECTIONS = (
    (
        "Python",
        crossloss,
        "Everything in `import crossloss as cl`, with shapes, units and the errors raised. Every error that is the "
        "user's is a `UserError`: one sentence that says what to do.",
    ),
    ("Objectives", objectives, "In `cl.objectives`. Their units and signs: [objectives](objectives.md)."),
    (
        "Estimators",
        estimators,
        "In `crossloss.estimators`. Most users name one in `cl.score(run, objectives, NAME)`; which to "
        "[trust](trust.md).",
    ),
)


def commands() -> str:
    """Every command with its options, as its own help has them."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="crossloss")
    return html.unescape(get_docs_for_click(obj=root, ctx=context, name="crossloss", title="Commands")).strip() + "\n"


def place(module: ModuleType, name: str) -> str:
    """Where a public name is defined: files beside it may have the same name."""
    thing = getattr(module, name)
    at = thing.__module__ if inspect.isclass(thing) or inspect.isroutine(thing) else module.__name__
    return f"{at}.{name}"


def api() -> str:
    """Every public name, to be filled in by mkdocstrings."""
    parts = []
    for number, (title, module, text) in enumerate(SECTIONS):
        parts += [f"{'##' if number else '#'} {title}", text]
        named = [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
        parts += [f"::: {place(module, name)}" for name in named]
    return "\n\n".join(parts) + "\n"


def capabilities() -> str:
    """The table that tests/test_capabilities.py runs, cell by cell."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    try:
        from capabilities import page
    finally:
        sys.path.pop(0)
    return page()


PAGES = {"commands.md": commands, "api.md": api, "capabilities.md": capabilities}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (Path(__file__).parent / page).write_text(write(), encoding="utf-8")
