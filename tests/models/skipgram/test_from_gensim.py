"""A live gensim model with its corpus: vocabulary, counts and parameters as they were, and scores of it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from crossloss.core import UserError
from crossloss.estimators import ConjugateGradient, InverseHessian
from crossloss.models.skipgram import settings
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.from_gensim import counted, from_gensim
from crossloss.models.skipgram.from_word2vec import from_word2vec
from crossloss.objectives.weat import Weat
from crossloss.run.train import imported as as_it_is
from crossloss.run.trajectory import without_steps
from crossloss.text.pairs import count_pairs
from crossloss.text.read import from_sentences
from crossloss.text.vocabulary import build_vocabulary
from dense import DenseSkipGram, dense_counts, random_sentences

word2vec = pytest.importorskip("gensim.models.word2vec")
SENTENCES = random_sentences(2, sentences=120, words=14)
SETTINGS = {"vector_size": 3, "window": 3, "negative": 4, "sg": 1, "hs": 0, "min_count": 3, "sample": 1e-2,
            "ns_exponent": 0.6, "seed": 1, "workers": 1, "epochs": 20, "alpha": 0.1}  # fmt: skip


def trained(**changed):
    return word2vec.Word2Vec([line.split() for line in SENTENCES], **(SETTINGS | changed))


@pytest.fixture(scope="module")
def corpus():
    return from_sentences(SENTENCES, candidates=["waa wab"])


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.fixture(scope="module")
def imported(model, corpus):
    run = as_it_is(from_gensim(model, corpus))
    return SimpleNamespace(field=run.field, theta=run.theta, weights=run.trajectory.weights)


def test_words_counts_and_parameters_are_the_models(model, corpus, imported):
    field = imported.field
    assert field.vocabulary.words == model.wv.index_to_key
    assert field.vocabulary.counts.tolist() == [model.wv.get_vecattr(w, "count") for w in model.wv.index_to_key]
    drawn = np.array([model.wv.get_vecattr(w, "sample_int") for w in model.wv.index_to_key]) / 2**32
    np.testing.assert_allclose(np.minimum(field.vocabulary.keep, 1), drawn, atol=1e-6)
    view = field.view(imported.theta)
    np.testing.assert_array_equal(view["waa"].numpy(), model.wv["waa"])
    row = model.wv.key_to_index["wac"]
    np.testing.assert_array_equal(view.contexts[row].numpy(), model.syn1neg[row])
    own = build_vocabulary(corpus, min_count=3, subsample=1e-2)
    same = count_pairs(corpus, own, window=3).matrix.sum()
    assert field.counts.matrix.sum() == pytest.approx(same, rel=1e-6), "the pairs do not hang on the order of words"
    assert (field.negatives, field.dimension) == (4, 3)


def test_its_loss_is_lower_than_that_of_the_start(model, imported):
    """What gensim trained is nearly what the field measures."""
    start = trained(epochs=1, alpha=1e-9, min_alpha=1e-9)
    before = torch.from_numpy(np.stack([start.wv.vectors, start.syn1neg])).double().view(-1)
    loss = imported.field.loss
    assert loss(imported.theta, imported.weights) < loss(before, imported.weights) - 0.1


def test_it_gets_scores_by_word_blocks_and_cg(model, imported):
    """Against the dense Hessian of the same loss."""
    words = model.wv.index_to_key
    weat = Weat("weat", tuple(words[:2]), tuple(words[2:4]), tuple(words[4:6]), tuple(words[6:8]))
    field = imported.field
    dense = DenseSkipGram(dense_counts(field.counts, len(words)), imported.weights, 4.0, 0.6, 3)

    def gradient(theta, w):
        return torch.func.grad(dense.loss)(theta, w)

    jacobian, by_weight = torch.autograd.functional.jacobian(gradient, (imported.theta, imported.weights))
    slope = torch.autograd.functional.jacobian(lambda theta: weat(field.view(theta)), imported.theta)
    run = without_steps(field, imported.weights, imported.theta)
    eye = torch.eye(len(jacobian), dtype=torch.float64)
    damping = float(-torch.linalg.eigvalsh(jacobian).min()) + 0.01
    exact = -torch.linalg.solve(jacobian + damping * eye, slope) @ by_weight
    found = InverseHessian(solver=ConjugateGradient(1e-10), damping=damping)(run, [weat]).samples()[0]
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-10)

    blocks = jacobian * torch.block_diag(*[torch.ones(3, 3)] * (2 * len(words)))
    exact = -torch.linalg.solve(blocks + 0.01 * eye, slope) @ by_weight
    found = InverseHessian("word-blocks", damping=0.01)(run, [weat]).samples()[0]
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trained(sg=0), "sg=1, hs=0"),
        (lambda: trained(hs=1, negative=0), "sg=1, hs=0"),
        (lambda: trained(shrink_windows=False), "shrink_windows=True"),
        (lambda: trained().wv, "whole Word2Vec model"),
        (lambda: {"waa": [1.0]}, "whole Word2Vec model"),
    ],
)
def test_another_kind_of_model_is_refused(make, message, corpus):
    with pytest.raises(UserError, match=message):
        from_gensim(make(), corpus)


def test_fasttext_is_refused(corpus):
    fasttext = pytest.importorskip("gensim.models.fasttext")
    model = fasttext.FastText([line.split() for line in SENTENCES], bucket=100, **(SETTINGS | {"epochs": 1}))
    with pytest.raises(UserError, match="FastText"):
        from_gensim(model, corpus)


def test_another_corpus_and_vectors_that_are_not_finite_are_refused(model, corpus):
    with pytest.raises(UserError, match=r"lacks 1 of the model's .* words"):
        from_gensim(model, from_sentences([line.replace("wab", "waa") for line in SENTENCES]))
    broken = trained(epochs=1)
    broken.syn1neg[0, 0] = np.inf
    with pytest.raises(UserError, match="not finite"):
        from_gensim(broken, corpus)


def repeated(lines, word):
    """The lines with one of them twice, which has the word."""
    line = next(line for line in lines if word in line.split())
    return [*lines, line]


def test_a_corpus_with_other_counts_is_refused(model, corpus):
    """One sentence more, one less, half of it: the word that differs most, and how often it occurs in both."""
    for lines in (repeated(SENTENCES, "waa"), SENTENCES[1:], SENTENCES[::2]):
        with pytest.raises(UserError, match=r"'w\w+' occurs \d+ times in what the model was trained on and \d+ times"):
            from_gensim(model, from_sentences(lines))
    assert from_gensim(model, from_sentences(SENTENCES[::-1])).vocabulary.words == model.wv.index_to_key


def test_the_same_words_in_more_sentences_are_refused(model):
    halves = [part for line in SENTENCES for part in (" ".join(line.split()[:2]), " ".join(line.split()[2:])) if part]
    with pytest.raises(UserError, match=rf"trained on {len(SENTENCES)} texts and this corpus has"):
        from_gensim(model, from_sentences(halves))


def untrained():
    made = word2vec.Word2Vec(**SETTINGS)
    made.build_vocab([line.split() for line in SENTENCES])
    return made


def unit():
    made = trained(epochs=1)
    made.wv.vectors /= np.linalg.norm(made.wv.vectors, axis=1, keepdims=True)
    return made


def locked():
    made = trained(epochs=1)
    made.wv.vectors_lockf = np.where(np.arange(len(made.wv)) < 2, 0, 1).astype(np.float32)
    return made


def cut():
    made = trained(epochs=1)
    made.wv.vectors = made.wv.vectors[:-1]
    return made


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (untrained, "built and not trained"),
        (unit, "have length 1, so they were normalised"),
        (locked, "were locked"),
        (cut, "other|shape"),
        (lambda: trained(hs=1), "sg=1, hs=0"),
    ],
)
def test_a_model_that_is_not_as_training_left_it_is_refused(make, message, corpus):
    with pytest.raises(UserError, match=message) as caught:
        from_gensim(make(), corpus)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dm", [0, 1])
def test_vectors_of_documents_are_refused(dm, corpus):
    doc2vec = pytest.importorskip("gensim.models.doc2vec")
    texts = [doc2vec.TaggedDocument(line.split(), [i]) for i, line in enumerate(SENTENCES)]
    settings = {name: value for name, value in SETTINGS.items() if name != "sg"}
    with pytest.raises(UserError, match="Doc2Vec"):
        from_gensim(doc2vec.Doc2Vec(texts, dm=dm, **settings), corpus)


def test_other_ways_to_train_are_read(corpus):
    """The vocabulary unsorted, a rule that leaves words out, a second training: the words are the model's."""
    for made in (trained(sorted_vocab=0), trained(trim_rule=lambda word, count, least: 2 - (word == "waa"))):
        assert from_gensim(made, corpus).vocabulary.words == made.wv.index_to_key
    more = trained()
    more.train([line.split() for line in SENTENCES], total_examples=len(SENTENCES), epochs=2)
    assert from_gensim(more, corpus).own_weights.tolist() == [1.0] * len(SENTENCES) + [0.0]
    grown = trained()
    grown.build_vocab([["waa", "new", "new", "new"]], update=True)
    with pytest.raises(UserError, match=r"lacks|occurs"):
        from_gensim(grown, corpus)


