"""A live gensim Word2Vec with its corpus: the model that it is, for ``cl.imported`` and ``cl.train``."""

from typing import Any

import numpy as np
import torch

from crossloss.core import UserError
from crossloss.models.skipgram.model import SkipGram
from crossloss.text.read import Corpus
from crossloss.text.tokens import normal
from crossloss.text.vocabulary import Vocabulary, keep_probability


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
    wv = getattr(model, "wv", None)
    if wv is None or not hasattr(model, "sg"):
        raise UserError("from_gensim needs the whole Word2Vec model, with both matrices: its vectors are not enough.")
    _check_kind(model)
    matrices = _matrices(model)
    vocabulary = model_vocabulary(list(wv.index_to_key), corpus, float(model.sample), counted(wv))
    _check_texts(model, corpus, vocabulary)
    return SkipGram(
        corpus,
        vectors=torch.from_numpy(matrices).reshape(-1),
        vocabulary=vocabulary,
        dimension=int(model.vector_size),
        window=int(model.window),
        negatives=float(model.negative),
        exponent=float(model.ns_exponent),
        subsample=float(model.sample),
        prior=0.0,
        min_count=1,
        max_words=0,
        dtype=dtype,
    )


def _check_kind(model: Any) -> None:
    """Refuse models whose vectors are not those of skip-gram with negative sampling."""
    if hasattr(model.wv, "vectors_ngrams"):
        raise UserError("A FastText vector is a sum over character n-grams, which the field is not: use Word2Vec.")
    if hasattr(model, "dv"):
        raise UserError(
            "A Doc2Vec model trains its contexts on the vectors of documents, and with dm=0 no word vectors at all: "
            "train Word2Vec with sg=1 on the same texts."
        )
    if not model.sg or model.hs or not model.negative or getattr(model, "syn1", None) is not None:
        raise UserError("The field is skip-gram with negative sampling: train Word2Vec with sg=1, hs=0, negative > 0.")
    if not getattr(model, "shrink_windows", True):
        raise UserError("Pairs are counted for word2vec's shrinking windows: train Word2Vec with shrink_windows=True.")


def _matrices(model: Any) -> np.ndarray:
    """Word and context vectors as training left them, (2, V, d) float32."""
    vectors, contexts = np.asarray(model.wv.vectors), np.asarray(getattr(model, "syn1neg", np.empty(0)))
    if vectors.shape != contexts.shape:
        raise UserError(
            f"The model has word vectors of shape {vectors.shape} and context vectors of shape {contexts.shape}: words "
            "were added or taken away after training; train it again."
        )
    if not np.isfinite(vectors).all() or not np.isfinite(contexts).all():
        raise UserError("The model's vectors are not finite: train it again with a smaller alpha.")
    if not contexts.any():
        raise UserError(
            "The model was built and not trained, all its context vectors are 0: call model.train(...) first."
        )
    lengths = np.linalg.norm(vectors, axis=1)
    if len(lengths) > 1 and np.abs(lengths - 1).max() < 1e-4:
        raise UserError(
            "All word vectors of the model have length 1, so they were normalised after training: pass it as trained."
        )
    if not np.all(np.asarray(getattr(model.wv, "vectors_lockf", 1.0)) == 1.0):
        raise UserError("Some word vectors of the model were locked (vectors_lockf), which the field does not know.")
    return np.stack([vectors, contexts])


def _check_texts(model: Any, corpus: Corpus, vocabulary: Vocabulary) -> None:
    """Refuse the same words in other sentences: windows do not reach beyond one."""
    member = np.array([word in vocabulary.index for word in corpus.types])
    counted = np.add.reduceat(np.append(member[corpus.tokens], 0), corpus.indptr[:-1])
    sentences = int(((counted > 0) & (np.diff(corpus.indptr) > 0) & (corpus.weights > 0)).sum())
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

    Parameters
    ----------
    known : list of int, optional
        How often the model counted each word, which is compared.

    Raises
    ------
    UserError
        The corpus lacks a word, or has it more or less often; two words that are one word in a corpus.
    """
    spelled: dict[str, str] = {}
    for word in words:
        first = spelled.setdefault(normal(word, corpus.form), word)
        if first != word:
            raise UserError(
                f"The model has {first!r} and {word!r}, which a corpus takes for one word: train it on tokens in one "
                "normal form and case."
            )
    words = list(spelled)
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
    other = np.flatnonzero(counts != (counts if known is None else known))
    if len(other):
        there = np.array(known, dtype=np.int64)
        i = int(other[np.argmax(np.abs(counts[other] - there[other]))])
        more = f" ({len(other)} of {len(words)} words differ)" if len(other) > 1 else ""
        raise UserError(
            f"{words[i]!r} occurs {there[i]:,} times in what the model was trained on and {counts[i]:,} times in this "
            f"corpus{more}: pass the corpus of the model, tokenised as it was."
        )
    return Vocabulary(words, counts, keep_probability(counts, subsample), subsample)
