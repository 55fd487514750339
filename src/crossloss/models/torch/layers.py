"""Layers whose gradients of single samples follow from what goes in and what comes back.

The gradient of a linear layer's weight for one sample is sum_t delta_t a_t^T, of its inputs a and of the slope delta of
the loss by its outputs (Goodfellow 2015; Choe et al. 2024, "LoGra"). So samples share one pass, and nothing of the size
of the parameters is made for each.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Use:
    """sum_t left_t right_t^T for each of b samples: left (b, T, rows), right (b, T, columns).

    ``left`` of whole numbers (b, T) are rows, 1 there and 0 elsewhere; ``right`` None is 1, of vectors.
    """

    left: Tensor
    right: Tensor | None

    @property
    def _picks(self) -> bool:
        return not self.left.is_floating_point()

    def dense(self, which: slice, rows: int) -> Tensor:
        """Of some samples, (b', rows, columns)."""
        left = self.left[which]
        if self.right is None:
            return left.sum(1)[:, :, None]
        right = self.right[which]
        if not self._picks:
            return torch.bmm(left.transpose(1, 2), right)
        into = right.new_zeros(len(left), rows, right.shape[2])
        return into.scatter_add_(1, left[:, :, None].expand_as(right), right)

    def projected(self, left: Tensor | None, right: Tensor | None, rows: int) -> Tensor:
        """left^T G right, (b, i, j); the identity where None."""
        if self.right is None:
            summed = self.left.sum(1)
            return (summed if left is None else summed @ left)[:, :, None]
        inner = self.right if right is None else self.right @ right
        if not self._picks:
            outer = self.left if left is None else self.left @ left
        elif left is None:
            outer = F.one_hot(self.left, rows).to(inner)
        else:
            outer = left[self.left]
        return torch.bmm(outer.transpose(1, 2), inner)

    def dot(self, a: Tensor) -> Tensor:
        """<G, a> for a (rows, columns), (b,)."""
        if self.right is None:
            return self.left.sum(1) @ a[:, 0]
        return ((a[self.left] if self._picks else self.left @ a) * self.right).sum((1, 2))


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer: what went in, and what came out with its batch of b samples first."""

    layer: str
    inputs: Tensor
    output: Tensor


def is_known(layer: nn.Module) -> bool:
    """Whether the gradients of single samples by a layer's parameters follow from its inputs and outputs."""
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if isinstance(layer, nn.LayerNorm):
        return len(layer.normalized_shape) == 1
    return isinstance(layer, nn.Linear | nn.Embedding) or is_conv1d(layer)


def is_conv1d(layer: nn.Module) -> bool:
    """Whether it is the linear layer of GPT-2, whose weight is (inputs, outputs)."""
    return type(layer).__name__ == "Conv1D" and type(layer).__module__.startswith("transformers.")


def matrix_shape(shape: torch.Size) -> tuple[int, int]:
    """Rows and columns of a parameter as a matrix; one column of a vector."""
    return shape[0], shape[1:].numel()


def use(layer: nn.Module, name: str, inputs: Tensor, delta: Tensor, padding: int | None) -> Use:
    """What one call of a known layer adds to the gradients by its parameter ``name``, of b samples."""
    b = len(delta)
    if isinstance(layer, nn.Conv2d):
        delta = delta.flatten(2).transpose(1, 2)
        if name == "bias":
            return Use(delta, None)
        assert not isinstance(layer.padding, str)  # which is_known refuses
        patches = F.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        return Use(delta, patches.transpose(1, 2))
    delta = delta.reshape(b, -1, delta.shape[-1])
    if isinstance(layer, nn.Embedding):
        rows = inputs.reshape(b, -1)
        return Use(rows, delta if padding is None else delta * (rows != padding)[:, :, None])
    if name == "bias":
        return Use(delta, None)
    inputs = inputs.reshape(b, -1, inputs.shape[-1])
    if isinstance(layer, nn.LayerNorm):
        return Use(delta * F.layer_norm(inputs, layer.normalized_shape, eps=layer.eps), None)
    return Use(inputs, delta) if is_conv1d(layer) else Use(delta, inputs)


@contextmanager
def watched(layers: dict[str, nn.Module], b: int) -> Iterator[list[Call]]:
    """Record the calls of layers with a batch of b samples; one that is the same for all samples is spread over them.

    Such as that of position embeddings, whose outputs are added to each sample's.
    """
    calls: list[Call] = []

    def hook(name: str) -> Any:
        def called(layer: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
            inputs = given[0]
            if len(inputs) == 1 != b and len(output) == 1:
                inputs, output = (x.expand(b, *x.shape[1:]) for x in (inputs, output))
            calls.append(Call(name, inputs.detach(), output))
            return output.clone()  # which may be written into

        return called

    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
