"""Runs that are no skip-gram run trained here go as far as they go, and say why no further."""

import torch
from explored import MINE, explored
from torch.nn import functional as F

import crossloss as cl
from crossloss.plans import read_plan
from dense import random_sentences


def test_a_torch_run_shows_its_samples_and_says_what_it_cannot(tmp_path):
    torch.manual_seed(0)
    x = torch.randn(30, 3)
    data = {"x": x, "y": x.argmax(1)}
    field = cl.TorchField(torch.nn.Linear(3, 3), lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), data)
    with cl.train(field, cl.SGD(lr=0.1), steps=5, out=tmp_path / "run") as run:
        scores = cl.score(run, [lambda m: m(x[:4]).square().sum()])
        top = scores.top(3)
        total = scores.group([1, 2])
    with explored(tmp_path / "run") as own:
        _, about = own.ask("/api/run")
        assert {"sentence", "words", "retrain"} <= set(about["cannot"])
        (objective,) = about["objectives"]
        _, rows = own.ask("/api/rows", {"objective": objective["name"], "limit": 3})
        assert [r["sample"] for r in rows["rows"]] == [s.sample for s in top]
        _, basket = own.ask("/api/basket", {"changes": [{"weight": 0, "samples": [1, 2]}]})
        (of,) = basket["totals"]
        assert abs(of["predicted"] - of["value"] - total) < 1e-9
        for route, body in (
            ("/api/sentence", {"text": "a b", "objective": objective["name"]}),
            ("/api/word", {"word": "a", "objective": objective["name"]}),
            ("/api/basket/retrain", {"changes": [{"weight": 0, "samples": [1]}]}),
            ("/api/strongest/retrain", {"objective": objective["name"], "n": 2}),
        ):
            status, refused = own.ask(route, body)
            assert status == 400, route
            assert refused["error"] in about["cannot"].values()


def test_an_imported_run_answers_sentences_and_does_not_retrain(tmp_path):
    corpus = cl.from_sentences(random_sentences(3, sentences=60))
    trained = cl.train(cl.SkipGram(corpus, keep_words=MINE.words, min_count=1, dimension=4), steps=6)
    model = trained.model.with_vectors(trained.theta)
    model._vocabulary = trained.model.vocabulary
    with cl.imported(model, out=tmp_path / "run") as run:
        run.remember([MINE])
        run.store.set_meta(estimator={"estimator": "gradient-dot"})
        cl.score(run, [MINE], "gradient-dot")
    with explored(tmp_path / "run") as own:
        _, about = own.ask("/api/run")
        assert set(about["cannot"]) == {"retrain", "unit"}
        assert own.ask("/api/sentence", {"text": "waa wab", "objective": "mine"})[0] == 200
        basket = {"changes": [{"weight": 0, "samples": [1]}]}
        status, refused = own.ask("/api/basket/retrain", basket)
        assert (status, refused["error"]) == (400, about["cannot"]["retrain"])
        # Scores without a unit predict no value, nowhere.
        strongest = own.ask("/api/strongest", {"objective": "mine", "n": 3})[1]
        assert (strongest["curve"], len(strongest["samples"])) == ([], 3)
        for given in (strongest, own.ask("/api/basket", basket)[1]):
            assert [t["predicted"] for t in given["totals"]] == [None]
        assert own.ask("/api/basket/plan", basket)[0] == 200
    _, notes = read_plan(tmp_path / "run" / "plan-basket-mine.parquet")
    assert notes["predicted"] == {}


def test_a_run_without_scores_is_refused_with_what_to_do(tmp_path):
    import pytest

    corpus = cl.from_sentences(random_sentences(3, sentences=60))
    cl.train(cl.SkipGram(corpus, min_count=1, dimension=4), steps=3, out=tmp_path / "run").close()
    with pytest.raises(cl.UserError, match="crossloss score"), explored(tmp_path / "run"):
        pass