def test_vectors_alone_are_compared_by_their_counts_where_they_have_some(model, corpus, tmp_path):
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    with pytest.raises(UserError, match="occurs"):
        from_word2vec(model.wv, from_sentences(SENTENCES[::2]), window=3)
    model.wv.save_word2vec_format(str(tmp_path / "v.txt"))
    read = keyed.load_word2vec_format(str(tmp_path / "v.txt"))
    assert counted(read) is None, "gensim counts down from V where the file does not say"
    assert counted(model.wv) == [model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key]
    with pytest.raises(UserError, match=r"cl\.from_gensim"):
        from_word2vec(model, corpus)
    with pytest.raises(UserError, match="holds no word vectors"):
        from_word2vec({"waa": [1.0]}, corpus)


def test_what_is_imported_is_handed_out_as_copies(model, corpus):
    run = as_it_is(from_gensim(model, corpus))
    before = run.theta
    run.theta.zero_()
    run.weights[:] = 0
    assert torch.equal(run.theta, before)
    assert run.weights[0] == 1


def test_words_of_the_model_may_be_written_otherwise_but_not_twice():
    """A model of lower-cased German has straße, where a corpus folds it to strasse."""
    lines = [line.replace("waa", "straße").replace("wab", "Ärger") for line in SENTENCES]
    made = word2vec.Word2Vec([line.split() for line in lines], **SETTINGS)
    imported = as_it_is(from_gensim(made, from_sentences(lines)))
    assert {"straße", "Ärger"} <= set(made.wv.index_to_key)
    view = imported.field.view(imported.theta)
    np.testing.assert_array_equal(view["strasse"].numpy(), made.wv["straße"])
    np.testing.assert_array_equal(view["ärger"].numpy(), made.wv["Ärger"])
    mixed = [line.replace("waa", "Waa") if i % 2 else line for i, line in enumerate(SENTENCES)]
    both = word2vec.Word2Vec([line.split() for line in mixed], **SETTINGS)
    with pytest.raises(UserError, match=r"'(Waa|waa)' and '(Waa|waa)', which a corpus takes for one word"):
        from_gensim(both, from_sentences(mixed))


