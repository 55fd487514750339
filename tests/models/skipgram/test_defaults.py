"""What users get where they say nothing (docs/commands.md), and settings that are fixed once made."""

import warnings

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import crossloss as cl
from crossloss.models.skipgram import settings as settings_module
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.hard_debias import HardDebias, most_biased
from crossloss.models.skipgram.quality import NEIGHBOURS, Quality, neighbours, overlap
from crossloss.models.skipgram.settings import Settings, make_settings
from dense import random_sentences


def test_defaults_are_those_of_word2vec_where_it_has_them():
    made = make_settings()
    assert (made.min_count, made.window, made.negatives, made.exponent, made.subsample) == (5, 5, 5.0, 0.75, 1e-3)
    assert (made.max_words, made.dimension, made.negative_columns, made.negative_seed) == (5000, 50, None, 0)
    assert (made.negative_control, made.prior, made.dtype, made.device) == ("linear", None, "float32", "cpu")
    with pytest.raises(ValidationError, match="frozen"):
        made.window = 3


def test_negatives_are_drawn_of_many_words_only_and_where_nothing_is_said():
    made = make_settings(max_words=0)
    assert [made.drawn(words) for words in (100, 30_000, 30_001, 10**6)] == [0, 0, 2048, 2048]
    assert not made.exact
    assert make_settings().exact
    assert make_settings(max_words=30_000).drawn(30_050) == 0, "the tests' words come on top"
    assert make_settings(max_words=30_001).drawn(30_001) == 2048
    assert make_settings(max_words=0, negative_columns=0).drawn(10**6) == 0
    assert make_settings(negative_columns=7).drawn(100) == 7


@pytest.mark.parametrize(
    ("given", "kept"),
    [({}, 0), ({"max_words": 0}, None), ({"negative_columns": 0}, 0), ({"negative_columns": 9}, 9)],
)
def test_what_a_manifest_keeps_of_negatives_says_how_they_are_taken(given, kept):
    made = make_settings(**given)
    stored = made.stored()
    assert stored["negative_columns"] == kept
    assert ("negative_control" in stored) == (not made.exact)
    again = make_settings(**Settings.known(stored))
    for words in (10, 10**6):
        assert again.drawn(words) == made.drawn(words)


def test_many_words_draw_negatives_and_say_so(monkeypatch, tmp_path):
    monkeypatch.setattr(settings_module, "EXACT_WORDS", 10)
    monkeypatch.setattr(settings_module, "DRAWN", 5)
    corpus, given = cl.from_sentences(random_sentences(1)), {"min_count": 1, "window": 3, "dimension": 3}
    model = cl.SkipGram(corpus, max_words=0, **given)
    words = len(corpus.types)
    with pytest.warns(UserWarning, match=rf"of {words:,} words: 5 negatives are drawn .* or 0 for all of them"):
        model.build()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = cl.train(model, steps=3, out=tmp_path / "run")
        said = cl.train(cl.SkipGram(corpus, max_words=0, negative_columns=5, **given), steps=3)
        exact = cl.train(cl.SkipGram(corpus, max_words=0, negative_columns=0, **given), steps=3)
    assert torch.equal(run.theta, said.theta)
    assert not torch.equal(run.theta, exact.theta)
    assert [r.store.metrics["train.negative_columns"] for r in (run, said, exact)] == [5, 5, 0]
    run.close()
    with pytest.warns(UserWarning, match="5 negatives are drawn"), cl.load(tmp_path / "run") as again:
        assert torch.equal(again.theta, run.theta)


def test_no_quality_is_measured_of_nothing():
    assert Quality() == Quality(None, 0, None, 0)


def test_neighbours_of_few_words_and_of_a_word_without_a_vector():
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 0.0], [-1.0, 0.0]])
    found = neighbours(vectors, 2)
    assert found.shape == (2, 3)
    assert [set(row) for row in found.tolist()] == [{1, 2, 3}, {0, 2, 3}]
    many = np.random.default_rng(0).normal(size=(NEIGHBOURS + 5, 3))
    assert neighbours(many, 4).shape == (4, NEIGHBOURS)
    assert overlap(np.array([[1, 2, 3, 4]]), np.array([[4, 3, 7]])) == 0.5  # of the first one's
    assert overlap(np.array([[4, 3]]), np.array([[1, 2, 3, 4]])) == 1.0


def test_five_hundred_words_are_most_biased_unless_said_otherwise():
    words = [f"w{i}" for i in range(520)] + ["he", "she"]
    vectors = torch.from_numpy(np.random.default_rng(1).normal(size=(522, 4)))
    view = Embeddings(words, {word: i for i, word in enumerate(words)}, vectors, vectors)
    debias = HardDebias("gender", (("he", "she"),), (), ())
    assert [len(side) for side in most_biased(debias, view)] == [250, 250]
    assert [len(side) for side in most_biased(debias, view, 8)] == [4, 4]


def test_other_vectors_to_start_from_are_another_model():
    corpus = cl.from_sentences(random_sentences(1))
    size = len(cl.SkipGram(corpus, min_count=1, dimension=2).vocabulary.words)
    first, same, other = (
        cl.SkipGram(corpus, vectors=np.full((2, size, 2), x), min_count=1, dimension=2).identity()
        for x in (0.1, 0.1, 0.2)
    )
    assert first == same
    assert first != other
