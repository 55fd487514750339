"""What users get where they say nothing (docs/commands.md), and settings that are fixed once made."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import crossloss as cl
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.hard_debias import HardDebias, most_biased
from crossloss.models.skipgram.quality import NEIGHBOURS, Quality, neighbours, overlap
from crossloss.models.skipgram.settings import make_settings
from dense import random_sentences


def test_defaults_are_those_of_word2vec_where_it_has_them():
    made = make_settings()
    assert (made.min_count, made.window, made.negatives, made.exponent, made.subsample) == (5, 5, 5.0, 0.75, 1e-3)
    assert (made.max_words, made.dimension, made.negative_columns, made.negative_seed) == (5000, 50, 0, 0)
    assert (made.negative_control, made.prior, made.dtype, made.device) == ("linear", None, "float32", "cpu")
    with pytest.raises(ValidationError, match="frozen"):
        made.window = 3


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
