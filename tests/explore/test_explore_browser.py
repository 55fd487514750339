"""A reader's whole visit in a real browser: open, ask, leave out, basket, retrain, save a plan, train with it."""

import csv
import io
import json
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from explored import MINE, explored, make_run, torch_run
from hostile_texts import TEXTS

import crossloss as cl
from crossloss.plans import read_plan
from crossloss.utils import display
from dense import random_sentences
from driver import browser, opened
from fuzzing_runs import command

pytestmark = browser
LISTED = "document.querySelectorAll('#rows > li.row').length > 3"
DRAWN = "document.querySelector('#chart svg') && document.querySelector('#leave-totals table')"


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """An explorer and a browser at it."""
    home = tmp_path_factory.mktemp("visit")
    (home / "corpus.txt").write_text("\n".join(random_sentences(3, sentences=60)) + "\n")
    run = make_run(home / "run", cl.read(home / "corpus.txt"), subsets=3)
    with explored(run) as own, opened(home / "profile") as page:
        own.corpus = home / "corpus.txt"
        yield own, page


def start(visit, width=1280, fragment=""):
    own, page = visit
    page.go("about:blank")
    page.go(own.address + fragment, width)
    page.until(LISTED)
    page.until(DRAWN)
    return own, page


def test_ask_basket_retrain_save_and_train_with_the_plan(visit, tmp_path):
    own, page = start(visit)
    assert page.text("h1") == f"Which sentences made mine {display.value(value(own, 'mine'))}?"

    page.write("#ask-text", "waa wai waj")
    page.until("document.querySelector('#ask-answer .answer')")
    assert page.text("#ask-answer .answer").startswith("Not in the corpus: adding it once is predicted to")
    known = own.ask("/api/text", {"sample": 5})[1]["text"]
    page.write("#ask-text", known)
    page.until(
        "document.querySelector('#ask-answer .answer').innerText.startsWith('Sentence 5 of the corpus: removing')"
    )

    page.write("#leave-n", "4")
    page.until("document.querySelector('#leave-answer').innerText.startsWith('Without the 4 sentences')")
    page.click("#leave-retrain")
    page.until("document.querySelector('#leave-answer').innerText.includes('Retrained:')")
    assert page.js("document.querySelectorAll('#leave-chart circle.found').length") == 2  # one is the legend's

    page.click("#rows .toggle")
    page.until("document.querySelector('#basket-title').innerText === 'Basket (1)'")
    page.js("document.activeElement.blur()")
    for key in "jjx":
        page.key(key)
    page.until("document.querySelector('#basket-title').innerText === 'Basket (2)'")
    page.until("document.querySelectorAll('#basket-totals tbody tr').length >= 2")
    page.until("document.querySelector('#basket-what').innerText.includes('2 out')")
    page.click("#basket-retrain")
    page.until("document.querySelector('#basket-totals').innerText.includes('retrained')")
    page.write("#plan-name", "visit")
    page.click("#plan-save")
    page.until("document.querySelector('#plan-saved code')")
    weights, _ = read_plan(own.folder / "plan-basket-visit.parquet")
    assert (weights == 0).sum() == 2
    chosen = np.flatnonzero(weights == 0).tolist()
    assert chosen == page.js(
        "[...document.querySelectorAll('#rows .inside')].map(r => +r.dataset.sample).sort((a, b) => a - b)"
    )
    code, _, errors = command(
        [
            "train",
            str(own.corpus),
            "--weights",
            str(own.folder / "plan-basket-visit.parquet"),
            "--out",
            str(tmp_path / "fixed"),
        ]
    )
    assert code == 0, errors
    found = own.ask("/api/run")[1]["found"][-1]
    with cl.load(tmp_path / "fixed") as fixed:
        assert display.value(float(MINE(fixed.view))) == display.value(found["after"]["mine"])
    assert page.errors == []
    assert all(r.startswith((own.address.partition("?")[0], "about:", "data:", "blob:")) for r in page.requests)


def value(own, name):
    return next(o["value"] for o in own.ask("/api/run")[1]["objectives"] if o["name"] == name)


def test_the_address_holds_all_that_was_chosen(visit):
    _, page = start(visit)
    page.choose("#f-order", "raising")
    page.write("#f-word", "wad")
    page.write("#leave-n", "7")
    page.click("#objectives .tab", "near")
    page.until("document.querySelector('h1').innerText.includes('near')")
    page.until("!document.querySelector('#found').innerText.startsWith('61 ')")
    page.click("#rows .toggle")
    page.until("location.hash.includes('basket')")
    seen = page.text("#found"), page.text("#basket-title"), page.text("#rows > li")
    _, page = start(visit, fragment=page.js("location.hash"))
    page.until("document.querySelector('#basket-title').innerText === 'Basket (1)'")
    page.until("!document.querySelector('#found').innerText.startsWith('61 ')")
    assert (page.text("#found"), page.text("#basket-title"), page.text("#rows > li")) == seen
    assert page.js("[...['f-order', 'f-word']].map(i => document.getElementById(i).value)") == ["raising", "wad"]


