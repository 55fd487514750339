"""Scores of the tokens of some rows, which add up to the scores of the rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.estimators import unrolled
from crossloss.models.torch.field import TorchField
from crossloss.models.torch.tokens import TokenInfluence, by_token
from crossloss.objectives import as_objective
from crossloss.run.run import Run
from crossloss.utils.inputs import row_numbers
from crossloss.utils.progress import track


def token_scores(
    run: Run,
    objective: Objective | Callable[[Any], Tensor],
    rows: Sequence[int] | np.ndarray,
    *,
    length: int | None = None,
) -> np.ndarray:
    """Score each token of some rows: the exact derivative of an objective by a weight on the token's training loss.

    One backward pass over the run. Of a torch model whose ``loss`` puts a weight before each token's term: where
    training gives it weights w (B,), one a row, it is given w (B, T), the row's own for each token, as
    ``cl.losses.token_mean`` takes both. The scores of a row's tokens add up to its score; one that no step's loss
    counts, such as padding, has 0. Minus a score times the row's weight is the effect if the token's loss is left out:
    the token is still read by the model, where others are predicted from it.

    Parameters
    ----------
    run : Run
        Of a TorchField with ``loss``, trained or recorded here.
    objective : Objective or callable
    rows : sequence of int
        Different rows, m of them.
    length : int, optional
        T, the losses that a row has: one less than its tokens where each is predicted from those before it. By default
        the second dimension of the data.

    Returns
    -------
    (m, T) float64 array
        In the objective's unit.

    Raises
    ------
    UserError
        Another model, one that was trained elsewhere, or a loss that takes no weights of tokens; rows that are not
        there, or twice.

    Examples
    --------
    >>> labels = torch.randint(0, 3, (60, 4))
    >>> words = {"x": torch.randn(60, 4, 3), "labels": labels}
    >>> def by_token(model, batch, w):
    ...     losses = F.cross_entropy(model(batch["x"]).transpose(1, 2), batch["labels"], reduction="none")
    ...     return cl.losses.token_mean(losses, batch["labels"] >= 0, w)
    >>> tagger = cl.train(cl.TorchField(model, data=words, loss=by_token), cl.SGD(lr=0.1), steps=5)
    >>> cl.token_scores(tagger, lambda m: m(x).sum(), [0, 7], length=4).shape
    (2, 4)
    """
    if run.model.kind != TorchField.kind:
        raise UserError("Scores by token are of torch models: of word vectors take scores.explain(SENTENCE).")
    if not run.steps or not isinstance(run.field, TorchField):
        run.retrain()  # refuses
    assert isinstance(run.field, TorchField)
    if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise UserError(f"length is {length!r}: give a whole number, 1 or more.")
    chosen = row_numbers(rows, run.model.samples, "rows")
    if len(np.unique(chosen)) < len(chosen):
        raise UserError("rows names a row twice: give each once.")
    asked = as_objective(objective)
    run.model.check_objectives(run.field, run.theta, [asked])
    wanted = torch.from_numpy(chosen).to(run.field.device)
    field = by_token(run.field, run.theta, wanted, length)
    with track("scoring tokens") as progress:
        influence = unrolled(run.trajectory.changed(field=field), [asked], progress=progress)
    assert isinstance(influence, TokenInfluence)
    return influence.samples()[0].cpu().numpy()
