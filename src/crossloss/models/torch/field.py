"""The field of any torch module with a per-sample loss: one gradient, and one vjp of it."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from crossloss.core import FULL_BATCH, Curvature, Field, Linearisation, UserError
from crossloss.models.threads import one_core_where_small
from crossloss.models.torch.curvature import KINDS, of_field
from crossloss.models.torch.data import GivenOrder, Order, Rows, each, load_order, load_rows
from crossloss.models.torch.finite import refuse_not_finite
from crossloss.models.torch.linearisation import SampleInfluence, TorchLinearisation
from crossloss.models.torch.model import Show, TorchModel, load_show
from crossloss.models.torch.module import gradient_of, own_copy, padding_rows, pure
from crossloss.models.torch.outer import Outer
from crossloss.models.torch.view import Layout, ModelView, first_part


class TorchField(TorchModel, Field):
    """A torch model with its loss and data.

    L_t(theta, w) = (1/B) sum_{i in batch t} w_i l_i(theta) + regulariser(theta).

    B is the number of rows in the batch, whatever their weights, so that a weight moves its own sample and no
    other. Parameters with ``requires_grad`` are theta, in the module's order, tied ones once; the others and all
    buffers are constants. The field keeps a copy of the module and of the data.

    Parameters
    ----------
    model : torch.nn.Module
        Batch norm in eval mode. Dropout in eval mode, or with ``dropout_seed``.
    sample_loss : callable
        (outputs, batch) -> (B,), one loss a sample; with ``frozen``, (outputs, batch, rows of P) -> (B,).
    data : Dataset, DataLoader, tensor, or tuple or dict of tensors
        Samples first. A DataLoader gives its batch size, whether it shuffles and its collate function; the order
        itself is drawn here, from ``seed``. A Dataset or collate function that draws at random is refused.
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
        differentiates through it, both dP/dtheta and dP/dw; ``.detach()`` inside ``sample_loss`` would lose it.
    dropout_seed : int, optional
        Step t draws its masks as after ``torch.manual_seed(dropout_seed + t)``, for the whole batch at once.
    starts : callable, optional
        seed -> a module like ``model`` with other initial parameters: what "another start" means for it.
    show : callable or sequence, optional
        What tables and reports show of a sample, by its number: a text, a dict (a row of a table), or an image.
    chunk : int
        Samples evaluated together; only memory and time depend on it.

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
        sample_loss: Callable[..., Tensor],
        data: object,
        *,
        batch_size: int | None = None,
        seed: int | None = 0,
        order: Sequence[Any] | None = None,
        forward: Callable[[ModelView, Any], Any] = first_part,
        regulariser: Callable[[ModelView], Tensor] | None = None,
        frozen: Callable[[ModelView, Tensor], Tensor] | None = None,
        dropout_seed: int | None = None,
        starts: Callable[[int], nn.Module] | None = None,
        show: Show | None = None,
        chunk: int = 1024,
    ) -> None:
        if chunk < 1:
            raise UserError(f"chunk is {chunk}: it must be at least 1.")
        if not isinstance(model, nn.Module):
            raise UserError(f"The model is a {type(model).__name__}: pass a torch.nn.Module.")
        self._padding = padding_rows(model)
        self.outer = Outer(model)
        self._place(own_copy(model))
        self._rows, self._samples = load_rows(data, self.device)
        if starts is not None and (not callable(starts) or isinstance(starts, nn.Module)):
            raise UserError(f"starts is a {type(starts).__name__}: give a function, lambda seed: a new module.")
        self.starts, self.shown = starts, load_show(show, self._samples)
        self.order: Order | None = load_order(data, self.samples, batch_size, seed, order)
        self.sample_loss, self.forward = sample_loss, forward
        self.regulariser, self.frozen = regulariser, frozen
        self.dropout_seed, self.chunk = dropout_seed, chunk

    def _place(self, module: nn.Module) -> None:
        self.module, self.layout = module, Layout(module)
        training = any(layer.training for layer in module.modules())
        self._still = copy.deepcopy(module).eval() if training else module
        self._trained_rows = self.layout.trained_rows(self._padding)

    @property
    def samples(self) -> int:
        """Number of samples, n."""
        return self._samples

    @property
    def device(self) -> torch.device:
        """Where parameters and data are."""
        return self.layout.initial.device

    @property
    def initial(self) -> Tensor:
        """The module's parameters when the field was made, (p,), a copy."""
        return self.layout.initial.clone()

    @property
    def rows(self) -> Rows:
        """The data, a copy."""
        return each(self._rows, Tensor.clone)

    def ordered(self, order: Sequence[Any]) -> "TorchField":
        """The same field with these mini-batches."""
        other = copy.copy(self)
        other.order = GivenOrder(order, self.samples)
        return other

    def double(self) -> "TorchField":
        """The same field in float64."""
        other = copy.copy(self)
        other._place(copy.deepcopy(self.module).double())
        other._rows = each(self._rows, lambda leaf: leaf.double() if leaf.is_floating_point() else leaf)
        return other

    def view(self, theta: Tensor) -> ModelView:
        """Parameters by name and the module in eval mode: all that an objective sees."""
        return ModelView(self._still, self.layout, theta)

    def accumulator(self, k: int) -> SampleInfluence:
        """Zero sums for k directions."""
        return SampleInfluence(torch.zeros(k, self.samples, dtype=torch.float64, device=self.device))

    def loss(self, theta: Tensor, w: Tensor, step: int = FULL_BATCH) -> float:
        """Training loss of a step; of all samples by default."""
        w, batch = w.to(theta), self.batch(step)
        with self.few_threads(batch), torch.no_grad():
            target = self._target(theta, w)
            parts = [self._data_loss(theta, w[c], c, target, len(batch), step) for c in self._chunks(batch, step)]
            penalty = float(self._penalty(theta)) if self.regulariser else 0.0
        return sum(float(part) for part in parts) + penalty

    def gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """g_t(theta, w), (p,): what the optimiser receives; UserError that names a sample where it is not finite."""
        batch = self.batch(step)
        with self.few_threads(batch):
            return self._gradient(theta, w.to(theta), step, batch)

    def _gradient(self, theta: Tensor, w: Tensor, step: int, batch: Tensor) -> Tensor:
        with torch.no_grad():
            target = self._target(theta, w)
        total: Tensor | None = None
        for rows in self._chunks(batch, step):
            y = theta.detach().requires_grad_(True)
            loss = self._data_loss(y, w[rows], rows, target, len(batch), step)
            part = gradient_of(loss, y)
            total = part if total is None else total.add_(part)
        assert total is not None
        if self._trained_rows is not None:
            total = total * self._trained_rows
        if self.regulariser:
            y = theta.detach().requires_grad_(True)
            total = total + gradient_of(self._penalty(y), y)
        if not bool(torch.isfinite(total.sum())):
            refuse_not_finite(self, theta, w, step)
        return total.detach()

    def at(self, theta: Tensor, w: Tensor, step: int) -> Linearisation:
        """Products with the derivative at one point; UserError where an operator has no second derivative."""
        return TorchLinearisation(self, theta, w, step)

    def curvature(self, kind: str, theta: Tensor, w: Tensor) -> Curvature:
        """The curvature "ggn" or "ekfac" of the training loss as a whole: see ``models.torch.curvature``."""
        return of_field(self, kind, theta, w) if kind in KINDS else super().curvature(kind, theta, w)

    def batch(self, step: int) -> Tensor:
        """Rows that a step sees, (B,) int64."""
        if self.order is None or step == FULL_BATCH:
            return torch.arange(self.samples, device=self.device)
        return self.order(step).to(self.device)

    def few_threads(self, batch: Tensor) -> AbstractContextManager[None]:
        """One thread for a pass over a batch of a small model, whose operations are over before threads meet."""
        rows = len(batch) if self.frozen is None else self.samples
        return one_core_where_small(rows * self.layout.initial.numel(), self.device)

    def _seed(self, step: int) -> int | None:
        return None if self.dropout_seed is None or step == FULL_BATCH else self.dropout_seed + step

    def _chunks(self, batch: Tensor, step: int) -> tuple[Tensor, ...]:
        """Parts of the batch; the whole of it where masks are drawn, which would depend on the parts."""
        return (batch,) if self._seed(step) is not None else torch.split(batch, self.chunk)

    def _target(self, theta: Tensor, w: Tensor) -> Tensor | None:
        """P of ``frozen`` for all samples, differentiable in theta and w."""
        if self.frozen is None:
            return None
        with pure(self._still, None, self.device):
            target = self.frozen(self.view(theta), w)
        if not isinstance(target, Tensor) or not target.dim() or target.shape[0] != self.samples:
            raise UserError(f"frozen must return one tensor with a row for each of the {self.samples} samples.")
        return target

    def _penalty(self, theta: Tensor) -> Tensor:
        assert self.regulariser is not None
        penalty = self.regulariser(self.view(theta))
        if not isinstance(penalty, Tensor) or penalty.numel() != 1:
            raise UserError("regulariser must return one scalar tensor computed from the parameters.")
        if not bool(torch.isfinite(penalty)) and bool(torch.isfinite(theta.sum())):
            raise UserError(f"regulariser is {float(penalty)} at these parameters: it must be finite.")
        return penalty.reshape(())

    def _data_loss(self, theta: Tensor, w: Tensor, rows: Tensor, target: Tensor | None, size: int, step: int) -> Tensor:
        """(1/B) sum w_i l_i over some rows of a batch of ``size``.

        Twice differentiable where w asks for it; else by the kernels of a plain training loop, to the same bits.
        """
        return (w * self.losses(theta, rows, target, step, twice=w.requires_grad)).sum() / size

    def losses(
        self, theta: Tensor, rows: Tensor, target: Tensor | None, step: int = FULL_BATCH, *, twice: bool = False
    ) -> Tensor:
        """Losses l_i of some rows, (len(rows),), where ``target`` is what ``frozen`` gives for all samples."""
        batch = each(self._rows, lambda leaf: leaf[rows])
        module = self._still if step == FULL_BATCH else self.module
        with pure(module, self._seed(step), self.device):
            outputs = self.forward(ModelView(module, self.layout, theta, twice=twice), batch)
            losses = self.sample_loss(outputs, batch, *(() if target is None else (target[rows],)))
        if not isinstance(losses, Tensor) or losses.shape != (len(rows),):
            shape = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise UserError(
                f"sample_loss must return one loss a sample, shape ({len(rows)},), and returned {shape}: "
                'use reduction="none" and sum over all other dimensions.'
            )
        return losses