def test_a_new_objective_and_weights_stand_in_the_address(visit):
    _, page = start(visit, fragment="#basket=2.5*1.2&other=near&other_low=0.001")
    page.until("document.querySelector('#basket-weight').value === '2.5'")
    assert page.js("document.querySelector('#f-other-low').value") == "0.001"
    page.click("#rows .toggle")
    page.until("document.querySelector('#basket-weight').placeholder === 'several'")
    page.write("#basket-weight", "0.5")
    page.js("document.activeElement.blur()")
    page.until("document.querySelector('#basket-what').innerText.includes('3 weighed otherwise')")
    page.click("#sets summary")
    page.write("#sets-fields textarea", "waa, wab")
    page.until("document.querySelector('#objective-answer .answer')")
    page.until("location.hash.includes('edited')")
    seen = page.text("#objective-answer .answer")
    _, page = start(visit, fragment=page.js("location.hash"))
    page.until(f"document.querySelector('#objective-answer .answer')?.innerText === {json.dumps(seen)}")
    assert page.js("document.querySelector('#sets-fields textarea').value") == "waa, wab"
    page.js("document.querySelector('#written-part').open = true")
    page.write("#written", "similarity:waa/wab")
    page.until("location.hash.includes('written') && !location.hash.includes('edited')")
    _, page = start(visit, fragment=page.js("location.hash"))
    page.until("document.querySelector('#objective-answer .answer')?.innerText.startsWith('similarity')")
    _, page = start(visit, fragment="#edited=%7B%22name%22:1,%22sets%22:%7B%22X%22:%22x%22%7D%7D")
    page.until("document.querySelector('#objective-answer').innerText")
    assert [e for e in page.errors if "Failed to load" not in e] == []
    page.errors.clear()


def test_a_torch_run_says_what_it_cannot_and_shows_nothing_that_it_cannot(tmp_path):
    run = torch_run(tmp_path / "run")
    with explored(run) as own, opened(tmp_path / "profile") as page:
        page.go(own.address)
        page.until(LISTED)
        page.until(DRAWN)
        assert "What this run cannot do" in page.text("main")
        assert page.text(".caveat").startswith("This is a torch run")
        seen = page.js(
            "[...document.querySelectorAll('button, h2, mark')].filter(e => e.checkVisibility()).map(e => e.innerText)"
        )
        for absent in ("Ask a sentence", "Retrain with it", "Retrain without them", "Word", "Words like this"):
            assert absent not in seen
        page.click("#rows .toggle")
        page.until("document.querySelector('#basket-totals table')")
        assert "Retrain" not in page.text("#basket")
        assert page.violations() == []
        assert page.errors == []


def test_a_drawn_range_of_the_histogram_filters_and_a_click_on_a_word_opens_it(visit):
    own, page = start(visit)
    page.drag("#chart svg", (0.55, 0.4), (0.97, 0.5))
    page.until("document.querySelector('#f-low').value !== ''")
    page.until("!document.querySelector('#found').innerText.startsWith('61 ')")
    low, high = (float(page.js(f"document.querySelector('#f-{end}').value")) for end in ("low", "high"))
    _, rows = own.ask("/api/select", {"objective": "mine", "filter": {"low": low, "high": high}})
    assert page.text("#found") == f"{len(rows['samples'])} sentences found"
    page.choose("#f-other", "near")
    page.until("document.querySelector('#chart rect.cell')")
    page.click("#rows .text mark")
    page.until("document.querySelector('#word-answer table')")


def test_an_objective_is_edited_measured_and_scored(visit):
    _, page = start(visit)
    page.click("#sets summary")
    page.write("#sets-fields textarea", "waa, wab")
    page.until("document.querySelector('#objective-answer .answer')")
    assert page.text("#objective-answer .answer").startswith("mine-edited is ")
    assert "p " in page.text("#objective-answer .answer")
    page.click("#objective-score")
    page.until("document.querySelector('h1').innerText.includes('mine-edited')")
    assert page.errors == []


