import base64
import hashlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from hostile import PAYLOAD, hostile_page
from hypothesis import given, settings
from hypothesis import strategies as st
from report_sample import Line, bare, check, objective, page_of, plan, report

import crossloss
from crossloss.core import UserError
from crossloss.report import render
from crossloss.report.text import clean
from crossloss.utils import display

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that elements nest, and keeps tags, attributes and the text of chosen elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.quoted: list[str] = []
        self._inside = 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            if dict(attrs).get("class") == "text":
                self._inside = len(self.open)
                self.quoted.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if len(self.open) == self._inside:
            self._inside = 0
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)
        if self._inside:
            self.quoted[-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(page_of())


def test_question_answer_and_sign_come_before_everything_else(page):
    start = page.text.split("Scores of the trained model")[0]
    assert "Which sentences made paper-career 1.56?" in start
    assert (
        "Removing 922 of 180,153 sentences brings paper-career from 1.56 to −0.49 (predicted −0.001); from 5 other "
        "starts, which it was not fitted to, from 1.65 ± 0.04 to 0.17 ± 0.11." in start
    )
    assert "A positive effect if removed means: removing this sentence is predicted to raise the score." in start
    assert "0.98 (0.95 to 0.998)" in start
    assert "Over 5 starts of the initial parameters (mean ± sd): paper-career 1.63 ± 0.06." in start


def test_the_numbers_given_are_the_numbers_shown(page):
    for shown in (
        "WEAT effect size", "john 95", "paul 50", "donna", "1 word missing",
        "0.619 ± 0.009", "not measured", "retrained −0.0031",
        "Each of the 1 strongest of paper-career was left out alone", "slope 1.12",
        "1,310 sentences of the first-order plan",
        "0.51 %", "1.56 ± 0.02", "1.51 ± 0.04", "1.65 ± 0.04", "0.17 ± 0.11",
        "1.02 without 100, 0.61 without 300, −0.49 without 922.",
        "0.85 (0.82 to 0.87)", "0.41 (0.38 to 0.43)", "0.96 (0.90 to 1.03)",
        "unrolled predicted retraining best", "1 h 10 min", "min count", "--validate 30",
        "3 of the 4 occurrences of 'amy' are in these 922 sentences",
        "Words that the corpus lacks are left out of their set",
        "922 of 180,153 sentences decide paper-career: retrained without them. Their words: sister.",
    ):  # fmt: skip
        assert shown in page.text, shown


def test_the_test_of_an_objective_stands_with_its_value():
    run, o = report(), objective().objective
    tested = crossloss.permutation_test(o, run.view)
    assert tested.splits == 35  # 3 of 7 names: donna is missing
    row = re.search(r"<tr><th scope=\"row\">paper-career<br>.*?</tr>", render(run), re.S)
    for shown in (display.probability(tested.p_value), display.probability(tested.p_value_two_sided), ">35<"):
        assert shown in row[0]


def alone(*lines: Line, estimator: str = "unrolled") -> str:
    o = bare()
    o.amplifiers = list(lines)
    return page_of(o, estimator=estimator)


def test_a_sentence_shows_its_effect_and_its_pairs_with_the_sign_of_removal():
    s = Line(
        "My sister teaches calculus.", "Algebra", "42", 0.0040, [(3, 9, 0.0021), (18, 26, 0.0019)],
        [("sister", "calculus", 0.0042), ("my", "sister", -0.0002)], rank=7,
    )  # fmt: skip
    html = alone(s)
    row = html[html.index("<tbody>") :]
    assert '<td class="small" data-label="from"><bdi>Algebra</bdi>, <bdi>42</bdi></td>' in row
    assert '<td class="small n" data-label="rank">7</td>' in row
    assert "sister – calculus −0.0042 my – sister +0.00020" in Page(html).text
    assert '<mark class="up4" title="effect if removed −0.0021">sister</mark>' in html


def test_pairs_of_a_sentence_of_weight_two_take_its_weight():
    text = Page(alone(Line("a b", score=0.002, weight=2.0, pairs=[("a", "b", 0.002)]))).text
    assert "a – b −0.0040" in text


def test_a_candidate_says_what_adding_it_does():
    text = Page(alone(Line("My sister teaches.", score=0.02, candidate=True))).text
    assert "Candidate, not trained on: adding it once is predicted to change the score by +0.0200." in text


def test_what_raises_is_no_mitigator():
    o = bare()
    o.mitigators = [Line("It raises.", score=0.1)]
    text = Page(page_of(o)).text
    assert "It raises." not in text
    assert "No sentence lowers it." in text


def test_several_objectives_are_answered_in_one_sentence_and_one_picture():
    values = {"paper-career": 1.56, "paper-math": 0.9, "paper-art": -1.2, "paper-race": 0.2}
    objectives = [objective(name, now) for name, now in values.items()]
    objectives[1].plans = [plan("paper-math", 0.9, size=36, retrained=0.08)]
    objectives[1].check = check(retrained=0.08, curve=[(36, 0.08)])
    objectives[2].plans = [plan("paper-art", -1.2, reached=False)]
    objectives[3].plans, objectives[3].check = [], None
    html = page_of(*objectives)
    page = Page(html)
    assert "Which sentences made these 4 scores?" in page.text
    assert (
        "Removing 36 to 922 of 180,153 sentences brings 3 of them to its target of 0 (paper-art only nearer to it). "
        "Retrained: paper-career −0.49 (predicted −0.001), paper-math 0.08 (predicted −0.001), paper-art −0.49 "
        "(predicted −0.001). From 5 other starts, not fitted to: paper-career 0.17 ± 0.11,"
    ) in page.text
    first = html[html.index("<h1>") : html.index("<nav")]
    assert first.count("<svg") == 1
    for name in values:
        assert f">{name}</text>" in first
    for name in ("paper-career", "paper-math"):
        assert f"brings {name} from" in page.text
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for t, a in page.tags if t == "a" and "download" not in a} <= {f"#{i}" for i in ids}


