"""A torch field whose loss takes a weight for each token of a row, in place of one for the row."""

import copy

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.models.torch.data import leaves
from crossloss.models.torch.field import TorchField
from crossloss.models.torch.influence import SampleInfluence
from crossloss.models.torch.steps import Part


class TokenInfluence(SampleInfluence):
    """Sums of d<g, a>/d(weight of a token) over steps, (k, m, T) float64, of m rows; ``place`` (n,), -1 of others."""

    def __init__(self, sums: Tensor, place: Tensor) -> None:
        super().__init__(sums)
        self.place = place

    def add(self, rows: Tensor, by_weight: Tensor) -> None:
        """Add what some rows' tokens have (k, b, T), of the rows that are asked for."""
        place = self.place[rows]
        self.sums.index_add_(1, place[place >= 0], by_weight[:, place >= 0].double())


class TokenField(TorchField):
    """The same training: every token of a row has the row's weight, and scores are by token."""

    wanted: Tensor
    length: int

    def accumulator(self, k: int) -> TokenInfluence:
        """Zeros for k directions."""
        place = torch.full((self.samples,), -1, dtype=torch.int64, device=self.device)
        place[self.wanted] = torch.arange(len(self.wanted), device=self.device)
        sums = torch.zeros(k, len(self.wanted), self.length, dtype=torch.float64, device=self.device)
        return TokenInfluence(sums, place)

    def weights_of(self, w: Tensor, part: Part) -> Tensor:
        """Weights (b, T) of the tokens of a part."""
        return w[part.rows][:, None].repeat(1, self.length)


def by_token(field: TorchField, theta: Tensor, rows: Tensor, length: int | None) -> TokenField:
    """The field with weights of tokens by which a run is differentiated, for some different rows (m,).

    Raises
    ------
    UserError
        A loss of samples, or one that takes no weights of tokens or is another with them.
    """
    if field.batch_loss is None or field.frozen is not None:
        raise UserError(
            "Scores by token need a loss that takes their weights: give TorchField(model, data=..., "
            "loss=(model, batch, w) -> cl.losses.token_mean(losses, mask, w))."
        )
    other = copy.copy(field)
    other.__class__ = TokenField
    assert isinstance(other, TokenField)
    other.wanted, other.length = rows, _length(field) if length is None else length
    part = field.parts(0)[0]
    w = torch.linspace(0.5, 1.5, field.samples).to(theta)  # any but 1, which hides powers
    with torch.no_grad():
        plain = float(field.loss_of(theta, w[part.rows], part, None))
        try:
            spread = float(field.loss_of(theta, other.weights_of(w, part), part, None))
        except (UserError, RuntimeError, IndexError) as error:
            raise UserError(
                f"The loss takes no weights (B, {other.length}) of tokens ({' '.join(str(error).split())}): use "
                "cl.losses.token_mean, or give length=, the number of losses that a row has."
            ) from error
    if not abs(spread - plain) <= 1e-4 * abs(plain) + 1e-12:
        raise UserError(
            f"The loss of a batch is {plain:.6g} with weights of rows and {spread:.6g} with the same weights for their "
            "tokens: multiply each token's loss by its own weight, as cl.losses.token_mean does."
        )
    return other


def _length(field: TorchField) -> int:
    """Tokens of a row: the second dimension of the data that have one."""
    lengths = {leaf.shape[1] for leaf in leaves(field.data_of(field.parts(0)[0])) if leaf.dim() > 1}
    if len(lengths) != 1:
        found = f"has rows of {', '.join(map(str, sorted(lengths)))}" if lengths else "has no tokens in a row"
        raise UserError(f"The data {found}: say how many losses a row has, length=.")
    return lengths.pop()
