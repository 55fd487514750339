"""Losses of a batch with the weights of its samples inside, for ``cl.TorchField(model, data=..., loss=...)``."""

import torch
from torch import Tensor

from crossloss.core import UserError


def token_mean(losses: Tensor, mask: Tensor, w: Tensor) -> Tensor:
    """Mean over the tokens of a batch: sum_i w_i sum_t m_it l_it / sum_it m_it.

    At w = 1 it is ``F.cross_entropy`` of all tokens that count, as language models are trained. The denominator is a
    constant of the batch, so that a weight moves its own row's tokens and no others.

    Parameters
    ----------
    losses : (B, T) tensor
        Loss of each token.
    mask : (B, T) tensor, bool or 0 and 1
        Tokens that count, such as ``labels != -100``.
    w : (B,) or (B, T) tensor
        Weights of the rows, or of each token (``cl.token_scores``).

    Returns
    -------
    scalar tensor

    Raises
    ------
    UserError
        Other shapes, or no token that counts.

    Examples
    --------
    >>> losses, labels = torch.rand(2, 3), torch.tensor([[1, -100, 2], [0, -100, -100]])
    >>> loss = cl.losses.token_mean(losses, labels != -100, torch.ones(2))
    """
    if losses.dim() != 2 or mask.shape != losses.shape or w.shape not in (losses.shape[:1], losses.shape):
        raise UserError(
            f"token_mean takes losses (B, T), a mask (B, T) and weights (B,) or (B, T), not {tuple(losses.shape)}, "
            f"{tuple(mask.shape)} and {tuple(w.shape)}."
        )
    count = mask.sum()
    if not bool(count > 0):
        raise UserError("token_mean was given a batch without a token that counts: leave such batches out.")
    here = mask.bool() if mask.dtype == torch.bool else mask != 0
    return ((w if w.dim() == 2 else w[:, None]) * torch.where(here, losses, 0) * mask).sum() / count


def in_batch_negatives(similarities: Tensor, w: Tensor) -> Tensor:
    """Contrastive loss whose negatives are the other samples of the batch (InfoNCE, van den Oord et al. 2018).

    (1/B) sum_i w_i [log(e^{s_ii} + sum_{j != i} w_j e^{s_ij}) - s_ii]. A weight multiplies a sample's own term and its
    presence as a negative of the others: at 0 the rest of the batch is trained as if the sample were not in it (but
    for B, a constant). At w = 1 it is ``F.cross_entropy(similarities, torch.arange(B))``.

    Parameters
    ----------
    similarities : (B, B) tensor
        Of each anchor (a row) to each positive (a column), over the temperature; the diagonal are the pairs.
    w : (B,) tensor
        Weights of the pairs.

    Returns
    -------
    scalar tensor

    Raises
    ------
    UserError
        Other shapes.

    Examples
    --------
    >>> a, b = F.normalize(torch.randn(4, 8), dim=1), F.normalize(torch.randn(4, 8), dim=1)
    >>> loss = cl.losses.in_batch_negatives(20 * a @ b.T, torch.ones(4))
    """
    size = len(w)
    if w.dim() != 1 or similarities.shape != (size, size):
        raise UserError(
            f"in_batch_negatives takes similarities (B, B) and weights (B,), not {tuple(similarities.shape)} and "
            f"{tuple(w.shape)}."
        )
    own = torch.eye(size, dtype=torch.bool, device=w.device)
    presence = torch.where(own, 1, w[None, :])
    top = similarities.detach().amax(1, keepdim=True)  # cancels, in value and derivative
    among = ((similarities - top).exp() * presence).sum(1).log() + top[:, 0]
    return (w * (among - similarities.diagonal())).sum() / size