def test_a_plan_of_other_weights_and_one_for_two_objectives_are_shown():
    first, second = bare("f", 1.5), bare("g", 0.5)
    both = plan("both", 0.0, method="reweight", size=0, moved=0.031)
    both.targets, both.predictions, both.results = ({"f": a, "g": b} for a, b in ((0.0, 0.1), (0.2, 0.3), (0.25, 0.35)))
    both.values = {"f": 1.5, "g": 0.5}
    first.plans = [both]
    text = Page(page_of(first, second)).text
    assert "Changing the weights of 180,153 sentences (reweight) brings each to its target" in text
    for name, now, there in (("f", "1.50", "0.25"), ("g", "0.50", "0.35")):
        assert (
            f"The plan reweight (weight changed 3.1 %, 0 of 180,153 sentences out) brings {name} from {now} to {there}"
            in text
        )
    assert text.count("with the plan’s weights, predicted") == 2


@pytest.mark.parametrize("earlier", [{"retrained": 0.7}, {"curve": [(10, -0.4853)]}])
def test_what_was_checked_of_an_earlier_plan_is_not_said_of_this(earlier):
    o = objective()
    o.check = check(**earlier)
    text = Page(page_of(o)).text
    assert "brings paper-career from 1.56 to −0.49 (predicted −0.001)." in text
    assert "0.17 ± 0.11" not in text


def test_every_plan_for_an_objective_is_shown():
    o = objective()
    o.plans = [plan("paper-career", 1.56, method="reweight", size=3, moved=0.2), *o.plans]
    text = Page(page_of(o)).text
    assert "Removing 922 of 180,153 sentences brings paper-career" in text
    assert "The plan reweight (weight changed 20 %, 3 of 180,153 sentences out) brings paper-career" in text


def test_fifty_sentences_a_side_of_four_objectives_stay_light():
    html = page_of(*(objective(str(i), rows=50) for i in range(4)))
    assert len(html.encode()) < 1_500_000


def test_what_was_not_measured_names_the_command_that_measures_it():
    text = Page(page_of(bare())).text
    assert "crossloss validate runs/mine" in text
    assert "crossloss plan runs/mine --objective paper-career --target 0" in text
    assert "crossloss plan runs/mine --objective paper-career --robustness" in text
    planned = bare()
    planned.plans = [plan("paper-career", 1.56, retrained=None)]
    text = Page(page_of(planned)).text
    assert "not yet retrained" in text
    assert "crossloss validate runs/mine" in text


def test_no_scores_are_one_clear_sentence():
    run = report()
    run.results.scores = None
    with pytest.raises(UserError, match="score at least one objective"):
        render(run)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match=r'jinja2: run .pip install "crossloss\[report\]"'):
        page_of()


