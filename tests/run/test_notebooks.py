"""What a notebook shows of runs and results."""

from html.parser import HTMLParser

import crossloss as cl
from dense import random_sentences
from train_on import train_on


class Table(HTMLParser):
    """The tags of a table, and what its cells hold."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.cells = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.cells.append(data)


def test_a_run_is_a_table_of_its_settings_and_figures(tmp_path):
    odd = tmp_path / "<script>alert(1)<"
    corpus = cl.from_sentences(random_sentences(3, sentences=30))
    with train_on(corpus, min_count=1, dimension=3, steps=4, lr=0.5, out=odd) as run:
        run.store.log_metrics({"weat.<b>.effect": 0.123456})
        table = Table(run._repr_html_())
    assert set(table.tags) <= {"table", "caption", "tr", "th", "td"}
    assert table.cells[0].startswith("Run(skip-gram, ")
    assert "4 steps" in table.cells[0]
    assert "<script>" in table.cells[0]
    shown = dict(zip(table.cells[3::2], table.cells[4::2], strict=True))
    assert (shown["dimension"], shown["steps"], shown["weat.<b>.effect"]) == ("3", "4", "0.1235")


def test_a_spread_is_its_mean_and_deviation():
    over = cl.Spread((1.0, 2.0, 4.0))
    assert repr(over) == "Spread(2.33 ± 1.53 over 3 starts)"
    assert Table(over._repr_html_()).cells == ["Over starts", "mean", "sd", "starts", "2.333", "1.528", "3"]


def test_plans_and_validations_are_tables_of_what_was_predicted_and_retrained():
    corpus = cl.from_sentences(random_sentences(3, sentences=40))
    words = [f"wa{letter}" for letter in "abcdefgh"]
    odd = cl.objectives.Weat("<b>", words[:2], words[2:4], words[4:6], words[6:])
    run = train_on(corpus, keep_words=odd.words, min_count=1, dimension=3, steps=4, lr=0.5)
    scores = cl.score(run, [odd])
    plan = cl.plan(scores, 0.9 * scores.values["<b>"], rounds=1)
    validation = cl.validate(run, subsets=3, share=0.2, strongest=0, seeds=0, removals=0)
    for result, shown in ((plan, f"{plan.predicted:.4g}"), (validation, "unrolled"), (scores, "unrolled")):
        table = Table(result._repr_html_())
        assert set(table.tags) <= {"table", "caption", "tr", "th", "td"}
        assert any(shown in cell for cell in table.cells)
        assert any("<b>" in cell for cell in table.cells)
        assert "<b>" in repr(result)
