"""Every public name has a docstring, and a place on the page of Python."""

import inspect
from importlib.util import find_spec

import pytest
from pages import ROOT

import crossloss
from crossloss import estimators, objectives

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
MODULES = (crossloss, objectives, estimators)
NAMES = [(module, name) for module in MODULES for name in module.__all__]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_a_module_of_public_names_is_on_the_page(module):
    assert f"\n::: {module.__name__}\n" in PAGE


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_public_name_is_documented(module, name):
    thing = getattr(module, name)
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return
    assert thing.__doc__, f"{name} has no docstring, so the page leaves it out"
    if find_spec(f"{module.__name__}.{name}"):
        # Named as a file beside it, which mkdocstrings would take instead.
        assert f"\n::: {thing.__module__}.{name}\n" in PAGE
