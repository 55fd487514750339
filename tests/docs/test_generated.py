"""Pages written from the package are current, and nothing public is without a description."""

import importlib.util
import inspect

import pytest
from pages import ROOT

import crossloss
from crossloss import estimators, objectives

spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)

NAMES = generate.public()


@pytest.mark.parametrize("page", generate.PAGES)
def test_a_page_is_current(page):
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == generate.PAGES[page](), f"{page} is not current: run `make pages`"


@pytest.mark.parametrize("module", [crossloss, objectives, estimators], ids=lambda m: m.__name__)
def test_every_public_name_has_its_place_on_the_page(module):
    public = {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))}
    assert {name for at, name in NAMES if at is module} == public


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_public_name_is_described(module, name):
    thing = getattr(module, name)
    if generate.is_described(thing):
        assert thing.__doc__
        assert f"\n::: {thing.__module__}.{name}\n" in generate.reference()