def test_sentences_are_counted_as_gensim_counts_texts(corpus):
    """Empty ones, and those without a word of the model, are none; the last one is counted; candidates are not."""
    model = trained()
    with_nothing = from_sentences([*SENTENCES, "unheard"], candidates=["waa wab", "wac"])
    assert from_gensim(model, with_nothing).vocabulary.words == model.wv.index_to_key
    model.corpus_count = len(SENTENCES) - 1
    with pytest.raises(
        UserError, match=rf"trained on {len(SENTENCES) - 1} texts and this corpus has {len(SENTENCES)}:"
    ):
        from_gensim(model, corpus)
    model.corpus_count = 0
    assert from_gensim(model, corpus).vocabulary.words == model.wv.index_to_key


def test_how_many_counts_differ_is_said_where_it_is_more_than_one(model):
    one = next(word for word in model.wv.index_to_key)
    with pytest.raises(UserError, match=rf"'{one}' occurs \d+ times .* in this corpus: pass"):
        from_gensim(model, from_sentences([*SENTENCES[:-1], f"{SENTENCES[-1]} {one}"]))
    other = model.wv.index_to_key[1]
    with pytest.raises(UserError, match=rf"\(2 of {len(model.wv)} words differ\)"):
        from_gensim(model, from_sentences([*SENTENCES[:-1], f"{SENTENCES[-1]} {one} {one} {other}"]))


def test_a_large_vocabulary_trained_elsewhere_has_its_exact_loss(model, corpus, monkeypatch):
    monkeypatch.setattr(settings, "EXACT_WORDS", 3)
    assert type(from_gensim(model, corpus).build()) is SkipGramField
