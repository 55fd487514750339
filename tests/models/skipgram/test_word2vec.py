"""Vectors out to gensim and back, and vectors with their corpus in: with contexts, or with contexts fitted to them."""

import pickle

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossloss.core import UserError
from crossloss.models.skipgram.from_gensim import from_gensim
from crossloss.models.skipgram.from_word2vec import fit_contexts, from_word2vec
from crossloss.models.skipgram.word2vec import keyed_vectors, projector, read_word2vec, save_word2vec
from crossloss.run.train import imported as as_it_is
from crossloss.text.read import from_sentences
from dense import random_sentences

gensim = pytest.importorskip("gensim")
WORDS = ["the", "ångström", "a.b", "-", "naïve", "1e3"]
VECTORS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
SENTENCES = random_sentences(2, sentences=120, words=14)
SETTINGS = {"vector_size": 3, "window": 3, "negative": 4, "sg": 1, "hs": 0, "min_count": 3, "sample": 1e-2,
            "ns_exponent": 0.6, "seed": 1, "workers": 1, "epochs": 20, "alpha": 0.1}  # fmt: skip
SAME = {"window": 3, "negatives": 4.0, "exponent": 0.6, "subsample": 1e-2}


@pytest.fixture(scope="module")
def corpus():
    return from_sentences(SENTENCES)


@pytest.fixture(scope="module")
def model():
    return gensim.models.Word2Vec([line.split() for line in SENTENCES], **SETTINGS)


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_reads_what_is_written_and_we_read_it_too(tmp_path, binary):
    path = tmp_path / "v"
    save_word2vec(path, WORDS, VECTORS, binary=binary)
    loaded = gensim.models.KeyedVectors.load_word2vec_format(str(path), binary=binary)
    assert loaded.index_to_key == WORDS
    np.testing.assert_array_equal(loaded.vectors, VECTORS)
    words, vectors = read_word2vec(path)
    assert words == WORDS
    np.testing.assert_array_equal(vectors, VECTORS)


def test_both_ways_of_ending_a_row_are_read(tmp_path):
    """word2vec.c ends a text row with a space, and a binary one with a newline; gensim neither."""
    rows = zip(WORDS, VECTORS, strict=True)
    text = "6 4\n" + "".join(w + " " + " ".join(map(repr, map(float, v))) + " \n" for w, v in rows)
    rows = zip(WORDS, VECTORS, strict=True)
    binary = b"6 4\n" + b"".join(w.encode() + b" " + v.tobytes() + b"\n" for w, v in rows)
    for content in (text.encode(), text.replace("\n", "\r\n").encode(), binary):
        (tmp_path / "v").write_bytes(content)
        words, vectors = read_word2vec(tmp_path / "v")
        assert words == WORDS
        np.testing.assert_array_equal(vectors, VECTORS)


def test_keyed_vectors_keep_counts():
    made = keyed_vectors(WORDS, VECTORS, range(6, 0, -1))
    np.testing.assert_array_equal(made["naïve"], VECTORS[4])
    assert made.get_vecattr("naïve", "count") == 2
    words, vectors = read_word2vec(made)
    assert (words, vectors.shape) == (WORDS, (6, 4))


def test_words_with_white_space_are_refused(tmp_path):
    for word in ("a b", "a\u00a0b", "", "a\n"):
        with pytest.raises(UserError, match="white space"):
            save_word2vec(tmp_path / "v", [word, "b"], VECTORS[:2])


