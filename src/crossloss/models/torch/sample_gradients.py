"""Gradients of single samples of a torch field, by the layers whose inputs and outputs give them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from crossloss.core import FULL_BATCH, Accumulator, Block, Factors, SampleGradients, UserError
from crossloss.models.torch.batches import Batches
from crossloss.models.torch.influence import SampleInfluence
from crossloss.models.torch.layers import Use, is_known, matrix_shape, use, watched
from crossloss.models.torch.module import gradient_of
from crossloss.utils import distributed

Places = list[tuple[str, str]]
"""(layer, name of the parameter in it) of each place of a parameter."""


class TorchSampleGradients(SampleGradients):
    """Of the parameters that ``taken`` names, at ``theta``; checked on the first part against the field itself.

    UserError for a field with ``frozen``, or whose loss is no sum over its samples.
    """

    def __init__(self, field: Batches, theta: Tensor) -> None:
        if field.frozen is not None:
            raise UserError("Gradients of single samples do not take a field with frozen=: use gradient-dot or tracin.")
        self._field, self._theta = field, theta
        self._places = taken(field)
        if not self._places:
            raise UserError(
                "No parameter is of a Linear, Conv2d, Embedding or LayerNorm layer that is called as such: use tracin "
                "or gradient-dot."
            )
        self._layers = {layer: field.eval_module.get_submodule(layer) for p in self._places.values() for layer, _ in p}
        self._given = field.parts(FULL_BATCH)
        self.parts = [len(part.rows) for part in self._given]
        starts = dict(zip(field.layout.names, [0, *torch.tensor(field.layout.sizes).cumsum(0).tolist()], strict=False))
        shapes = dict(zip(field.layout.names, field.layout.shapes, strict=True))
        self.blocks = tuple(
            Block(name, starts[name], *matrix_shape(shapes[name])) for name, places in self._places.items()
        )
        self._check()

    def part(self, number: int) -> tuple[Tensor, Sequence[Factors]]:
        """Samples of a part (b,), and their gradients by each block."""
        field, part = self._field, self._given[number]
        leaf, b = self._theta.detach().requires_grad_(True), len(part.rows)
        with field.few_threads(field.batch(FULL_BATCH)), watched(self._layers, b) as calls:
            loss = field.part_loss(leaf, torch.ones(b, dtype=leaf.dtype, device=leaf.device), part, None)
            outputs = [call.output for call in calls]
            deltas = torch.autograd.grad(loss, outputs, allow_unused=True, materialize_grads=True)
        padding = dict(field.layout.padding)
        sums = []
        for block in self.blocks:
            uses = [
                use(self._layers[layer], name, call.inputs, delta, padding.get(f"{layer}.{name}".lstrip(".")))
                for layer, name in self._places[block.name]
                for call, delta in zip(calls, deltas, strict=True)
                if call.layer == layer
            ]
            sums.append(Uses(uses, block))
        return part.rows, sums

    def add(self, into: Accumulator, rows: Tensor, scores: Tensor) -> None:
        """Add the scores (k, b) of some samples, which every process has: once."""
        assert isinstance(into, SampleInfluence)
        if distributed.first():
            into.add(rows, scores)

    def _check(self) -> None:
        """Compare with d<g, a>/dw of the field, in one random direction."""
        field, part, theta = self._field, self._given[0], self._theta
        draw = torch.Generator().manual_seed(0)
        direction = torch.zeros_like(theta)
        for block in self.blocks:
            size = block.stop - block.start
            direction[block.start : block.stop] = torch.randn(size, generator=draw, dtype=theta.dtype).to(theta.device)
        with field.few_threads(field.batch(FULL_BATCH)):
            leaf, w = theta.detach().requires_grad_(True), torch.ones(len(part.rows), dtype=theta.dtype)
            w = w.to(theta.device).requires_grad_(True)
            g = gradient_of(field.part_loss(leaf, w, part, None), leaf, again=True)
            expected = gradient_of(g @ direction, w)
        found = torch.stack([
            factors.dot(direction[block.start : block.stop].view(block.rows, block.columns))
            for block, factors in zip(self.blocks, self.part(0)[1], strict=True)
            if isinstance(factors, Uses)
        ]).sum(0)  # fmt: skip
        allowed = 3 * torch.finfo(theta.dtype).eps ** 0.5
        if not bool((found - expected).norm() <= allowed * expected.norm().clamp(min=torch.finfo(theta.dtype).tiny)):
            raise UserError(
                "The gradients of single samples by layers are not those of the loss: it couples the samples of a "
                "batch, or a layer's parameters are used outside of it; use gradient-dot or tracin."
            )


class Uses:
    """The sum of what all calls of all layers add to the gradients by one parameter."""

    def __init__(self, uses: Sequence[Use], block: Block) -> None:
        self._uses, self._block = uses, block

    def dense(self, which: slice) -> Tensor:
        """Of some samples, (b', rows, columns)."""
        return torch.stack([use.dense(which, self._block.rows) for use in self._uses]).sum(0)

    def projected(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        """left^T G right, (b, i, j)."""
        return torch.stack([use.projected(left, right, self._block.rows) for use in self._uses]).sum(0)

    def dot(self, a: Tensor) -> Tensor:
        """<G, a>, (b,)."""
        return torch.stack([use.dot(a) for use in self._uses]).sum(0)


def taken(field: Batches) -> dict[str, Places]:
    """Names of the parameters all of whose places are in known layers that a forward pass calls, and the places."""
    layers = {name: layer for name, layer in field.eval_module.named_modules() if is_known(layer)}
    called, part = set(), field.parts(FULL_BATCH)[0]
    odd: set[str] = set()
    with torch.no_grad(), watched(layers, len(part.rows)) as calls:
        theta = field.initial
        field.part_loss(theta, torch.ones(len(part.rows), dtype=theta.dtype, device=theta.device), part, None)
    for call in calls:
        called.add(call.layer)
        if len(call.output) != len(part.rows) or len(call.inputs) != len(part.rows):
            odd.add(call.layer)
    places: dict[str, Places] = {name: [] for name in field.layout.names}
    for place, owner in field.layout.places.items():
        layer, _, name = place.rpartition(".")
        places[owner].append((layer, name))
    return {
        owner: where for owner, where in places.items() if where and all(layer in called - odd for layer, _ in where)
    }


def left_out(field: Batches) -> list[tuple[str, int]]:
    """Names and sizes of the trained parameters that ``taken`` does not name."""
    known = taken(field)
    return [
        (name, size) for name, size in zip(field.layout.names, field.layout.sizes, strict=True) if name not in known
    ]
