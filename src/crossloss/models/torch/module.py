"""A user's module made into a deterministic function that can be differentiated twice."""

import copy
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils import parametrizations
from torch.nn.utils.weight_norm import WeightNorm as OldWeightNorm
from torch.utils._python_dispatch import TorchDispatchMode

from crossloss.core import UserError


def own_copy(model: nn.Module) -> nn.Module:
    """A copy of the module for the field, whose layers have a full gradient and a second derivative.

    The padding row of an embedding (``padding_rows``) is the view's to hold: torch leaves it out of both derivatives,
    though the gradient depends on it. UserError for layers that mix samples or change their own parameters.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None):
            raise UserError(f"Batch norm {name!r} mixes the samples of a batch: put it into eval mode first.")
        if isinstance(layer, _InstanceNorm) and layer.training and layer.track_running_stats:
            raise UserError(f"Instance norm {name!r} changes its running statistics: put it into eval mode first.")
        if any(isinstance(hook, OldWeightNorm) for hook in layer._forward_pre_hooks.values()):
            raise UserError(
                f"{name!r} has torch.nn.utils.weight_norm, whose weight is no parameter: use "
                "torch.nn.utils.parametrizations.weight_norm."
            )
        if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) and layer.max_norm is not None:
            raise UserError(f"Embedding {name!r} shortens its vectors while it reads them: set max_norm=None.")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise UserError("The model has lazy layers without shapes: run it once on a batch first.")
    try:
        mine = copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        raise UserError(f"The model cannot be copied: {error}") from error
    for layer in mine.modules():
        if isinstance(layer, nn.Embedding):
            layer.sparse, layer.padding_idx = False, None
            if type(layer) is nn.Embedding:
                layer.__class__ = Embedding
        elif type(layer) is nn.EmbeddingBag:
            layer.__class__ = Bag
        elif type(layer) is parametrizations._WeightNorm:
            layer.__class__ = WeightNorm
    return mine


class Embedding(nn.Embedding):
    """``nn.Embedding`` by an operator with a gradient of many directions at once; on a GPU it is not deterministic."""

    def forward(self, input: Tensor) -> Tensor:
        """Rows (*input.shape, d) of the table."""
        if self.weight.is_cuda:
            return super().forward(input)
        return self.weight.index_select(0, input.reshape(-1)).view(*input.shape, self.embedding_dim)


class Bag(nn.EmbeddingBag):
    """``nn.EmbeddingBag`` by operators that have a second derivative; its padding row is never read."""

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """Sum, mean or maximum (n, d) of the rows named by ``input`` (n, m); UserError for bags by offsets."""
        if offsets is not None or input.dim() != 2:
            raise UserError(
                "An EmbeddingBag with offsets has no samples first: give it rows (n, m) with a padding_idx."
            )
        vectors = nn.functional.embedding(input, self.weight)
        here = torch.ones_like(input, dtype=torch.bool) if self.padding_idx is None else input != self.padding_idx
        if self.mode == "max":
            lowest = vectors.masked_fill(~here[:, :, None], -torch.inf).max(1).values
            return torch.where(here.any(1, keepdim=True), lowest, torch.zeros_like(lowest))
        share = here.to(vectors) if per_sample_weights is None else here * per_sample_weights
        total = (share[:, :, None] * vectors).sum(1)
        return total if self.mode == "sum" else total / here.sum(1, keepdim=True).clamp(min=1)


class WeightNorm(parametrizations._WeightNorm):
    """``torch.nn.utils.parametrizations.weight_norm`` by operators whose second derivative is right; torch's is not."""

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """Give g v/|v|, of the shape of v; the norm over all dimensions but one, or over all."""
        others = [i for i in range(weight_v.dim()) if i != self.dim]
        unit: Tensor = weight_v / torch.linalg.vector_norm(weight_v, dim=others, keepdim=True)
        return weight_g * unit


def padding_rows(model: nn.Module) -> list[tuple[str, int]]:
    """(name of the weight, row) of every embedding's padding row, which it reads and its backward leaves alone."""
    return [
        (f"{name}.weight".lstrip("."), layer.padding_idx)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Embedding) and layer.padding_idx is not None
    ]


