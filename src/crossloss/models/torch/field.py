"""The field of any torch module with a loss: one gradient, and one vjp of it."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from crossloss.core import Curvature, Field, Linearisation, SampleGradients, UserError
from crossloss.models.torch.check import check_field
from crossloss.models.torch.curvature import KINDS, of_field
from crossloss.models.torch.data import Order, load_order, load_rows
from crossloss.models.torch.linearisation import TorchLinearisation
from crossloss.models.torch.model import Show, TorchModel, load_show
from crossloss.models.torch.module import own_copy, padding_rows
from crossloss.models.torch.outer import Outer
from crossloss.models.torch.sample_gradients import TorchSampleGradients, left_out
from crossloss.models.torch.scored import left_out_of_ekfac
from crossloss.models.torch.view import ModelView, first_part


class TorchField(TorchModel):
    """A torch model with its loss and data.

    L_t(theta, w) = loss(theta, batch t, w) + regulariser(theta), with the weights of the batch's samples inside.

    Its simple case is ``sample_loss``: (1/B) sum_{i in batch t} w_i l_i(theta). B is the number of rows in the batch,
    whatever their weights, so that a weight moves its own sample and no other. Parameters with ``requires_grad`` are
    theta, in the module's order, tied ones once; the others and all buffers are constants. The field keeps a copy of
    the module and of the data.

    Parameters
    ----------
    model : torch.nn.Module
        Batch norm in eval mode. Dropout in eval mode, or with ``dropout_seed``.
    sample_loss : callable, optional
        (outputs, batch) -> (B,), one loss a sample; with ``frozen``, (outputs, batch, rows of P) -> (B,).
    data : Dataset, DataLoader, tensor, or tuple or dict of tensors
        Samples first. A DataLoader gives its batch size, whether it shuffles and its collate function; the order
        itself is drawn here, from ``seed``. A Dataset or collate function that draws at random is refused.
    loss : callable, optional
        In place of ``sample_loss``: (ModelView, batch, w (B,)) -> scalar, the loss of a batch, equal at w = 1 to what
        the training minimises; with ``frozen``, the rows of P come last. Such as a mean over tokens, or one whose
        samples are each other's negatives (``cl.losses``). A batch is then evaluated whole, and the training loss as a
        whole is the mean over the batches of one epoch.
    denominator : callable, optional
        batch -> number, a count of its own such as of its tokens, that the sum of the losses (or ``loss``, then itself
        a sum over samples) is divided by; B by default. A constant: weights are not in it.
    outputs : callable, optional
        (ModelView, batch) -> logits (B, ..., C) and labels (B, ...), -100 for those that do not count: for GGN and
        EK-FAC of a loss that is, up to a factor of the batch, the sum of their cross entropies, each times the weight
        of its sample.
    batch_size : int, optional
        Mini-batches of this size; every step sees all samples where None.
    seed : int or None
        Each epoch's order is drawn from (seed, epoch); None keeps the order of the data.
    order : sequence of integer sequences, optional
        Rows of the mini-batch of each step, as they were in a run that is over.
    forward : callable, optional
        (model, batch) -> outputs. By default the model gets the batch itself (a tensor), its first part (a
        tuple) or its "x" (a dict). ``model`` is a ``ModelView``.
    regulariser : callable, optional
        ModelView -> scalar, added to the loss of every step.
    frozen : callable, optional
        (ModelView, w (n,)) -> P (n, ...): what each step recomputes from all samples and the optimiser takes as
        constant, such as the target distribution of deep embedded clustering (paper Sec. 4.1). The pullback
        differentiates through it, both dP/dtheta and dP/dw; ``.detach()`` inside the loss would lose it.
    dropout_seed : int, optional
        Step t draws its masks as after ``torch.manual_seed(dropout_seed + t)``, for the whole batch at once.
    starts : callable, optional
        seed -> a module like ``model`` with other initial parameters: what "another start" means for it.
    show : callable or sequence, optional
        What tables and reports show of a sample, by its number: a text, a dict (a row of a table), or an image.
    additive : bool
        ``loss`` is a sum over the samples of its batch, whose constants (denominators) lie in the data: a batch may be
        evaluated in pieces, as where there is a ``denominator``.
    chunk : int
        Samples evaluated together where the loss is a sum over them; only memory and time depend on it. Of several
        processes each evaluates its share of every batch.

    Attributes
    ----------
    samples : int
        n.
    device : torch.device
        Where parameters and data are.

    Raises
    ------
    UserError
        A module or data that cannot be differentiated sample by sample, twice and deterministically.

    Examples
    --------
    >>> field = cl.TorchField(model, loss, data, batch_size=20)
    >>> run = cl.train(field, cl.SGD(lr=0.1), steps=20)
    >>> scores = cl.score(run, [lambda m: F.cross_entropy(m(x), y)])
    """

    curvatures = (*Field.curvatures, *KINDS)

    def __init__(
        self,
        model: nn.Module,
        sample_loss: Callable[..., Tensor] | None = None,
        data: object = None,
        *,
        loss: Callable[..., Tensor] | None = None,
        denominator: Callable[[Any], Any] | None = None,
        outputs: Callable[[ModelView, Any], Any] | None = None,
        batch_size: int | None = None,
        seed: int | None = 0,
        order: Sequence[Any] | None = None,
        forward: Callable[[ModelView, Any], Any] = first_part,
        regulariser: Callable[[ModelView], Tensor] | None = None,
        frozen: Callable[[ModelView, Tensor], Tensor] | None = None,
        dropout_seed: int | None = None,
        starts: Callable[[int], nn.Module] | None = None,
        show: Show | None = None,
        additive: bool = False,
        chunk: int = 1024,
    ) -> None:
        if chunk < 1:
            raise UserError(f"chunk is {chunk}: it must be at least 1.")
        if not isinstance(model, nn.Module):
            raise UserError(f"The model is a {type(model).__name__}: pass a torch.nn.Module.")
        _check_losses(sample_loss, loss, data, forward)
        self.checked: set[str] = set()
        self.padding = padding_rows(model)
        self.outer = Outer(model)
        self._place(own_copy(model))
        self._rows, self._samples = load_rows(data, self.device)
        if starts is not None and (not callable(starts) or isinstance(starts, nn.Module)):
            raise UserError(f"starts is a {type(starts).__name__}: give a function, lambda seed: a new module.")
        self.starts, self.shown = starts, load_show(show, self._samples)
        self.order: Order | None = load_order(data, self.samples, batch_size, seed, order)
        self.sample_loss, self.batch_loss, self.denominator = sample_loss, loss, denominator
        self.outputs, self.forward = outputs, forward
        self.regulariser, self.frozen = regulariser, frozen
        self.dropout_seed, self.additive, self.chunk = dropout_seed, additive, chunk

    def at(self, theta: Tensor, w: Tensor, step: int) -> Linearisation:
        """Products with the derivative at one point; UserError where an operator has no second derivative."""
        return TorchLinearisation(self, theta, w, step)

    def curvature(self, kind: str, theta: Tensor, w: Tensor) -> Curvature:
        """The curvature "ggn", "ekfac", ... of the training loss as a whole: see ``models.torch.curvature``."""
        return of_field(self, kind, theta, w) if kind in KINDS else super().curvature(kind, theta, w)

    def sample_gradients(self, theta: Tensor) -> SampleGradients:
        """Of the parameters in Linear, Conv2d, Embedding and LayerNorm layers."""
        return TorchSampleGradients(self, theta)

    def left_out(self, kind: str) -> list[tuple[str, int]]:
        """Parameters that "ekfac", of a field with ``outputs``, or "sample-gradients" is not of, with their sizes."""
        if kind == "sample-gradients":
            return left_out(self)
        return left_out_of_ekfac(self) if kind.startswith("ekfac") and self.outputs is not None else []

    def check_start(self, theta: Tensor, weights: Tensor) -> None:
        """Refuse what is detached, random, mixed between samples or not finite: ``check_field``."""
        check_field(self, theta, weights)


def _check_losses(sample_loss: object, loss: object, data: object, forward: object) -> None:
    """Refuse both losses or neither, and what does not go with the loss of a batch."""
    if (sample_loss is None) == (loss is None):
        raise UserError(
            "Give TorchField either sample_loss, (outputs, batch) -> one loss a sample, or loss=, (model, batch, w) -> "
            "the loss of the batch."
        )
    given = loss if sample_loss is None else sample_loss
    if not callable(given):
        raise UserError(f"The loss is a {type(given).__name__}: give a function, and the data as data=.")
    if data is None:
        raise UserError("The field has no data: give TorchField(model, sample_loss, data).")
    if loss is not None and forward is not first_part:
        raise UserError("forward= is not used with loss=, which calls the model itself: leave it out.")
