"""The page in a real browser: nothing runs, nothing overflows on a phone."""

import html
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hostile import ACT, hostile
from report_sample import objective, report

from crossloss.report import render
from fuzzing import hostile_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path"),
]


def dom(page: str, folder) -> str:
    """The document after a browser has loaded it."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    return subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={folder / 'profile'}", "--dump-dom", file.as_uri(),
        ],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip


def without_policy(page: str) -> str:
    bare = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    assert bare != page
    return bare


def root_tag(document: str) -> str:
    found = re.search(r"<html[^>]*>", document)
    assert found
    return found[0]


def test_hostile_strings_run_nothing_even_without_the_policy(tmp_path):
    page = without_policy(render(hostile(report())))
    assert "data-owned" not in root_tag(dom(page, tmp_path))
    # The same browser would have run it, had one been let through.
    assert "data-owned" in root_tag(dom(page.replace("</body>", f"<script>{ACT}</script></body>"), tmp_path))


def test_the_policy_stops_what_would_get_through(tmp_path):
    page = render(report()).replace("</body>", f'<script>{ACT}</script><img src=x onerror="{ACT}"></body>')
    assert "data-owned" not in root_tag(dom(page, tmp_path))


def test_a_hostile_corpus_runs_nothing_from_file_to_page(tmp_path):
    out, _ = hostile_run(tmp_path)
    page = (out / "report.html").read_text(encoding="utf-8")
    for shown in (page, without_policy(page)):
        title = re.search(r"<title>(.*?)</title>", dom(shown, tmp_path), re.S)
        assert title
        assert "owned" not in title[1]


PROBE = """<script>
addEventListener('load', () => {
  const top = parent.document.documentElement, own = document.documentElement;
  const sign = document.querySelector('.guide p').getBoundingClientRect();
  top.setAttribute('data-' + window.name, own.clientWidth + ' ' + own.scrollWidth + ' ' + Math.ceil(sign.bottom));
});
</script>"""


def test_question_and_answer_fit_the_first_screen_and_no_page_scrolls_sideways(tmp_path):
    long = "antidisestablishmentarianism" * 6
    stretched = replace(objective(long), amplifiers=[replace(objective().amplifiers[0], text=long, document=long)])
    pages = {
        "one": report(),
        "four": report(*(objective(n) for n in ("paper-career", "paper-math", "paper-art", "paper-race"))),
        "long": replace(report(stretched), command=long, settings={long: long}),
    }
    screens = {"phone": (390, 844), "desktop": (1280, 800)}
    # A window cannot be as narrow as a phone, a frame can.
    frames = ""
    for kind, given in pages.items():
        page = html.escape(without_policy(render(given)).replace("</body>", PROBE + "</body>"))
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
