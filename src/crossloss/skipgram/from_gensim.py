"""A live gensim Word2Vec with its corpus: the field it was trained on, and its parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.corpus.pairs import count_pairs
from crossloss.corpus.read import Corpus
from crossloss.corpus.vocabulary import Vocabulary, keep_probability
from crossloss.skipgram.field import SkipGramField


@dataclass(frozen=True, eq=False)
class Imported:
    """What is needed to score a model trained elsewhere: ``Trained(field, weights, theta)`` is its trajectory.

    Attributes
    ----------
    field : SkipGramField
        With the vocabulary in the model's order, and the corpus's pair counts.
    weights : (n,) float64 tensor
    theta : (p,) tensor
        Word vectors (``wv.vectors``), then context vectors (``syn1neg``).
    """

    field: SkipGramField
    weights: Tensor
    theta: Tensor


def from_gensim(model: Any, corpus: Corpus, *, dtype: torch.dtype = torch.float64) -> Imported:
    """Take a gensim Word2Vec (sg=1, hs=0) and the corpus it was trained on.

    Window, negatives, noise exponent and subsampling are the model's own. gensim draws what the field takes in
    expectation, and it skips a negative that equals the context, which the field keeps; so the model is near, not
    at, a stationary point of the field.

    Parameters
    ----------
    model : gensim.models.Word2Vec
        In memory; nothing is read from a file.
    corpus : Corpus
        What it was trained on, word for word: its sentences' lower-cased tokens.
    dtype : torch.dtype
        float64 makes solvers reliable at small damping; float32 halves time and memory.

    Raises
    ------
    UserError
        Vectors without contexts, another architecture, another corpus, or vectors that are not finite.
    """
    wv = getattr(model, "wv", None)
    if wv is None or not hasattr(model, "sg"):
        raise UserError("from_gensim needs the whole Word2Vec model, with both matrices: its vectors are not enough.")
    if hasattr(wv, "vectors_ngrams"):
        raise UserError("A FastText vector is a sum over character n-grams, which the field is not: use Word2Vec.")
    if not model.sg or model.hs or not model.negative:
        raise UserError("The field is skip-gram with negative sampling: train Word2Vec with sg=1, hs=0, negative > 0.")
    if not getattr(model, "shrink_windows", True):
        raise UserError("Pairs are counted for word2vec's shrinking windows: train Word2Vec with shrink_windows=True.")
    vocabulary = model_vocabulary(list(wv.index_to_key), corpus, float(model.sample))
    matrices = np.stack([np.asarray(wv.vectors), np.asarray(model.syn1neg)])
    if not np.isfinite(matrices).all():
        raise UserError("The model's vectors are not finite: train it again with a smaller alpha.")
    field = SkipGramField(
        count_pairs(corpus, vocabulary, window=int(model.window)),
        vocabulary,
        corpus.weights,
        dimension=int(model.vector_size),
        negatives=float(model.negative),
        exponent=float(model.ns_exponent),
        dtype=dtype,
    )
    return Imported(field, torch.from_numpy(corpus.weights.copy()), torch.from_numpy(matrices).to(dtype).reshape(-1))


def model_vocabulary(words: list[str], corpus: Corpus, subsample: float) -> Vocabulary:
    """A model's words in the model's order, with the corpus's own counts.

    Raises
    ------
    UserError
        The corpus lacks a word.
    """
    trained = np.repeat(corpus.weights > 0, np.diff(corpus.indptr))
    found = np.bincount(corpus.tokens[trained], minlength=len(corpus.types))
    count = dict(zip(corpus.types, found.tolist(), strict=True))
    lacking = [word for word in words if not count.get(word)]
    if lacking:
        raise UserError(
            f"The corpus lacks {len(lacking)} of the model's {len(words)} words (such as {lacking[0]!r}): pass the "
            "corpus that the model was trained on, its tokens lower-cased."
        )
    counts = np.array([count[word] for word in words], dtype=np.int64)
    return Vocabulary(words, counts, keep_probability(counts, subsample), subsample)
