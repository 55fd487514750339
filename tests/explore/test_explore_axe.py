"""axe-core finds nothing wrong with the page, in any of its states, wide and narrow, light and dark."""

import pytest
from explored import explored, make_run

from driver import browser, opened

pytestmark = browser
WAIT_LIST = "document.querySelectorAll('#rows > li.row').length > 3 && document.querySelector('#chart svg')"
NARROW, WIDE = 390, 1280


def ask(page):
    page.write("#ask-text", "waa wai waj unknown")
    page.until("document.querySelector('#ask-answer table')")


def basket(page):
    page.click("#rows .toggle")
    page.until("document.querySelector('#basket-totals table')")
    page.click("#swap summary")


def work(page):
    page.choose("#basket-starts", "5")
    page.click("#basket-retrain")
    page.until("document.querySelector('#job').checkVisibility()")


def retrained(page):
    page.until("!document.querySelector('#job').checkVisibility()")
    page.until("document.querySelector('#basket-totals').innerText.includes('retrained')")
    page.click("#plan-save")
    page.until("document.querySelector('#plan-saved code')")
    page.click("#leave-retrain")
    page.until("document.querySelector('#leave-answer').innerText.includes('Retrained:')")


def word(page):
    page.click("#rows .text mark")
    page.until("document.querySelector('#word-answer table')")


def objective(page):
    page.click("#sets summary")
    page.write("#sets-fields textarea", "waa, wab")
    page.until("document.querySelector('#objective-answer .answer')")
    page.click("#written-part summary")


def scatter(page):
    page.choose("#f-other", "near")
    page.until("document.querySelector('#chart rect.cell')")
    page.until("document.querySelectorAll('#rows > li').length > 3")
    page.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")


def nothing_found(page):
    page.write("#f-text", "no sentence has this")
    page.until("document.querySelector('#found').innerText.startsWith('0 ')")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("axe")) as opened_page:
        yield opened_page


@pytest.fixture
def own(tmp_path):
    with explored(make_run(tmp_path / "run", steps=30, subsets=3)) as opened_run:
        yield opened_run


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_whole_visit(own, page, width, dark):
    page.dark(dark)
    page.go("about:blank")
    page.go(own.address, width)
    page.until(WAIT_LIST)
    assert page.violations() == []
    for act in (ask, basket, work, retrained, word, objective, scatter, nothing_found):
        act(page)
        if not dark or act is scatter:  # with all of the page filled and open
            assert page.violations() == [], act.__name__


def test_it_sees_what_is_wrong(own, page):
    page.go("about:blank")
    page.go(own.address)
    page.until(WAIT_LIST)
    page.js("document.body.append(document.createElement('button'))")
    assert [v.partition(":")[0] for v in page.violations()] == ["button-name"]
