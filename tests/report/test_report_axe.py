"""axe-core finds nothing wrong with the report, wide and narrow, light and dark, folded and open."""

import pytest
from report_sample import objective, page_of

from driver import browser, opened

pytestmark = browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("axe")) as opened_page:
        yield opened_page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_report_of_two_objectives(page, tmp_path, width, dark):
    file = tmp_path / "page.html"
    file.write_text(page_of(objective(), objective("paper-math")), encoding="utf-8")
    page.dark(dark)
    page.go(file.as_uri(), width)
    assert page.violations() == []
    page.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.violations() == []
