"""The page of each kind of run: texts, rows and images of torch, a corpus in memory, a model trained elsewhere."""

import re

import numpy as np
import pytest
import torch
from hostile import ACT
from in_browser import browser, dom, picture, root_tag, without_policy
from report_sample import SETS, trained
from test_report_page import Page
from torch.nn import functional as F

import crossloss as cl
from crossloss.folders.load import load
from crossloss.models.skipgram.from_word2vec import TRUST
from crossloss.objectives import Weat

N = 24


def margin(m):
    return m(torch.tensor([[1.0, -1.0]]))[0, 0]


def field(**more):
    x = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Linear(2, 2)
    torch.nn.init.eye_(model.weight)
    torch.nn.init.zeros_(model.bias)
    loss = lambda out, b: F.cross_entropy(out, b["y"], reduction="none")  # noqa: E731
    return cl.TorchField(model, loss, {"x": x, "y": (x[:, 0] > 0).long()}, **more)


def scored(run, objectives, estimator="unrolled", **more):
    cl.score(run, objectives, estimator, **more)
    return run


def torch_run(**more):
    return scored(cl.train(field(**more), cl.SGD(lr=0.5), steps=5), [margin])


def read(path):
    return path.read_text(encoding="utf-8")


def test_a_torch_page_shows_each_sample_by_the_fields_own_text(tmp_path):
    run = torch_run(show=[f"the text {i}" for i in range(N)])
    html = read(cl.report(run, path=tmp_path / "page.html"))
    page, scores = Page(html), run.results.scores
    best = scores.amplifiers(1)[0]
    assert "Which samples made margin" in page.text
    assert f"the text {best.sample} {best.sample} 1 " in page.text
    assert len(re.findall(r"the text \d+", page.text)) == N + 1  # every sample once, and the strongest above
    for word in ("sentence", "corpus", "word", "document", "test"):
        assert word not in page.text.replace("value of a function", ""), word
    assert "<mark" not in html
    assert "cl.validate(run)" in page.text
    for setting in ("optimiserSGD", "lr0.5", "steps5", "estimatorunrolled"):
        assert setting in page.text


def test_a_schedule_is_a_setting(tmp_path):
    run = scored(cl.train(field(), cl.SGD(lr=lambda t: 0.5 / (t + 1)), steps=5), [margin])
    assert "lr0.5 to 0.1, by step" in Page(read(cl.report(run, path=tmp_path / "page.html"))).text


def test_without_show_samples_are_numbers(tmp_path):
    text = Page(read(cl.report(torch_run(), path=tmp_path / "page.html"))).text
    assert f"sample {N - 1}" in text


def test_rows_and_images_go_before_what_the_field_shows(tmp_path):
    run = torch_run(show=["never" for _ in range(N)])
    rows = [{"left": i, "picture <b>": np.full((2, 2), i / N)} for i in range(N)]
    html = read(cl.report(run, path=tmp_path / "page.html", show=rows))
    assert "never" not in html
    assert html.count("<dt><bdi>picture &lt;b&gt;</bdi></dt>") == N + 1
    images = [a for t, a in Page(html).tags if t == "img"]
    assert len(images) == N + 1
    assert all(a["src"].startswith("data:image/png;base64,") and a["alt"].startswith("sample ") for a in images)


def test_the_same_run_has_the_same_bytes(tmp_path):
    pages = [read(cl.report(torch_run(show=lambda i: np.eye(3) * i / N), path=tmp_path / f"{k}.html")) for k in (0, 1)]
    times = re.compile("<h3>Time</h3>.*?</dl>", re.S)
    assert times.sub("", pages[0]) == times.sub("", pages[1])
    run = torch_run()
    assert read(cl.report(run, path=tmp_path / "a.html")) == read(cl.report(run, path=tmp_path / "b.html"))


def test_a_torch_run_in_a_folder_has_its_page_there(tmp_path):
    with cl.train(field(), cl.SGD(lr=0.5), steps=5, out=tmp_path / "run") as run:
        page = cl.report(scored(run, [margin]))
    assert page == tmp_path / "run" / "report.html"
    with load(tmp_path / "run", field()) as again:
        assert read(cl.report(scored(again, [margin]))) == read(page)


def weat():
    return Weat("mine", **SETS)


def test_a_corpus_in_memory_has_words_and_tests(tmp_path):
    run = scored(trained(), [weat()])
    html = read(cl.report(run, path=tmp_path / "page.html"))
    page = Page(html)
    assert "<mark" in html
    assert "Which sentences made mine" in page.text
    assert "p, one-sided" in page.text
    assert "cl.plan(scores, {'mine': 0.0})" in page.text


