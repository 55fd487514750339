"""How likely a text is to skip-gram: pairs counted as in training, differentiable in both matrices."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from crossloss.core import UserError
from crossloss.models.skipgram.loss import SkipGramLoss
from crossloss.text.pairs import expected_cooccurrences
from crossloss.text.tokens import tokenize

NUMBERS_AT_ONCE = 4_000_000
"""Words x contexts whose negatives are in memory at once."""


def log_likelihood(field: SkipGramLoss, vectors: Tensor, contexts: Tensor, sentences: Sequence[str]) -> Tensor:
    """Mean over the text's pairs of log s(S[w,c]) + k sum_c' p[c'] log s(-S[w,c']), nats a pair, shape ().

    Minus the loss of a corpus of just these sentences (paper Eq. 8), with the noise and the keep-probabilities of the
    field, in V d operations for each different word of the text. UserError where no sentence has two known words.
    """
    counts = _text_counts(field, sentences)
    if not counts.nnz:
        raise UserError("No sentence of the text has two words of the vocabulary: give text of the corpus's kind.")
    number = float(counts.sum())
    first, second = (torch.from_numpy(place.astype(np.int64)).to(field.device) for place in (counts.row, counts.col))
    observed = torch.nn.functional.logsigmoid((vectors[first] * contexts[second]).sum(1))
    sums = np.asarray(counts.sum(axis=1)).ravel() / number
    shares = torch.from_numpy(sums).to(vectors)
    rows = torch.from_numpy(np.flatnonzero(sums)).to(field.device)
    negatives = [
        checkpoint(_negatives, vectors[part], contexts, shares[part], field.noise, use_reentrant=False)
        for part in torch.split(rows, max(1, NUMBERS_AT_ONCE // len(contexts)))
    ]
    total: Tensor = torch.from_numpy(counts.data / number).to(vectors) @ observed
    return total + field.negatives * torch.stack(negatives).sum()


def _negatives(words: Tensor, contexts: Tensor, shares: Tensor, noise: Tensor) -> Tensor:
    return shares @ (torch.nn.functional.logsigmoid(-(words @ contexts.T)) @ noise)


def _text_counts(field: SkipGramLoss, sentences: Sequence[str]) -> scipy.sparse.coo_matrix:
    """Expected pair counts (V, V) of a text, both orders, as those of the corpus are counted."""
    vocabulary = field.vocabulary
    tokens = [
        (number, vocabulary.index[token.word])
        for number, sentence in enumerate(sentences)
        for token in tokenize(sentence, vocabulary.token_pattern, vocabulary.form)
        if token.word in vocabulary.index
    ]
    sample, words = np.array(tokens, dtype=np.int64).reshape(-1, 2).T
    size = len(vocabulary.words)
    total = scipy.sparse.csr_matrix((size, size))
    for p, q, count in expected_cooccurrences(words, sample, vocabulary.keep, field.counts.window):
        total += scipy.sparse.csr_matrix((count, (words[p], words[q])), shape=(size, size))
    return (total + total.T).tocoo()
