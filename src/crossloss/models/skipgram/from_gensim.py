"""A live gensim Word2Vec with its corpus: the model that it is, for ``cl.imported`` and ``cl.train``."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from crossloss.core import UserError
from crossloss.models.skipgram.model import SkipGram
from crossloss.text.read import Corpus
from crossloss.text.tokens import normal
from crossloss.text.vocabulary import Vocabulary, keep_probability

FASTTEXT = "A FastText vector is a sum over character n-grams, which the field is not: use Word2Vec."
AS_TRAINED: dict[str, Any] = {"prior": 0.0, "min_count": 1, "max_words": 0, "negative_columns": 0}
"""Settings of a model trained elsewhere: word2vec has no prior, its vocabulary is what it is, and its loss is exact."""


def from_gensim(model: Any, corpus: Corpus, *, dtype: str = "float64") -> SkipGram:
    """Take a gensim Word2Vec (sg=1, hs=0) and the corpus it was trained on.

    ``cl.imported`` scores it as it is; ``cl.train`` goes on from its vectors, and what follows is then exact.

    Window, negatives, noise exponent and subsampling are the model's own. gensim draws what the field takes in
    expectation, and it skips a negative that equals the context, which the field keeps; so the model is near, not
    at, a stationary point of the field.

    Parameters
    ----------
    model : gensim.models.Word2Vec
        In memory; nothing is read from a file.
    corpus : Corpus
        What it was trained on, word for word; case and normal form may differ. Every word must occur as often as the
        model counted it.
    dtype : str
        float64 makes solvers reliable at small damping; float32 halves time and memory.

    Raises
    ------
    UserError
        Vectors without contexts, another architecture, a model that was not trained or whose vectors were changed
        since, another corpus, or vectors that are not finite.

    Examples
    --------
    >>> from gensim.models import Word2Vec
    >>> sentences = [text.lower().rstrip(".").split() for text in corpus.texts]
    >>> word2vec = Word2Vec(sentences, sg=1, hs=0, vector_size=8, min_count=1, workers=1, seed=1)
    >>> run = cl.imported(cl.from_gensim(word2vec, corpus))
    """
    fault = next(_faults(model), None)
    if fault is not None:
        raise UserError(fault)
    vocabulary = model_vocabulary(list(model.wv.index_to_key), corpus, float(model.sample), counted(model.wv))
    _check_texts(model, corpus, vocabulary)
    return SkipGram(
        corpus,
        vectors=torch.from_numpy(np.stack([model.wv.vectors, model.syn1neg])).reshape(-1),
        vocabulary=vocabulary,
        dimension=int(model.vector_size),
        window=int(model.window),
        negatives=float(model.negative),
        exponent=float(model.ns_exponent),
        subsample=float(model.sample),
        dtype=dtype,
        **AS_TRAINED,
    )


def _faults(model: Any) -> Iterator[str]:
    """Yield why a model is not skip-gram with negative sampling as training left it."""
    if not hasattr(model, "wv") or not hasattr(model, "sg"):
        yield "from_gensim needs the whole Word2Vec model, with both matrices: its vectors are not enough."
    if hasattr(model.wv, "vectors_ngrams"):
        yield FASTTEXT
    if hasattr(model, "dv"):
        yield (
            "A Doc2Vec model trains its contexts on the vectors of documents, and with dm=0 no word vectors at all: "
            "train Word2Vec with sg=1 on the same texts."
        )
    if not model.sg or model.hs or not model.negative or getattr(model, "syn1", None) is not None:
        yield "The field is skip-gram with negative sampling: train Word2Vec with sg=1, hs=0, negative > 0."
    if not getattr(model, "shrink_windows", True):
        yield "Pairs are counted for word2vec's shrinking windows: train Word2Vec with shrink_windows=True."
    vectors, contexts = np.asarray(model.wv.vectors), np.asarray(getattr(model, "syn1neg", np.empty(0)))
    if vectors.shape != contexts.shape:
        yield (
            f"The model has word vectors of shape {vectors.shape} and context vectors of shape {contexts.shape}: words "
            "were added or taken away after training; train it again."
        )
    if not np.isfinite(vectors).all() or not np.isfinite(contexts).all():
        yield "The model's vectors are not finite: train it again with a smaller alpha."
    if not contexts.any():
        yield "The model was built and not trained, all its context vectors are 0: call model.train(...) first."
    if len(vectors) > 1 and np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-4:
        yield "All word vectors of the model have length 1, so they were normalised after training: pass it as trained."
    if not np.all(np.asarray(getattr(model.wv, "vectors_lockf", 1.0)) == 1.0):
        yield "Some word vectors of the model were locked (vectors_lockf), which the field does not know."


def _check_texts(model: Any, corpus: Corpus, vocabulary: Vocabulary) -> None:
    """Refuse the same words in other sentences: windows do not reach beyond one."""
    member = np.array([word in vocabulary.index for word in corpus.types])
    words = np.add.reduceat(np.append(member[corpus.tokens], 0), corpus.indptr[:-1])
    sentences = int(((words > 0) & (np.diff(corpus.indptr) > 0) & (corpus.weights > 0)).sum())
    known = int(getattr(model, "corpus_count", 0) or 0)
    if 0 < known < sentences:
        raise UserError(
            f"The model was trained on {known:,} texts and this corpus has {sentences:,}: split it as the model's was."
        )


def counted(vectors: Any) -> list[int] | None:
    """How often gensim counted each word of some KeyedVectors; None where it does not say.

    Where vectors are read from a word2vec file without counts, gensim puts V, V - 1, ..., 1 in their place.
    """
    counts = getattr(vectors, "expandos", {}).get("count")
    words = len(vectors.index_to_key)
    if counts is None or len(counts) != words or np.array_equal(counts, np.arange(words, 0, -1)):
        return None
    return [int(count) for count in counts]


def model_vocabulary(words: list[str], corpus: Corpus, subsample: float, known: list[int] | None = None) -> Vocabulary:
    """A model's words in the model's order, written as the corpus writes them, with the corpus's own counts.

    Where ``known`` counts of the model are given, they must be the corpus's. UserError for them, for a word that the
    corpus lacks, and for two words that are one word in a corpus.
    """
    written: dict[str, str] = {}
    for word in words:
        first = written.setdefault(normal(word, corpus.form), word)
        if first != word:
            raise UserError(
                f"The model has {first!r} and {word!r}, which a corpus takes for one word: train it on tokens in one "
                "normal form and case."
            )
    words = list(written)
    trained = np.repeat(corpus.weights > 0, np.diff(corpus.indptr))
    occurrences = np.bincount(corpus.tokens[trained], minlength=len(corpus.types))
    count = dict(zip(corpus.types, occurrences.tolist(), strict=True))
    lacking = [word for word in words if not count.get(word)]
    if lacking:
        raise UserError(
            f"The corpus lacks {len(lacking)} of the model's {len(words)} words (such as {lacking[0]!r}): pass the "
            "corpus that the model was trained on, tokenised as it was."
        )
    counts = np.array([count[word] for word in words], dtype=np.int64)
    differences = np.abs(counts - (counts if known is None else known))
    if known is not None and differences.any():
        i, differ = int(differences.argmax()), np.count_nonzero(differences)
        more = f" ({differ} of {len(words)} words differ)" if differ > 1 else ""
        raise UserError(
            f"{words[i]!r} occurs {known[i]:,} times in what the model was trained on and {counts[i]:,} times in this "
            f"corpus{more}: pass the corpus of the model, tokenised as it was."
        )
    return Vocabulary(words, counts, keep_probability(counts, subsample), subsample)