def test_semantics(page):
    names = [t for t, _ in page.tags]
    assert names.count("h1") == 1
    assert names.count("main") == 1
    assert names.count("table") == names.count("caption")
    assert all(a.get("scope") in ("col", "row") for t, a in page.tags if t == "th")
    figures = [a for t, a in page.tags if t == "svg"]
    assert len(figures) == 4
    assert all(a["role"] == "img" and a["aria-label"] for a in figures)
    assert ("html", {"lang": "en"}) in page.tags
    named = [a.get("aria-labelledby") for t, a in page.tags if t == "section"]
    assert set(named) <= {a.get("id") for t, a in page.tags if t == "h2"}
    regions = [a["aria-label"] for t, a in page.tags if a.get("role") == "region"]
    assert len(regions) == len(set(regions))


def test_the_page_needs_nothing_else_and_may_run_only_its_own_script():
    html = page_of()
    page = Page(html)
    (script,) = re.findall("<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"
    assert any(a.get("http-equiv") == "Content-Security-Policy" and a["content"] == policy for _, a in page.tags)
    assert not {"link", "img", "iframe", "object", "base"} & {t for t, _ in page.tags}
    assert not re.search(r"https?:|@import|url\((?!#)", html)
    assert not any(name.startswith("on") for _, a in page.tags for name in a)


def test_the_script_writes_no_markup():
    script = files("crossloss.report").joinpath("script.js").read_text()
    assert not re.search("innerHTML|outerHTML|insertAdjacent|document.write|eval|Function|srcdoc|fetch|XMLHttp", script)


def test_every_figure_can_be_saved_as_a_file_of_its_own():
    html = page_of(*(objective(n) for n in ("paper-career", "two/../words")))
    saved = [a for t, a in Page(html).tags if t == "a" and "download" in a]
    assert len(saved) == html.count("<svg") == 9
    assert {a["download"] for a in saved} >= {"scores.svg", "paper-career-removal.svg", "two-..-words-removal.svg"}
    for link in saved:
        head, data = link["href"].split(",")
        assert head == "data:image/svg+xml;base64"
        drawn = base64.b64decode(data).decode()
        assert ET.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in drawn
        assert set(re.findall('xlink:href="#([^"]+)"', drawn)) <= set(re.findall(' id="([^"]+)"', drawn))


def test_hostile_strings_everywhere_are_text_only():
    tame, wild = Page(page_of()), hostile_page()
    page = Page(wild)
    assert {t for t, _ in page.tags} <= {t for t, _ in tame.tags}
    assert not any(name.startswith("on") for _, a in page.tags for name in a)
    assert re.sub(r"\s+", " ", clean(PAYLOAD)) in page.text  # {{ 7*7 }} was not computed either.
    wild.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", wild)


any_text = st.text(st.characters(exclude_categories=()), min_size=1, max_size=40)


@settings(max_examples=15, deadline=None)
@given(any_text, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.floats(-1, 1)), max_size=6))
def test_a_highlighted_sentence_without_its_tags_is_the_sentence(text, spans):
    # At the top of the page and in its list.
    o = bare()
    o.amplifiers, o.mitigators = [Line(text, spans=spans)], []
    assert Page(page_of(o)).quoted == [clean(text)] * 2


def test_a_megabyte_of_a_sentence_is_cut_and_says_so():
    text = "word " * 200_000 + "sister" + " word" * 10
    html = alone(Line(text, spans=[(1_000_000, 1_000_006, 0.1)]))
    assert len(html) < 200_000
    assert '<span class="cut" title="999,920 characters left out">…</span>' in html
    assert ">sister</mark>" in html


def test_corpus_text_is_isolated_from_the_direction_around_it():
    html = alone(Line("אחותי מלמדת", "ערך", spans=[(0, 5, 0.1)], pairs=[("אחותי", "מלמדת", 0.1)]))
    for text in ("ערך", "אחותי", "מלמדת"):
        assert f"<bdi>{text}</bdi>" in html
    assert "</mark> מלמדת</bdi>" in html


def test_same_report_same_bytes_in_another_process():
    script = "import hashlib; from report_sample import page_of; print(hashlib.sha256(page_of().encode()).hexdigest())"
    here = Path(__file__).parent
    path = os.pathsep.join(map(str, [Path(crossloss.__file__).parents[1], here, here.parent]))
    other = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    assert other == hashlib.sha256(page_of().encode()).hexdigest()
