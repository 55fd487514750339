import base64
import hashlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from hostile import PAYLOAD, hostile
from hypothesis import given, settings
from hypothesis import strategies as st
from report_sample import explained, objective, report

import crossloss
from crossloss.core import UserError
from crossloss.report import Explained, WordSet, render
from crossloss.report.text import clean

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
        assert self.open.pop() == tag

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
    return Page(render(report()))


def test_question_answer_and_sign_come_before_everything_else(page):
    start = page.text.split("Scores of the trained model")[0]
    assert "Which sentences made paper-career 1.56?" in start
    assert (
        "Removing 922 of 180,153 sentences brings paper-career from 1.56 to −0.49 (predicted −0.001); from 5 other "
        "starts, which it was not fitted to, from 1.65 ± 0.04 to 0.17 ± 0.11." in start
    )
    assert "A positive effect if removed means: removing this sentence is predicted to raise the score." in start
    assert "0.98 (0.95 to 0.998)" in start
    assert "Over 5 starts of the initial vectors (mean ± sd): paper-career 1.63 ± 0.06." in start


def test_the_numbers_given_are_the_numbers_shown(page):
    for shown in (
        "0.00015", "0.00031", "12,870", "WEAT effect size",
        "john 2,214", "donna", "1 word missing",
        "0.628", "0.619 ± 0.009", "not measured", "retrained −0.0031",
        "Each of the 10 strongest of paper-career was left out alone", "slope 1.12",
        "1,310 sentences of the first-order plan",
        "0.51 %", "1.56 ± 0.02", "1.51 ± 0.04", "1.65 ± 0.04", "0.17 ± 0.11",
        "1.02 without 100, 0.61 without 300, −0.49 without 922.",
        "0.85 (0.82 to 0.87)", "0.41 (0.38 to 0.43)", "0.96 (0.90 to 1.03)",
        "unrolled predicted retraining best", "1 h 10 min", "min count", "--validate 30",
        "Female names: 1 of 8 words is missing in this corpus.",
        "922 of 180,153 sentences decide paper-career: retrained without them. Their words: sister.",
    ):  # fmt: skip
        assert shown in page.text, shown


def test_a_sentence_shows_its_effect_and_its_pairs_with_the_sign_of_removal():
    s = Explained(
        7, "42", "Algebra", "My sister teaches calculus.", 0.0040, -0.0040,
        [(3, 9, 0.0021), (18, 26, 0.0019)], [("sister", "calculus", 0.0042), ("my", "sister", -0.0002)],
    )  # fmt: skip
    html = render(report(replace(objective(), amplifiers=[s])))
    row = html[html.index("<bdi>My ") :]
    assert '<td class="small" data-label="from"><bdi>Algebra</bdi>, <bdi>42</bdi></td>' in row
    assert '<td class="small n" data-label="rank">7</td>' in row
    assert "sister – calculus −0.0042 my – sister +0.00020" in Page(html).text
    assert '<mark class="up4" title="effect if removed −0.0021">sister</mark>' in html


def test_pairs_of_a_sentence_of_weight_two_take_its_weight():
    s = Explained(1, "1", "", "a b", 0.002, -0.004, [], [("a", "b", 0.002)])
    assert "a – b −0.0040" in Page(render(report(replace(objective(), amplifiers=[s])))).text


def test_a_candidate_says_what_adding_it_does():
    s = replace(explained(3, 1, "My sister teaches.", "", 1), candidate=True, score=0.02, effect_if_removed=-0.02)
    text = Page(render(report(replace(objective(), amplifiers=[s])))).text
    assert "Candidate, not trained on: adding it once is predicted to change the score by +0.0200." in text


def test_several_objectives_are_answered_in_one_sentence_and_one_picture():
    values = {"paper-career": 1.56, "paper-math": 0.9, "paper-art": -1.2, "paper-race": 0.2}
    objectives = [objective(name, now) for name, now in values.items()]
    objectives[1] = replace(objectives[1], plan=replace(objectives[1].plan, size=36, retrained=0.08))
    objectives[2] = replace(objectives[2], plan=replace(objectives[2].plan, reached=False))
    objectives[3] = replace(objectives[3], plan=None, curve=None)
    html = render(report(*objectives))
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


def test_fifty_sentences_a_side_of_four_objectives_stay_light():
    html = render(report(*(objective(str(i), rows=50) for i in range(4))))
    assert len(html.encode()) < 1_500_000


def test_what_was_not_measured_names_the_command_that_measures_it():
    bare = replace(
        objective(), plan=None, curve=None, fidelity=(), amplifiers=(), mitigators=(), sets=(), p_value=None,
        p_value_two_sided=None, question="", reading="", caveats=(),
        robustness=(),
    )  # fmt: skip
    few = replace(report(bare), quality=(), settings={}, versions={}, timings={}, n_documents=0)
    page = Page(render(few))
    assert "crossloss validate runs/mine" in page.text
    assert "crossloss plan runs/mine --objective paper-career --target 0" in page.text
    assert "crossloss score runs/mine --objective paper-career" in page.text
    assert "crossloss measure runs/mine --robustness" in page.text
    assert "Settings" not in page.text
    assert "document" not in page.text
    planned = objective()
    planned = replace(planned, plan=replace(planned.plan, retrained=None, other_seeds=(), random_removal=()))
    text = Page(render(report(planned))).text
    assert "not yet retrained" in text
    assert "crossloss validate runs/mine" in text


def test_no_objective_is_one_clear_sentence():
    with pytest.raises(UserError, match="score at least one objective"):
        render(replace(report(), objectives=[]))


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match=r'jinja2: run .pip install "crossloss\[report\]"'):
        render(report())


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
    html = render(report())
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
    html = render(report(*(objective(n) for n in ("paper-career", "two/../words"))))
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
    tame, wild = Page(render(report())), render(hostile(report()))
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
    s = Explained(1, "1", "", text, 0.1, -0.1, spans, [])
    bare = replace(objective(), plan=None, curve=None, fidelity=(), amplifiers=[s], mitigators=())
    # At the top of the page and in its list.
    assert Page(render(report(bare))).quoted == [clean(text)] * 2


def test_a_megabyte_of_a_sentence_is_cut_and_says_so():
    text = "word " * 200_000 + "sister" + " word" * 10
    s = Explained(1, "1", "", text, 0.1, -0.1, [(1_000_000, 1_000_006, 0.1)], [])
    html = render(report(replace(objective(), amplifiers=[s], mitigators=())))
    assert len(html) < 200_000
    assert '<span class="cut" title="999,920 characters left out">…</span>' in html
    assert ">sister</mark>" in html


def test_corpus_text_is_isolated_from_the_direction_around_it():
    s = Explained(1, "1", "ערך", "אחותי מלמדת", 0.1, -0.1, [(0, 5, 0.1)], [("אחותי", "מלמדת", 0.1)])
    o = replace(objective(), amplifiers=[s], sets=[WordSet("נשים", [("אחותי", 3)])])
    html = render(report(o))
    for text in ("ערך", "אחותי", "מלמדת", "נשים"):
        assert f"<bdi>{text}</bdi>" in html
    assert "</mark> מלמדת</bdi>" in html


def test_same_report_same_bytes_in_another_process():
    script = (
        "import hashlib; from report_sample import report; from crossloss.report import render;"
        "print(hashlib.sha256(render(report()).encode()).hexdigest())"
    )
    path = os.pathsep.join([str(Path(crossloss.__file__).parents[1]), str(Path(__file__).parent)])
    other = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    assert other == hashlib.sha256(render(report()).encode()).hexdigest()
