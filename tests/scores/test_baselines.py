"""Scores by texts alone: signs, sums, candidates, embeddings of a user, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

import crossloss as cl
from capabilities import N, SkipGramExact, held_out, sample_loss, sentences
from crossloss.core import UserError
from crossloss.objectives import Function, likelihood, similarity
from crossloss.scores.baselines import BM25, EmbeddingCosine

TEXTS = ["red apple pie", "green apple", "red car red road", "blue sea", "no words here"]


def fruit(show=TEXTS):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(len(TEXTS), 3, generator=draw, dtype=torch.float64)
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    field = cl.TorchField(model, sample_loss, {"x": x, "y": torch.arange(len(TEXTS)) % 2}, show=show)
    return cl.train(field, cl.SGD(0.1), steps=2)


def letters(view, texts):
    """How often each letter is in a text."""
    return torch.tensor([[float(text.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])


@pytest.fixture(scope="module")
def corpus_run():
    return SkipGramExact().run(None)


def of(run, objective, estimator):
    return cl.score(run, [objective], estimator).of()


def test_what_is_like_a_text_raises_its_likelihood_and_lowers_its_loss():
    run = fruit()
    raised = of(run, Function("likelihood", held_out, texts=["A red apple!"]), "bm25")
    assert raised.argmax() == 0  # both words, and short
    assert (raised[[0, 1, 2]] > 0).all()
    assert (raised[[3, 4]] == 0).all()
    np.testing.assert_allclose(of(run, Function("loss", held_out, against=["A red apple!"]), "bm25"), -raised)
    both = of(run, Function("difference", held_out, texts=["red apple"], against=["blue sea"]), "bm25")
    np.testing.assert_allclose(both[[0, 1, 2]], raised[[0, 1, 2]])
    assert both[3] < 0


def test_rare_words_count_more_and_repeated_ones_less_and_less():
    run = fruit()
    sea, red, car = (of(run, Function("f", held_out, texts=[word]), "bm25") for word in ("sea", "red", "car"))
    assert car[2] > red[2] / 2
    assert red[2] < 2 * of(run, Function("f", held_out, texts=["red"]), BM25(b=0.0))[0]
    assert sea[3] > 0
    binary = of(run, Function("f", held_out, texts=["red"]), BM25(k1=0.0))
    assert binary[0] == pytest.approx(binary[2])  # how often says nothing any more


def test_sums_are_sums(corpus_run):
    first, second = (likelihood([text], name=text) for text in sentences()[:2])
    for estimator in ("bm25", "embedding-cosine"):
        parts = [of(corpus_run, part, estimator) for part in (first, second)]
        np.testing.assert_allclose(of(corpus_run, first - 2 * second, estimator), parts[0] - 2 * parts[1], atol=1e-12)


def test_a_sentence_is_nearest_to_itself(corpus_run):
    texts = sentences()
    i = max(range(len(texts)), key=lambda i: len(set(texts[i].split())))
    assert of(corpus_run, likelihood([texts[i]], name="own"), "embedding-cosine")[i] == pytest.approx(1)
    found = of(corpus_run, likelihood([texts[i]], name="own"), "bm25")
    assert found[i] == found.max()


def test_embeddings_of_a_user_are_compared():
    run = fruit()
    found = of(run, Function("f", held_out, texts=["apple pie red"]), EmbeddingCosine(letters))
    assert found[0] == pytest.approx(1)
    rows = letters(None, [*TEXTS, "apple pie red"])
    np.testing.assert_allclose(found, torch.cosine_similarity(rows[:-1], rows[-1:]).numpy(), rtol=1e-6)
    for wrong, says in (
        (lambda v, t: torch.ones(3), "one row a text"),
        (lambda v, t: rows[: len(t)] / 0, "not finite"),
    ):
        with pytest.raises(UserError, match=says):
            of(run, Function("f", held_out, texts=["apple"]), EmbeddingCosine(wrong))


def test_validation_compares_them_where_there_are_texts():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=draw, dtype=torch.float64)
    torch.manual_seed(0)
    shown = [f"{'high' if i % 3 else 'low'} row" for i in range(N)]
    field = cl.TorchField(nn.Linear(3, 2).double(), sample_loss, {"x": x, "y": (x.sum(1) > 0).long()}, show=shown)
    run = cl.train(field, cl.SGD(0.1), steps=5)
    chosen = [Function("with", held_out, against=["high"]), Function("without", held_out)]
    table = cl.validate(run, chosen, subsets=5, share=0.2, strongest=0).fidelity
    assert {row.estimator for row in table["with"]} == {"unrolled", "gradient-dot", "bm25"}
    assert {row.estimator for row in table["without"]} == {"unrolled", "gradient-dot"}


def test_what_is_refused(corpus_run):
    run = fruit()
    text = Function("f", held_out, texts=["apple"])
    for call, says in (
        (lambda: of(run, held_out, "bm25"), "Function\\('held_out', f, texts="),
        (lambda: of(corpus_run, similarity("waa", "wab"), "bm25"), "X, Y, A, B"),
        (lambda: of(fruit(None), text, "bm25"), "show=texts"),
        (lambda: of(run, text, "embedding-cosine"), "EmbeddingCosine"),
        (lambda: cl.score(run, [text], "bm25", damping=0.1), "bm25 takes no damping"),
        (lambda: BM25(k1=-1.0), "k1 is -1"),
        (lambda: BM25(b=2.0), "b is 2"),
        (lambda: Function("f", held_out, texts="apple"), "list of strings"),
        (lambda: cl.score(corpus_run, [likelihood(["waa wab"])], "bm25").explain(0), "as a whole"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            call()
        assert ". " not in str(caught.value).replace("f, texts", "")


def test_a_page_says_that_they_have_no_unit(tmp_path):
    with SkipGramExact().run(None, out=tmp_path / "run") as run:
        cl.score(run, [likelihood(["waa wab"], name="held")], "bm25")
        page = cl.report(run).read_text(encoding="utf-8")
    assert "Effects of bm25 have no unit" in page