def imported(tmp_path):
    run = cl.imported(trained().model.with_vectors(trained().theta))
    scored(run, [weat()], "inverse-hessian-word-blocks", damping=1e-3)
    return cl.report(run, path=tmp_path / "page.html")


def test_a_model_trained_elsewhere_says_how_far_to_trust_its_scores(tmp_path):
    html = read(imported(tmp_path))
    text = Page(html).text
    assert text.count("This model was trained elsewhere") == 2  # at the top, and where retraining would stand
    assert TRUST in text
    assert "<mark" in html  # its sentences have words
    for never in ("cl.plan(", "cl.validate(", "crossloss ", "No plan", "not checked by retraining yet"):
        assert never not in text.replace("crossloss report", "").replace("crossloss 0.1.0", ""), never


@pytest.mark.parametrize(
    ("path", "part"), [(None, "in memory"), ("", "no place for a page"), ("none/page.html", "no place for a page")]
)
def test_a_page_without_a_place_is_refused_before_the_work(tmp_path, path, part):
    def show(sample):
        raise AssertionError("nothing may be shown yet")

    with pytest.raises(cl.UserError, match=part):
        cl.report(torch_run(), path=None if path is None else tmp_path / path, show=show)


def test_a_report_is_of_a_run():
    with pytest.raises(cl.UserError, match="not of a Scores"):
        cl.report(torch_run().results.scores)


MEASURE = """<script>
addEventListener('load', () => {
  const own = document.documentElement, images = [...document.images];
  own.setAttribute('data-loaded', images.filter(i => i.naturalWidth > 0).length + ' of ' + images.length);
  own.setAttribute('data-tables', document.querySelectorAll('.tools').length);
});
</script>"""
FRAME = """<script>
addEventListener('load', () => {
  const own = document.documentElement;
  parent.document.documentElement.setAttribute('data-width', own.clientWidth + ' ' + own.scrollWidth);
});
</script>"""


class TestInTheBrowser:
    pytestmark = browser

    def test_images_are_seen_under_the_policy(self, tmp_path):
        magenta = np.zeros((8, 8, 3), dtype=np.uint8)
        magenta[:, :, [0, 2]] = 255
        html = read(cl.report(torch_run(), path=tmp_path / "page.html", show=lambda i: magenta))
        seen = picture(html, tmp_path)
        assert (seen == [255, 0, 255]).all(axis=2).sum() > 5 * 90 * 90  # the strongest, and the first five
        root = root_tag(dom(without_policy(html).replace("</body>", MEASURE + "</body>"), tmp_path))
        assert f'data-loaded="{N + 1} of {N + 1}"' in root
        assert 'data-tables="2"' in root

    @pytest.mark.parametrize("kind", ["text", "row", "image", "imported"])
    def test_no_page_scrolls_sideways_on_a_phone(self, tmp_path, kind):
        long = "antidisestablishmentarianism" * 6
        shown = {"text": long, "row": {long: long, "picture": np.zeros((20, 300))}, "image": np.zeros((20, 300))}
        if kind == "imported":
            html = read(imported(tmp_path))
        else:
            html = read(cl.report(torch_run(), path=tmp_path / "page.html", show=lambda i: shown[kind]))
        inner = without_policy(html).replace("</body>", FRAME + "</body>")
        quoted = inner.replace("&", "&amp;").replace('"', "&quot;")
        style = "width:390px;height:844px;border:0"
        root = root_tag(dom(f'<!DOCTYPE html><html><iframe style="{style}" srcdoc="{quoted}"></iframe>', tmp_path))
        client, scroll = map(int, re.search(r'data-width="(\d+) (\d+)"', root).groups())
        assert scroll <= client <= 390

    def test_hostile_rows_and_texts_run_nothing_even_without_the_policy(self, tmp_path):
        bad = f'"\'></bdi></p></dd></dl><script>{ACT}</script><img src=x onerror="{ACT}">\x1b\ud800{{{{7*7}}}}'
        rows = [{bad: bad, "n": i, "picture": np.eye(2)} if i % 2 else bad for i in range(N)]
        html = read(cl.report(torch_run(), path=tmp_path / "page.html", show=rows))
        assert "data-owned" not in root_tag(dom(without_policy(html), tmp_path))
        assert "49" not in Page(html).text.replace("{{7*7}}", "")[:200]