def test_nothing_scrolls_sideways_and_nothing_is_without_a_name(visit):
    for width in (1280, 390):
        _, page = start(visit, width, "#basket=0*1.2&look=waa")
        page.until("document.querySelector('#basket-totals table')")
        page.until("document.querySelector('#word-answer table')")
        client, scroll = page.js("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
        assert (client, scroll <= client) == (width, True)
        unnamed = page.js("""[...document.querySelectorAll('button, input, select, textarea, a[href], summary')]
          .filter(e => e.checkVisibility() && !(e.innerText || e.ariaLabel || e.labels?.length || e.title))
          .map(e => e.outerHTML)""")
        assert unnamed == []
        small = page.js("""[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length""")
        assert small == 0
        doubles = page.js("""(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
          return ids.filter((id, i) => ids.indexOf(id) !== i); })()""")
        assert doubles == []


def test_numbers_are_written_as_crossloss_writes_them(visit):
    _, page = start(visit)
    rng = np.random.default_rng(0)
    numbers = [*(rng.normal(size=60) * 10.0 ** rng.integers(-8, 3, 60)).tolist(), 0.0, 0.0095, -0.00001, 1.0, 0.996]
    for name, write in (("value", display.value), ("effect", display.effect), ("agreement", display.agreement)):
        written = page.js(f"import('./format.js').then(m => {numbers}.map(m.{name}))")
        assert written == [write(x) for x in numbers]
    shares = [abs(x) % 1 for x in numbers]
    for name, write in (("percent", display.percent), ("probability", display.probability)):
        assert page.js(f"import('./format.js').then(m => {shares}.map(m.{name}))") == [write(x) for x in shares]
    times = [0.44, 9.94, 21.2, 200.0, 3661.0]
    assert page.js(f"import('./format.js').then(m => {times}.map(m.duration))") == [display.duration(t) for t in times]


def test_candidates_are_added_and_sentences_left_out(tmp_path):
    corpus = cl.with_swaps(cl.from_sentences(random_sentences(3, sentences=30)), [("waa", "wae"), ("wab", "waf")])
    with explored(make_run(tmp_path / "run", corpus)) as own, opened(tmp_path / "profile") as page:
        page.go(own.address)
        page.until(LISTED)
        _, found = own.ask("/api/select", {"objective": "mine", "filter": {"kind": "candidates"}})
        page.choose("#f-kind", "candidates")
        page.until(f"document.querySelector('#found').innerText.startsWith('{len(found['samples'])} ')")
        page.until("document.querySelector('#rows .count')?.innerText.includes('if added')")
        page.click("#found-basket")
        page.until(f"document.querySelector('#basket-what').innerText.includes('{len(found['samples'])} added')")
        page.click("#basket-clear")
        page.click("#rows .toggle", "add")
        page.until("document.querySelector('#basket-what').innerText.includes('1 added')")
        page.choose("#f-kind", "trained")
        page.until("document.querySelector('#rows .toggle')?.innerText === 'leave out'")
        page.click("#rows .toggle")
        page.until("document.querySelector('#basket-what').innerText.includes('1 out, 1 added')")
        page.click("#rows .edit")
        page.until("document.querySelector('#ask-answer .answer')?.innerText.includes('removing it')")
        assert page.errors == []


KEEP = "URL.createObjectURL = blob => { window.saved = blob; return 'blob:none'; }"


def test_what_is_seen_is_saved_as_svg_and_csv(tmp_path):
    run = make_run(tmp_path / "run", TEXTS + ["waa wae wai wam wab waf waj wan"] * 4)
    with explored(run) as own, opened(tmp_path / "profile") as page:
        page.go(own.address)
        page.until(LISTED)
        page.until(DRAWN)
        page.js(KEEP)
        for button in ("#leave-svg", "#f-svg"):
            page.click(button)
            drawing = ElementTree.fromstring(page.js("window.saved.text()"))
            assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
            assert not [e for e in drawing.iter() if "class" in e.attrib]
            assert all(e.get("fill") for e in drawing.iter())
        page.click("#found-csv")
        rows = list(csv.DictReader(io.StringIO(page.js("window.saved.text()"))))
        _, given = own.ask("/api/rows", {"objective": "mine"})
        assert [int(r["sample"]) for r in rows] == [r["sample"] for r in given["rows"]]
        assert {r["effect of"] for r in rows} == {"removing"}
        assert [float(r["near"]) for r in rows] == [r["effects"][1] for r in given["rows"]]
        assert not [r["text"] for r in rows if r["text"][0] in "=+-@"]  # a spreadsheet would run it
        assert any(r["text"].startswith("'=cmd") for r in rows)
        page.click("#rows .toggle")
        page.until("document.querySelector('#basket-totals table')")
        page.click("#basket-csv")
        assert page.js("window.saved.text()") == f"sample,weight\r\n{rows[0]['sample']},0\r\n"


def test_a_hostile_corpus_runs_nothing_and_moves_no_other_text(tmp_path):
    run = make_run(tmp_path / "run", TEXTS + ["waa wae wai wam wab waf waj wan"] * 4)
    with explored(run) as own, opened(tmp_path / "profile") as page:
        page.go(own.address)
        page.until(LISTED)
        page.js("document.querySelectorAll('#rows .toggle').forEach(b => b.click())")
        page.write("#ask-text", TEXTS[0])
        page.until("document.querySelector('#ask-answer table')")
        page.write("#f-text", "<script>")
        page.until("document.querySelector('#basket-rows li')")
        time.sleep(0.3)
        assert page.js("document.title").startswith("mine ")
        assert page.js("document.querySelectorAll('main script, main img, main iframe').length") == 0
        assert page.js("document.querySelectorAll('[onerror], [onload]').length") == 0
        blocked = page.js(
            "(() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } })()"
        )
        assert blocked


def test_a_stopped_explorer_and_a_wrong_token_are_said_so(tmp_path):
    with opened(tmp_path / "profile") as page:
        with explored(make_run(tmp_path / "run")) as own:
            page.go(own.address)
            page.until(LISTED)
            page.js("history.replaceState(null, '', '/?token=wrong')")
        page.click("#leave-retrain")
        page.until("document.querySelector('#status').innerText.includes('was stopped')")