@contextmanager
def twice_differentiable(module: nn.Module) -> Iterator[None]:
    """Choose kernels whose backward has a derivative: plain attention, no fused encoder layer, no cuDNN in an LSTM."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(layer, nn.RNNBase) for layer in module.modules()):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


class DrawsOfTheWhole(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Draws random numbers for all ``total`` samples of a batch, of which ``count`` from ``first`` on take theirs."""

    def __init__(self, first: int, count: int, total: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.first, self.count, self.total = first, count, total

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator; one that fills a tensor with draws fills one of the whole batch."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        like = args[0] if args and isinstance(args[0], Tensor) else None
        tensors = sum(isinstance(x, Tensor) for x in (*args, *kwargs.values()))
        known = name in ("native_dropout", "rand_like", "randn_like") or name.endswith("_")
        if not known or like is None or tensors > 1 or not like.dim() or like.shape[0] % self.count:
            raise UserError(
                f"The model draws random numbers by {name} that are not of its samples first, so that its batches "
                "cannot be dealt in pieces: take one process."
            )
        each = like.shape[0] // self.count
        whole = like.new_ones(each * self.total, *like.shape[1:])
        mine = slice(each * self.first, each * (self.first + self.count))
        if name == "native_dropout":
            kept, mask = func(whole, *args[1:], **kwargs)
            return like * kept[mine], mask[mine]
        drawn = func(whole, *args[1:], **kwargs)[mine]
        return like.copy_(drawn) if name.endswith("_") else drawn


@contextmanager
def pure(
    module: nn.Module,
    draws: int | tuple[Tensor, ...] | None,
    device: torch.device,
    piece: tuple[int, int, int] | None = None,
) -> Iterator[None]:
    """Draw as after ``torch.manual_seed``, or from these states, and leave the generators as they were.

    ``piece`` (first, count, total): samples that draw what they draw in their whole batch. UserError where something is
    drawn without either, or the module's buffers are written to.
    """
    buffers, states = {name: (id(b), b._version) for name, b in module.named_buffers()}, generators(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else [], enabled=draws is not None):
        if isinstance(draws, int):
            torch.manual_seed(draws)
        elif draws is not None:
            set_generators(draws, device)
        with nullcontext() if piece is None or draws is None else DrawsOfTheWhole(*piece):
            yield
    for name, buffer in module.named_buffers():
        if buffers.get(name) != (id(buffer), buffer._version):
            raise UserError(f"The model changes its buffer {name!r} in its forward pass: call model.eval() first.")
    if not all(torch.equal(a, b) for a, b in zip(states, generators(device), strict=True)):
        raise UserError("The model draws random numbers (dropout?): call model.eval() first, or pass dropout_seed=.")


def generators(device: torch.device) -> tuple[Tensor, ...]:
    """States of torch's generators that a module on ``device`` draws from: the CPU's, and the GPU's."""
    state = torch.get_rng_state()
    return (state, torch.cuda.get_rng_state(device)) if device.type == "cuda" else (state,)


def set_generators(states: tuple[Tensor, ...], device: torch.device) -> None:
    """Inverse of ``generators``."""
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


def intermediates(y: Tensor) -> int:
    """How many numbers the operators that led to ``y`` gave, those of its graph; at least 1."""
    results = (result for node in graph(y) for result in getattr(node, "_input_metadata", ()))
    return 1 + sum(int(math.prod(result.shape)) for result in results)


def graph(y: Tensor) -> Collection[Any]:
    """Every node of the graph that led to ``y``, in one order."""
    nodes: dict[Any, None] = {}
    ahead: list[Any] = [y.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in nodes:
            nodes[node] = None
            ahead += [before for before, _ in node.next_functions]
    return nodes


def gradient_of(loss: Tensor, y: Tensor, again: bool = False) -> Tensor:
    """Gradient of a scalar by y, zero where it does not depend on it; with a graph where ``again``."""
    if not loss.requires_grad:
        return torch.zeros_like(y)
    with differentiable():
        (g,) = torch.autograd.grad(loss, y, create_graph=again, materialize_grads=True)
    return g


def vjp(g: Tensor, inputs: Sequence[Tensor], a: Tensor, at_once: int) -> list[Tensor]:
    """For the rows of ``a`` (k, *g.shape): d<g, a_j>/d(input), (k, *input.shape) for each of ``inputs``.

    ``at_once`` directions share a pass where every operator can be batched, else each has its own. UserError where an
    operator has no second derivative.
    """
    if not g.requires_grad:
        return [a.new_zeros(len(a), *x.shape) for x in inputs]

    def grad(rows: Tensor, batched: bool) -> list[Tensor]:
        products = torch.autograd.grad(g, inputs, rows, retain_graph=True, allow_unused=True, is_grads_batched=batched)
        shape = (len(rows),) if batched else ()
        return [rows.new_zeros(*shape, *x.shape) if f is None else f for f, x in zip(products, inputs, strict=True)]

    with differentiable():
        if len(a) > 1 and at_once > 1:
            try:
                blocks = [grad(block, batched=True) for block in torch.split(a, at_once)]
                return [torch.cat(parts) for parts in zip(*blocks, strict=True)]
            except RuntimeError:  # an operator that cannot be batched; what has no derivative fails again below
                pass
        if len(a) == 1:
            return [part[None] for part in grad(a[0], batched=False)]
        return [torch.stack(parts) for parts in zip(*(grad(row, batched=False) for row in a), strict=True)]


@contextmanager
def differentiable() -> Iterator[None]:
    """Turn torch's refusal of a second derivative into a sentence."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if "derivative for" in text or "ouble backward" in text or "differentiable twice" in text:
            reason = text.strip().splitlines()[0]
            raise UserError(f"The model has an operator that cannot be differentiated twice: {reason}") from error
        raise
