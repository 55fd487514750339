"""The paper's method as published (Algorithm 1 and its code), on our embedding and corpus.

The loss of a sentence is the mean of -log s(u . c) over its pairs, without negatives; the gradient is a dense
backward pass through both tables; LiSSA runs over single sentences that contain a test word, ten times over at most
5,000 of them, damping .01, scale 25, and is not divided by the scale; sentences without a test word get no score.

``gradient`` is that backward pass, which is what is timed. The scores themselves come from the same numbers on the rows
that a sentence touches (``influence``, ``lissa``), which ``published.py`` compares with the dense pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from torch import Tensor

REPEATS, AT_MOST, DAMPING, SCALE = 10, 5_000, 0.01, 25.0


@dataclass(frozen=True, eq=False)
class Sentences:
    """Pairs of words in both orders, with their counts, by sentence.

    matrix : (n, m) CSR of counts of unordered pairs; pairs : (m, 2) words.
    """

    matrix: scipy.sparse.csr_matrix
    pairs: np.ndarray

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Word, context (o,) int64 and share of the sentence's pairs (o,) float32 of sentence i."""
        part = slice(self.matrix.indptr[i], self.matrix.indptr[i + 1])
        a, b = self.pairs[self.matrix.indices[part]].astype(np.int64).T
        counts, apart = self.matrix.data[part].astype(np.float64), a != b
        counts = np.concatenate([counts, counts[apart]])
        word, context = np.concatenate([a, b[apart]]), np.concatenate([b, a[apart]])
        return torch.from_numpy(word), torch.from_numpy(context), torch.from_numpy(counts / counts.sum()).float()

    def with_words(self, rows: Sequence[int]) -> np.ndarray:
        """Sentences that have a pair with one of the words, ascending."""
        found = np.isin(self.pairs, np.asarray(rows)).any(1)
        return np.flatnonzero(np.diff(self.matrix[:, found].tocsr().indptr))


def gradient(u: Tensor, c: Tensor, sentence: tuple[Tensor, Tensor, Tensor], twice: bool = False) -> tuple[Tensor, ...]:
    """Dense gradients (V, d) of a sentence's loss by both tables, by autograd: the published way."""
    word, context, share = sentence
    loss = -(share * F.logsigmoid((u[word] * c[context]).sum(1))).sum()
    return torch.autograd.grad(loss, (u, c), create_graph=twice)


def lissa(theta: Tensor, sentences: Sentences, sample: np.ndarray, v: Tensor, repeats: int = REPEATS) -> Tensor:
    """h of h <- v + (1 - damping) h - H_i h / scale, over the sample in a random order, mean of the repeats.

    theta (2, V, d); v (k, 2, V, d), the gradients of the objectives. A row that the sentence does not touch moves by
    v + (1 - damping) h alone, so that it is brought up to date when next it is touched.
    """
    u, c = theta
    total, kept = torch.zeros_like(v), 1 - DAMPING

    def forward(h: Tensor, v: Tensor, steps: Tensor) -> Tensor:
        """Rows h (k, r, d) after so many untouched steps (r,)."""
        power = (kept**steps).to(h)[None, :, None]
        return power * h + (1 - power) / DAMPING * v

    for repeat in range(repeats):
        h, seen = v.clone(), torch.zeros(theta.shape[:2], dtype=torch.float64)
        for t, i in enumerate(np.random.default_rng(repeat).permutation(sample)):
            word, context, share = sentences[i]
            (rows, at_word), (columns, at_context) = (torch.unique(x, return_inverse=True) for x in (word, context))
            a = forward(h[:, 0, rows], v[:, 0, rows], t - seen[0, rows])
            b = forward(h[:, 1, columns], v[:, 1, columns], t - seen[1, columns])
            at_u, at_c, a_pair, b_pair = u[word], c[context], a[:, at_word], b[:, at_context]
            sigma = torch.sigmoid((at_u * at_c).sum(1))
            bend = share * sigma * (1 - sigma) * ((a_pair * at_c).sum(2) + (at_u * b_pair).sum(2))
            slope = -share * (1 - sigma)
            curved_a = torch.zeros_like(a).index_add_(1, at_word, bend[..., None] * at_c + slope[:, None] * b_pair)
            curved_b = torch.zeros_like(b).index_add_(1, at_context, bend[..., None] * at_u + slope[:, None] * a_pair)
            h[:, 0, rows] = v[:, 0, rows] + kept * a - curved_a / SCALE
            h[:, 1, columns] = v[:, 1, columns] + kept * b - curved_b / SCALE
            seen[0, rows], seen[1, columns] = t + 1, t + 1
        left = len(sample) - seen
        for side in (0, 1):
            total[:, side] += forward(h[:, side], v[:, side], left[side])
    return total / repeats


def influence(theta: Tensor, sentences: Sentences, h: Tensor) -> np.ndarray:
    """H . grad l_i of every sentence, (k, n): effects if removed, in no unit."""
    u, c = theta.double()
    first, second = torch.from_numpy(sentences.pairs.astype(np.int64)).T

    def ordered(word: Tensor, context: Tensor, a: Tensor, b: Tensor) -> Tensor:
        at_u, at_c = u[word], c[context]
        missed = torch.sigmoid(-(at_u * at_c).sum(1))
        return -missed * ((a[word] * at_c).sum(1) + (at_u * b[context]).sum(1))

    apart = (first != second).double()
    size = sentences.matrix @ (1 + apart.numpy())
    found = []
    for a, b in h.double():
        values = ordered(first, second, a, b) + apart * ordered(second, first, a, b)
        found.append((sentences.matrix @ values.numpy()) / np.where(size > 0, size, 1))
    return np.stack(found)