BAD = {
    "empty": (b"", "first line"),
    "header": (b"6\nthe 1 2\n", "first line"),
    "huge": (b"999999999999 300\nthe 1\n", "too short"),
    "short": (b"2 2\nthe 1 2\n", "too short|line 3 has 0 numbers"),
    "more": (b"1 2\nthe 1.0 2.0\na 1 2\n", "says 1 words"),
    "narrow": (b"2 2\nthe 1.0 2.0\na 1.00\n", "line 3 has 1 numbers, not 2"),
    "nan": (b"1 2\nthe 1.0 nan\n", "not finite"),
    "twice": (b"2 2\nthe 1.0 2.0\nthe 1.0 2.0\n", "stands twice"),
    "binary": (b"2 1\nthe \0\0\0\0a \0\0", "ends within word 2"),
    "v.model": (b"2 1\n", "pickle.*from_gensim"),
    "pickle": (pickle.dumps({"a": 1}), "pickle.*save_word2vec_format"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_word2vec_file_is_one_sentence(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_word2vec(tmp_path / name)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_changed_bytes_are_read_as_they_are_or_refused(tmp_path_factory, data):
    binary = data.draw(st.booleans())
    path = tmp_path_factory.mktemp("w") / "v"
    save_word2vec(path, WORDS, VECTORS, binary=binary)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        words, vectors = read_word2vec(path)
    except UserError:
        return
    assert len(words) == len(vectors)
    assert np.isfinite(vectors).all()


def test_two_files_are_the_live_model(tmp_path, model, corpus):
    words = model.wv.index_to_key
    model.wv.save_word2vec_format(str(tmp_path / "u.bin"), binary=True)
    order = np.random.default_rng(1).permutation(len(words))
    save_word2vec(tmp_path / "c.txt", [words[i] for i in order], model.syn1neg[order])
    live = as_it_is(from_gensim(model, corpus))
    found = as_it_is(from_word2vec(tmp_path / "u.bin", corpus, contexts=tmp_path / "c.txt", **SAME))
    torch.testing.assert_close(found.theta, live.theta, rtol=0, atol=0)
    torch.testing.assert_close(
        found.field.gradient(found.theta, found.trajectory.weights),
        live.field.gradient(live.theta, live.trajectory.weights),
    )
    save_word2vec(tmp_path / "d.txt", words[1:], model.syn1neg[1:])
    with pytest.raises(UserError, match="other words"):
        from_word2vec(tmp_path / "u.bin", corpus, contexts=tmp_path / "d.txt", **SAME)


def test_contexts_are_fitted_to_the_minimum(model, corpus):
    """Each context against its own logistic regression, minimised by another method from another start."""
    found = as_it_is(from_word2vec(model.wv, corpus, **SAME))
    field, theta = found.field, found.theta
    u, c = theta.view(2, -1, 3)
    np.testing.assert_array_equal(u.numpy(), model.wv.vectors.astype(np.float64))
    gradient = field.gradient(theta, found.trajectory.weights).view(2, -1, 3)[1]
    assert float(gradient.abs().max()) < 1e-6
    live = as_it_is(from_gensim(model, corpus))
    assert field.loss(theta, found.trajectory.weights) < live.field.loss(live.theta, live.trajectory.weights)
    matrix = np.zeros((len(u), len(u)))
    total = field.counts.matrix.sum(axis=0).A1
    for (a, b), count in zip(field.counts.pairs, total, strict=True):
        matrix[a, b] = matrix[b, a] = count
    noise = matrix.sum(0) ** 0.6 / (matrix.sum(0) ** 0.6).sum()
    for context in (0, 5, len(u) - 1):
        positive, negative = matrix[:, context], 4 * matrix.sum(1) * noise[context]

        def loss(x, positive=positive, negative=negative):
            s = u.numpy() @ x
            return float(positive @ np.logaddexp(0, -s) + negative @ np.logaddexp(0, s)) / matrix.sum()

        other = scipy.optimize.minimize(loss, np.ones(3), method="Nelder-Mead",
                                        options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 5000}).x  # fmt: skip
        np.testing.assert_allclose(c[context].numpy(), other, rtol=1e-3, atol=1e-3)


def test_vectors_without_a_fit_are_refused(corpus, model, monkeypatch):
    found = as_it_is(from_word2vec(model.wv, corpus, **SAME))
    monkeypatch.setattr("crossloss.models.skipgram.from_word2vec.STEPS", 2)
    with pytest.raises(UserError, match="No contexts fit"):
        fit_contexts(found.field, found.theta.view(2, -1, 3)[0], found.trajectory.weights)


def test_projector_files_are_of_one_length_and_hold_no_stray_tab():
    files = projector(["a\tb", "c"], np.array([[0.5, -1.0], [1e-9, 2.0]]), [3, 1], {"c": "X: women\n"})
    assert files["vectors.tsv"] == "0.5\t-1\n1e-09\t2\n"
    assert files["metadata.tsv"] == "word\tcount\tset\na b\t3\t\nc\t1\tX: women\n"


def test_wefe_takes_the_vectors():
    wefe = pytest.importorskip("wefe.word_embedding_model")
    handed = wefe.WordEmbeddingModel(keyed_vectors(WORDS, VECTORS), "crossloss")
    np.testing.assert_array_equal(handed["naïve"], VECTORS[4])
