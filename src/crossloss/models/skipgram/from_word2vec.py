"""Vectors trained elsewhere, as word2vec files, with their corpus; contexts that are not at hand are fitted."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.from_gensim import AS_TRAINED, FASTTEXT, counted, model_vocabulary
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.word2vec import read_word2vec
from crossloss.text.read import Corpus

STEPS, TOLERANCE = 2000, 1e-6
TRUST = (
    "These scores are a ranking and no exact effects: they answer for a model at rest, which vectors trained elsewhere "
    "are not; on gensim's they agreed with retraining at r .62 to .87 (docs/trust.md), and training on from the "
    "vectors, cl.train, is surer."
)


def from_word2vec(
    vectors: Any,
    corpus: Corpus,
    *,
    contexts: str | Path | None = None,
    window: int = 5,
    negatives: float = 5.0,
    exponent: float = 0.75,
    subsample: float = 1e-3,
    dtype: str = "float64",
) -> SkipGram:
    """Take word vectors and the corpus they were trained on.

    Parameters
    ----------
    vectors : path, or gensim's KeyedVectors in memory
        A word2vec file, text or binary. A ``.model`` is a pickle and is refused.
    corpus : Corpus
        What they were trained on.
    contexts : path, optional
        A word2vec file with the context vectors of the same words (gensim's ``syn1neg``). Without it contexts are
        fitted to the vectors: ``fit_contexts``.
    window, negatives, exponent, subsample
        As the vectors were trained; word2vec's own by default. The files do not say.
    dtype : str
        float64 or float32.

    Raises
    ------
    UserError
        No word2vec file, another corpus, or contexts of other words.

    Examples
    --------
    >>> from gensim.models import Word2Vec
    >>> sentences = [text.lower().rstrip(".").split() for text in corpus.texts]
    >>> word2vec = Word2Vec(sentences, sg=1, hs=0, vector_size=8, min_count=1, workers=1, seed=1)
    >>> word2vec.wv.save_word2vec_format("vectors.txt")
    >>> run = cl.imported(cl.from_word2vec("vectors.txt", corpus))
    """
    if hasattr(vectors, "wv"):
        raise UserError(
            "A whole model was given: pass it to cl.from_gensim, which takes its own contexts and settings."
        )
    if hasattr(vectors, "vectors_ngrams"):
        raise UserError(FASTTEXT)
    words, u = read_word2vec(vectors)
    known = counted(vectors) if hasattr(vectors, "index_to_key") else None
    vocabulary = model_vocabulary(words, corpus, subsample, known)
    bare = SkipGram(
        corpus,
        vocabulary=vocabulary,
        dimension=u.shape[1],
        window=window,
        negatives=negatives,
        exponent=exponent,
        subsample=subsample,
        dtype=dtype,
        **AS_TRAINED,
    )
    field, fixed = bare.build(), torch.from_numpy(u).to(bare.settings.torch_dtype)
    if contexts is None:
        c = fit_contexts(field, fixed, torch.from_numpy(corpus.weights.copy()))
    else:
        others, rows = read_word2vec(contexts)
        if sorted(others) != sorted(words) or rows.shape != u.shape:
            raise UserError(
                f"{contexts} has other words or another dimension than the vectors: give those of one model."
            )
        row = {word: i for i, word in enumerate(others)}
        c = torch.from_numpy(rows[[row[word] for word in words]]).to(field.dtype)
    return bare.with_vectors(torch.cat([fixed, c]).reshape(-1))


def fit_contexts(field: SkipGramField, vectors: Tensor, weights: Tensor) -> Tensor:
    """Contexts (V, d) that minimise the training loss at fixed word vectors (V, d), by L-BFGS from zero.

    At fixed vectors the loss is a sum of logistic regressions, one a context, and so convex. Each context is taken in
    units of its frequency and of the vectors' covariance, in which the problem is nearly round. Contexts without pairs
    stay zero.

    UserError where the minimum was not reached: where vectors lie so that some context goes to infinity, there is none.
    """
    u = vectors.double()
    frequency = field.precision[1].double()
    covariance = (u.T @ u) / len(u)
    scale = float(covariance.diagonal().mean()) or 1.0
    values, axes = torch.linalg.eigh(covariance / scale + 1e-6 * torch.eye(len(covariance), dtype=u.dtype))
    whiten = axes / values.clamp(min=1e-6).sqrt() / scale**0.5
    unit = torch.where(frequency > 0, frequency.rsqrt(), torch.zeros_like(frequency))[:, None]

    def contexts(x: np.ndarray) -> Tensor:
        made: Tensor = unit * (torch.from_numpy(x).view(u.shape) @ whiten.T)
        return made

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.cat([u.reshape(-1), contexts(x).reshape(-1)]).to(field.dtype)
        slope = field.gradient(theta, weights).double().view(2, *u.shape)[1]
        return field.loss(theta, weights), ((unit * slope) @ whiten).reshape(-1).numpy()

    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "gtol": TOLERANCE, "ftol": 0.0, "maxls": 50}
    fit = scipy.optimize.minimize(loss, np.zeros(u.numel()), jac=True, method="L-BFGS-B", options=options)
    rest = float(np.abs(fit.jac).max())
    if not rest <= 100 * TOLERANCE:
        raise UserError(
            f"No contexts fit these vectors (gradient {rest:.1g} after {fit.nit} steps): give the contexts' own "
            "file, or check that corpus and settings are those of the vectors."
        )
    return contexts(fit.x).to(field.dtype)
