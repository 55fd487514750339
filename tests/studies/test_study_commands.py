"""Commands of studies that the pages show can be given as they stand, and studies use public names only."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = sorted({line for p in PAGES for line in re.findall(r"python -m studies\.\w+ --[^`#\n]+", p.read_text("utf-8"))})
PUBLIC = ("crossloss", "crossloss.core", "crossloss.estimators", "crossloss.objectives")
LACKING = {  # what studies need that has no public name yet: this list only gets shorter
    "crossloss.utils.display": {"agreement", "duration", "effect", "percent", "probability", "spread", "value"},
    "crossloss.utils.files": {"write_text"},
    "crossloss.integrations.transformers": {"record"},
    "crossloss.utils.memory": {"available_memory", "peak_memory"},
    "crossloss.models.skipgram.estimate": {"check_memory", "estimate"},
    "crossloss.models.skipgram.hard_debias": {"hard_debias"},
    "crossloss.models.threads": {"one_core"},
    "crossloss.models.torch.curvature": {"ekfac", "ggn"},
    "crossloss.plans.evaluation": {"metrics_of"},
    "crossloss.plans.flip": {"in_common", "sentences"},
    "crossloss.plans.sweep": {"PASSES"},
    "crossloss.utils.progress": {"part", "track"},
    "crossloss.scores.reading": {"near_duplicates"},
    "crossloss.run.folder": {"RunFolder"},
    "crossloss.utils.statistics": {"fidelity"},
    "crossloss.text.tokens": {"WITH_NUMBERS", "pattern_without", "stop_words"},
    "crossloss.text.versions": {"Versions", "read_versions", "versions_table"},
    "crossloss.text.vocabulary": {"build_vocabulary"},
    "crossloss.validation.subsets": {"random_subsets"},
}


def parse(line):
    """Read the options without carrying the command out."""
    name, *words = shlex.split(line.removeprefix("python -m studies."))
    folder = (ROOT / "studies" / name).is_dir()
    module = import_module(f"studies.{name}.__main__" if folder else f"studies.{name}")
    app = typer.Typer()
    app.command()(getattr(module, name))
    command = typer.main.get_command(app)
    if "--help" not in words:
        command.parse_args(typer.Context(command), words)


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_in_the_documentation_is_one(line):
    parse(line)


def test_all_are_shown_and_one_that_is_none_would_be_found():
    assert {re.search(r"studies\.(\w+)", line)[1] for line in SHOWN} == {
        "mixture", "debias", "scifi", "wnc", "representation",
    }  # fmt: skip
    with pytest.raises(Exception, match=r"[Nn]o such option"):
        parse("python -m studies.wnc --corpus x --out y --sort")


@pytest.mark.parametrize("path", sorted((ROOT / "studies").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_studies_use_public_names_only(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] != "crossloss" or alias.name in PUBLIC for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("crossloss") and node.module not in PUBLIC:
            assert {alias.name for alias in node.names} <= LACKING[node.module]
        if isinstance(node, ast.ImportFrom) and node.module in PUBLIC:
            module = import_module(node.module)
            assert {alias.name for alias in node.names} <= set(getattr(module, "__all__", vars(module)))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            assert isinstance(node.value, ast.Name), ast.unparse(node)
            assert node.value.id == "self", f"{ast.unparse(node)} is private to another"
