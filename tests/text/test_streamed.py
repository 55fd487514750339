"""Counts that pass through files: those of ``count_pairs``, to the bit."""

import numpy as np
import pytest

from crossloss.core import UserError
from crossloss.text import pairs, streamed
from crossloss.text.pairs import PairCounts, count_pairs
from crossloss.text.read import from_sentences
from crossloss.text.streamed import stream_pairs
from crossloss.text.vocabulary import build_vocabulary
from crossloss.utils.mapping import map_arrays
from dense import random_sentences
from distributed_sample import results


def counted(folder):
    corpus = from_sentences(["alone", *random_sentences(4, sentences=90), "", "waa wab"], candidates=["wac waa"])
    vocabulary = build_vocabulary(corpus, min_count=2)
    stream_pairs(corpus, vocabulary, window=4, file=folder / "pairs.safetensors")
    return corpus, vocabulary


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_the_same_counts_whatever_the_size_of_a_piece(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(pairs, "TOKENS_AT_ONCE", at_once)
    monkeypatch.setattr(streamed, "ELEMENTS_AT_ONCE", at_once)
    corpus, vocabulary = counted(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.safetensors"]
    found = PairCounts.from_tensors(map_arrays(tmp_path / "pairs.safetensors"))
    whole = count_pairs(corpus, vocabulary, window=4)
    assert found.window == 4
    assert np.array_equal(found.pairs, whole.pairs)
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(found.matrix, name), getattr(whole.matrix, name))
        assert getattr(found.matrix, name).dtype == getattr(whole.matrix, name).dtype


def test_three_processes_put_the_same_file_together(tmp_path):
    results(3, lambda rank: len(counted(tmp_path)))
    three = (tmp_path / "pairs.safetensors").read_bytes()
    counted(tmp_path)
    assert (tmp_path / "pairs.safetensors").read_bytes() == three


def test_no_pair_at_all_is_one_sentence(tmp_path):
    corpus = from_sentences(["red", "blue", "red", "blue"])
    with pytest.raises(UserError, match="No sentence has two words"):
        stream_pairs(corpus, build_vocabulary(corpus, min_count=1), window=2, file=tmp_path / "pairs.safetensors")
