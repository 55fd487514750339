"""Links of the pages outside the site, which ``make docs`` does not see, lead to files that are there."""

import re

import pytest
from pages import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file(page):
    file = ROOT / page
    links = re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8"))
    broken = [link for link in links if not re.match("https?:", link) and not (file.parent / link).exists()]
    assert not broken


def test_a_page_of_the_docs_is_in_the_navigation_or_linked():
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    listed = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    assert listed <= pages
    assert pages - listed == set(), "add them to nav in mkdocs.yml"


def test_the_design_names_what_the_package_is_made_of():
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    listed = design.partition("    src/crossloss/\n")[2].partition("    studies/")[0]
    named = set(re.findall(r"\b(__\w+__\.py|\w+\.py|\w+/(?=  ))", listed))
    source = ROOT / "src" / "crossloss"
    there = {f"{p.name}/" for p in source.iterdir() if (p / "__init__.py").exists()} | {
        p.name for p in source.glob("*.py")
    }
    assert named == there
