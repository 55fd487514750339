"""The page in a real browser: nothing runs, nothing overflows on a phone."""

import html
import re

from hostile import ACT, hostile_page
from in_browser import browser, dom, root_tag, without_policy
from report_sample import Line, bare, objective, page_of

pytestmark = browser


def test_hostile_strings_run_nothing_even_without_the_policy(tmp_path):
    page = without_policy(hostile_page())
    assert "data-owned" not in root_tag(dom(page, tmp_path))
    # The same browser would have run it, had one been let through.
    assert "data-owned" in root_tag(dom(page.replace("</body>", f"<script>{ACT}</script></body>"), tmp_path))


def test_the_policy_stops_what_would_get_through(tmp_path):
    page = page_of().replace("</body>", f'<script>{ACT}</script><img src=x onerror="{ACT}"></body>')
    assert "data-owned" not in root_tag(dom(page, tmp_path))


def test_a_hostile_corpus_runs_nothing_from_file_to_page(tmp_path):
    from fuzzing_runs import hostile_run

    out, _ = hostile_run(tmp_path)
    page = (out / "report.html").read_text(encoding="utf-8")
    for shown in (page, without_policy(page)):
        title = re.search(r"<title>(.*?)</title>", dom(shown, tmp_path), re.S)
        assert title
        assert "owned" not in title[1]


def test_its_own_script_runs_under_the_policy(tmp_path):
    document = dom(page_of(), tmp_path)
    assert document.count('<div class="tools">') == 2
    assert "5 of 8 shown" in document


USE = """<script>
const table = document.querySelector('table.sentences'), input = document.querySelector('.tools input');
const more = document.querySelector('.tools button'), head = table.querySelector('th button');
const shown = () => [...table.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[0].textContent).join(' ');
const filter = text => { input.value = text; input.dispatchEvent(new Event('input')); };
const found = {};
found.first = shown();
more.click(); found.all = shown();
head.click(); found.descending = shown(); found.sorted = table.querySelector('th').ariaSort;
head.click(); found.ascending = shown();
table.querySelectorAll('th button')[1].click(); found.documents = table.tBodies[0].rows[0].cells[2].textContent;
filter('MARRIAGE'); found.filtered = shown(); found.state = document.querySelector('.tools [role=status]').textContent;
filter('<script>'); found.nothing = shown();
for (const [name, text] of Object.entries(found)) document.documentElement.setAttribute('data-' + name, text);
</script>"""


def test_sentences_fold_sort_and_filter(tmp_path):
    texts = ["a marriage", "b", "c", "d", "e", "f marriage", "g"]
    effects = [-0.0307, -0.02, -0.5, -1234.5, -0.00001, -0.0004, -3.0]
    names = ["m", "n", "o", "p", "q", "r", "A first"]
    o = bare()
    o.amplifiers = [Line(text, name, score=-effect) for text, effect, name in zip(texts, effects, names, strict=True)]
    root = root_tag(dom(without_policy(page_of(o)).replace("</body>", USE + "</body>"), tmp_path))
    found = {name: html.unescape(text) for name, text in re.findall('data-([a-z]+)="([^"]*)"', root)}
    written = ["−0.0307", "−0.0200", "−0.5000", "−1234.5000", "−0.000010", "−0.00040", "−3.0000"]
    order = sorted(range(7), key=lambda i: effects[i])
    assert found["first"].split() == written[:5]
    assert found["all"].split() == written
    assert found["ascending"].split() == [written[i] for i in order]
    assert found["descending"].split() == [written[i] for i in reversed(order)]
    assert found["sorted"] == "descending"
    assert found["documents"].startswith("A first")
    assert sorted(found["filtered"].split()) == sorted([written[0], written[5]])
    assert found["state"] == "2 of 7 hold this"
    assert found["nothing"] == ""


PROBE = """<script>
addEventListener('load', () => {
  const top = parent.document.documentElement, own = document.documentElement;
  const sign = document.querySelector('.guide p').getBoundingClientRect();
  top.setAttribute('data-' + window.name, own.clientWidth + ' ' + own.scrollWidth + ' ' + Math.ceil(sign.bottom));
});
</script>"""


def test_question_and_answer_fit_the_first_screen_and_no_page_scrolls_sideways(tmp_path):
    long = "antidisestablishmentarianism" * 6
    stretched = objective(long)
    stretched.amplifiers = [Line(long, long)]
    pages = {
        "one": page_of(),
        "four": page_of(*(objective(n) for n in ("paper-career", "paper-math", "paper-art", "paper-race"))),
        "long": page_of(stretched, command=long, environment={long: long}),
    }
    screens = {"phone": (390, 844), "desktop": (1280, 800)}
    # A window cannot be as narrow as a phone, a frame can.
    frames = ""
    for kind, given in pages.items():
        page = html.escape(without_policy(given).replace("</body>", PROBE + "</body>"))
        for screen, (width, height) in screens.items():
            style = f"width:{width}px;height:{height}px;border:0"
            frames += f'<iframe name="{kind}-{screen}" style="{style}" srcdoc="{page}"></iframe>'
    measured = root_tag(dom(f"<!DOCTYPE html><html>{frames}", tmp_path))
    for kind in pages:
        for screen, (width, height) in screens.items():
            found = re.search(rf'data-{kind}-{screen}="(\d+) (\d+) (\d+)"', measured)
            assert found, f"no measurement of {kind} on a {screen}"
            client, scroll, sign = map(int, found.groups())
            assert width - 20 <= client <= width
            assert scroll <= client, f"{kind} scrolls sideways on a {screen}"
            if kind != "long":
                assert sign <= height, f"the answer of {kind} ends below the first screen of a {screen}"
