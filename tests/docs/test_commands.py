"""Commands that the pages show can be given as they stand."""

import shlex

import pytest
import typer
from pages import PAGES, commands

from crossloss.cli import app

ROOT_COMMAND = typer.main.get_command(app)


def shown() -> list[tuple[str, str]]:
    return [(page.name, line) for page in PAGES for line in commands(page) if page.name != "commands.md"]


def parse(line: str) -> None:
    """Read the options of a command without carrying it out; an error where one is unknown or missing."""
    words = shlex.split(line.replace("...", ""))[1:]
    command, context = ROOT_COMMAND, typer.Context(ROOT_COMMAND, info_name="crossloss")
    while hasattr(command, "commands") and words:
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
        context = typer.Context(command, info_name=name, parent=context)
    command.parse_args(context, words)


def test_there_are_commands_in_the_documentation():
    assert len(shown()) > 15


@pytest.mark.parametrize(("page", "line"), shown())
def test_a_command_in_the_documentation_is_one(page, line):
    parse(line)


@pytest.mark.parametrize(
    "line", ["crossloss learn x", "crossloss show a --sort", "crossloss plan", "crossloss score a b"]
)
def test_one_that_is_none_would_be_found(line):
    with pytest.raises(Exception, match=r"no command|[Nn]o such option|Missing|unexpected extra"):
        parse(line)
