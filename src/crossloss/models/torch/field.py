"""The field of any torch module with a loss: one gradient, and one vjp of it."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from crossloss.core import FULL_BATCH, Curvature, Field, Linearisation, SampleGradients, UserError
from crossloss.models.threads import one_core_where_small
from crossloss.models.torch.batches import Batches
from crossloss.models.torch.curvature import KINDS, of_field
from crossloss.models.torch.data import GivenOrder, Order, Rows, each, load_order, load_rows
from crossloss.models.torch.finite import refuse_not_finite
from crossloss.models.torch.linearisation import SampleInfluence, TorchLinearisation
from crossloss.models.torch.model import Show, load_show
from crossloss.models.torch.module import gradient_of, own_copy, padding_rows, pure
from crossloss.models.torch.outer import Outer
from crossloss.models.torch.sample_gradients import TorchSampleGradients, left_out
from crossloss.models.torch.scored import left_out_of_ekfac
from crossloss.models.torch.steps import Part, RecordedOrder, in_float64
from crossloss.models.torch.view import Layout, ModelView, first_part
from crossloss.utils import distributed


class TorchField(Batches, Field):
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
        self._by_sample: bool | None = None
        self._padding = padding_rows(model)
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

    def _place(self, module: nn.Module) -> None:
        self.module, self.layout = module, Layout(module, self._padding)
        training = any(layer.training for layer in module.modules())
        same = {id(p): p for p in module.parameters()}  # whose values no pass reads, as theta takes their place
        self._still = copy.deepcopy(module, same).eval() if training else module

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

    def ordered(self, order: Sequence[Any] | RecordedOrder) -> "TorchField":
        """The same field with these mini-batches: rows of each step, or an order."""
        other = copy.copy(self)
        other.order = order if isinstance(order, RecordedOrder) else GivenOrder(order, self.samples)
        return other

    def some_of(self, step: int, samples: int) -> "TorchField":
        """The same field whose only batch is at most so many samples of that of ``step``, spread over it."""
        given = self._given(step)
        every = -(-sum(len(part.rows) for part in given) // samples)
        return self.ordered(RecordedOrder([[part.some(slice(None, None, every)) for part in given]]))

    def double(self) -> "TorchField":
        """The same field in float64."""
        other = copy.copy(self)
        other._place(copy.deepcopy(self.module).double())
        for name, values in other.layout.split(other.layout.initial).items():  # one copy of a large model
            other.module.get_parameter(name).data = values
        other._rows = in_float64(self._rows)
        if isinstance(self.order, RecordedOrder):
            other.order = self.order.double()
        return other

    def view(self, theta: Tensor) -> ModelView:
        """Parameters by name and the module in eval mode: all that an objective sees."""
        return ModelView(self._still, self.layout, theta)

    def accumulator(self, k: int) -> SampleInfluence:
        """Zero sums for k directions."""
        return SampleInfluence(torch.zeros(k, self.samples, dtype=torch.float64, device=self.device))

    def loss(self, theta: Tensor, w: Tensor, step: int = FULL_BATCH) -> float:
        """Training loss of a step; as a whole by default."""
        w = w.to(theta)
        with self.few_threads(self.batch(step)), torch.no_grad():
            target = self._target(theta, w)
            values = [self._part_loss(theta, w[part.rows], part, target) for part in self.own_parts(step)]
            penalty = float(self._penalty(theta)) if self.regulariser else 0.0
        total = torch.tensor(sum(float(value) for value in values), dtype=torch.float64)
        return float(distributed.add_(total)) + penalty

    def gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        """g_t(theta, w), (p,): what the optimiser receives; UserError that names a sample where it is not finite."""
        with self.few_threads(self.batch(step)):
            return self._gradient(theta, w.to(theta), step)

    def _gradient(self, theta: Tensor, w: Tensor, step: int) -> Tensor:
        with torch.no_grad():
            target = self._target(theta, w)
        return self.whole_gradient(theta, w, step, self._own_gradient(theta, w, self.own_parts(step), target))

    def whole_gradient(self, theta: Tensor, w: Tensor, step: int, own: Tensor) -> Tensor:
        """The gradient of a step (p,), of what this process's parts gave, which is added to in place."""
        total = distributed.add_(own)
        if self.regulariser:
            y = theta.detach().requires_grad_(True)
            total += gradient_of(self._penalty(y), y)
        if not bool(torch.isfinite(total.sum())):
            refuse_not_finite(self, theta, w, step)
        return total

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

    def _drawn_by_sample(self, part: Part) -> bool:
        """Whether pieces of a batch have the random numbers of the whole: tried once, on four samples."""
        if self._by_sample is None:
            few, w = part.some(slice(0, 4)), torch.ones(self.samples).to(self.initial)
            pieces = [few] if len(few.rows) < 2 else [few.piece(slice(0, 1)), few.piece(slice(1, len(few.rows)))]
            try:
                with torch.no_grad():
                    target = self._target(self.initial, w)
                whole, *parts = (self._own_gradient(self.initial, w, [p], target) for p in (few, *pieces))
            except UserError:
                self._by_sample = False
            else:
                self._by_sample = bool((sum(parts) - whole).norm() <= 1e-3 * whole.norm())
        return self._by_sample

    def _own_gradient(self, theta: Tensor, w: Tensor, parts: Sequence[Part], target: Tensor | None) -> Tensor:
        """Gradient of what some parts add to the loss, (p,)."""
        total: Tensor | None = None
        for part in parts:
            y = theta.detach().requires_grad_(True)
            g = gradient_of(self._part_loss(y, w[part.rows], part, target), y).detach()
            total = g if total is None else total.add_(g)
        return torch.zeros_like(theta) if total is None else total

    def weights_of(self, w: Tensor, part: Part) -> Tensor:
        """Weights of a part's samples (b,), of those of all (n,)."""
        return w[part.rows]

    def data_of(self, part: Part) -> Rows:
        """The data of its samples."""
        rows = part.rows
        return each(self._rows, lambda leaf: leaf[rows]) if part.data is None else part.data

    def few_threads(self, batch: Tensor) -> AbstractContextManager[None]:
        """One thread for a pass over a batch of a small model, whose operations are over before threads meet."""
        rows = len(batch) if self.frozen is None else self.samples
        return one_core_where_small(rows * self.layout.initial.numel(), self.device)

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

    def _part_loss(
        self, theta: Tensor, w: Tensor, part: Part, target: Tensor | None, held: Tensor | None = None
    ) -> Tensor:
        """What some samples with weights ``w`` (b,) add to the loss; padding rows are read in ``held``, else constant.

        Twice differentiable where w asks for it; else by the kernels of a plain training loop, to the same bits.
        """
        held, twice = theta.detach() if held is None else held, w.requires_grad
        if self.sample_loss is not None:
            return (w * self.losses(theta, part, target, twice=twice, held=held)).sum() / part.divisor
        return self.loss_of(theta, w, part, target, twice=twice, held=held) / part.divisor

    def loss_of(
        self,
        theta: Tensor,
        w: Tensor,
        part: Part,
        target: Tensor | None,
        *,
        twice: bool = False,
        held: Tensor | None = None,
    ) -> Tensor:
        """What ``loss`` gives for some samples with weights ``w`` (b,), shape ()."""
        assert self.batch_loss is not None
        batch, module = self.data_of(part), self._still if part.still else self.module
        with pure(module, part.draws, self.device, part.piece_of):
            view = ModelView(module, self.layout, theta, twice=twice, held=held)
            value = self.batch_loss(view, batch, w, *(() if target is None else (target[part.rows],)))
        if not isinstance(value, Tensor) or value.numel() != 1:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"loss must return one scalar, the loss of the batch, and returned {shape}.")
        return value.reshape(())

    def losses(
        self, theta: Tensor, part: Part, target: Tensor | None, *, twice: bool = False, held: Tensor | None = None
    ) -> Tensor:
        """What ``sample_loss`` gives for some samples, (b,), where ``target`` is what ``frozen`` gives for all."""
        assert self.sample_loss is not None
        batch, module, size = self.data_of(part), self._still if part.still else self.module, len(part.rows)
        with pure(module, part.draws, self.device, part.piece_of):
            outputs = self.forward(ModelView(module, self.layout, theta, twice=twice, held=held), batch)
            losses = self.sample_loss(outputs, batch, *(() if target is None else (target[part.rows],)))
        if not isinstance(losses, Tensor) or losses.shape != (size,):
            shape = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise UserError(
                f"sample_loss must return one loss a sample, shape ({size},), and returned {shape}: "
                'use reduction="none" and sum over all other dimensions.'
            )
        return losses


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
